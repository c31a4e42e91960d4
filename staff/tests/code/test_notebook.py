"""proj2.ipynb as stored, and as it runs: on the rendered scenes and, where CAMVID_DIR is set, on the real frames."""

import csv
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest

from staff import ROOT, run_notebook

NOTEBOOK = ROOT / "proj2.ipynb"
MODELS = ["FPN-VGG19", "FPN-ResNet50", "PSPNet-ResNet50"]

# The headings of the handout, in its order.
SECTIONS = [
    "Project 2: Segmentation with CNN",
    "Brief",
    "Setup",
    "Part 1: Image Segmentation",
    "Sigmoid and Softmax",
    "TO-DO 1",
    "TO-DO 2",
    "TO-DO 3",
    "Part 2: Architecture of an image segmentation model",
    "2.1 Understanding FCN and",
    "Fully Convolutional Networks",
    "Backbones",
    "2.2 VGG-19",
    "Question 1",
    "Answer",
    "2.3 ResNet-50",
    "TO-DO 4",
    "Question 2",
    "Answer",
    "2.4 Insight into feature maps",
    "Part 3: Compare Model Performance",
    "Question 3",
    "Answer",
    "TO-DO 5",
    "TO-DO 6",
    "Extra Credit: Pyramid Scene Parsing Network",
    "EC Part 1: Pyramid Pooling Module",
    "EC Part 2: Compare Performance",
    "TO-DO EC",
    "Code Testing",
    "Writeup",
    "Please check your assignment completion",
    "Required for all",
    "Required for 6476",
    "Report",
    "Note",
    "Submission",
    "Credit",
    "After the handout",
    "All twelve classes",
    "Where to draw the line",
    "Watch a network learn",
    "A picture of your own",
]
FIGURES = [
    "proj2_code/figures/sigmoid.png",
    "proj2_code/figures/semantic_segmentation.png",
    "proj2_code/figures/fcn.png",
    "proj2_code/figures/convolution.png",
    "proj2_code/figures/fpn.png",
    "proj2_code/figures/vgg19.png",
    "proj2_code/figures/resnet50.png",
    "proj2_code/figures/iou.png",
    "proj2_code/iou_question.png",
    "proj2_code/figures/pyramid_pooling.png",
]
TESTS = [
    "test_sigmoid",
    "test_softmax",
    "test_final_seg_range",
    "test_final_seg_values",
    "test_load_FPN_resnet50",
    "test_IoU1",
    "test_IoU2",
    "test_applyIoU",
    "test_compare_psp_fpn",
]

# On the kernel's path: writes down every request to another machine, and refuses it.
NO_NETWORK = """
import os, socket, sys
def _refuse(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in ("127.0.0.1", "localhost", "::1", None, ""):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError(f"no network here: {host}")
sys.addaudithook(_refuse)
"""


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


def markdown(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell):
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def scores_of(text):
    """The numbers of printed lists of tensors."""
    return [float(number) for number in re.findall(r"tensor\((\d\.?\d*)\)", text)]


# As it is stored


def test_it_is_a_clean_notebook(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    # Names, not random numbers: they stay the same when the notebook is written anew.
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", cell.id) for cell in stored.cells)
    assert not any(cell.metadata for cell in stored.cells)


def test_the_handouts_sections_are_there_in_order(stored):
    headings = iter(re.findall(r"^#+ +(.+)$", markdown(stored), re.M))
    for section in SECTIONS:
        assert any(section in heading for heading in headings), f"“{section}” is missing, or out of order"


def test_figures_are_the_projects_own_files_in_the_handouts_order(stored):
    text = markdown(stored)
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) == FIGURES
    assert "<img" not in text
    assert all((ROOT / figure).is_file() for figure in FIGURES)


def test_each_answer_is_a_cell_of_its_own_between_solution_markers(stored):
    answers = [cell for cell in stored.cells if "SOLUTION" in cell.source]
    assert [cell.id for cell in answers] == ["answer-1", "answer-2", "answer-3"]
    for cell in answers:
        lines = cell.source.splitlines()
        assert lines[0] == "<!-- ### BEGIN SOLUTION -->" and lines[-1] == "<!-- ### END SOLUTION -->"
        assert cell.source.count("SOLUTION") == 2


def test_cells_are_short(stored):
    for cell in code_cells(stored):
        assert len(cell.source.splitlines()) <= 22, f"{cell.id} is too long to be read aloud"


def test_outputs_are_stored_and_in_order(stored):
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert NOTEBOOK.stat().st_size < 4e6
    for name, pictures in {
        "vis-dataset": 3,
        "mask-visualise": 1,
        "vgg19-show": 3,
        "resnet50-show": 3,
        "feature-maps-conv1": 1,
        "feature-maps-layer1": 1,
        "feature-maps-seg-block": 1,
        "chart-draw": 1,
        "street-show": 1,
        "class-ious": 1,
        "confusion": 1,
        "threshold-curves": 1,
        "learn-scenes": 1,
        "learn-last-layer": 1,
        "learn-loop": 1,
        "learn-transfer": 1,
        "own-picture-segment": 1,
    }.items():
        shown = [
            o for o in cell_of(stored, name).outputs if any(kind.startswith("image/") for kind in o.get("data", {}))
        ]
        assert len(shown) == pictures, name


def test_stored_outputs_are_without_errors_and_private_paths(stored):
    check_outputs(stored)
    text = "".join(map(text_of, code_cells(stored)))
    assert not re.search(r"/(home|root|tmp|Users|work)/", text)


def check_outputs(notebook):
    for cell in code_cells(notebook):
        assert not [o for o in cell.outputs if o.output_type == "error"], cell.id
        assert not [o.text for o in cell.outputs if o.get("name") == "stderr"], cell.id
        assert "Wrong" not in text_of(cell), cell.id
    text = "".join(map(text_of, code_cells(notebook)))
    for test in TESTS:
        assert re.search(rf"{test}: .*Correct", text), test


# As it runs


def project_copy(folder):
    """What the notebook needs, in a folder of its own, without CamVid."""
    for part in ("proj2_code", "proj2_unit_tests", "data"):
        ignored = shutil.ignore_patterns("CamVid", "LabelMeFacade", "__pycache__", ".*")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "staff").mkdir()
    for program in ("__init__.py", "files.py", "run_notebook.py", "notebook_page.py", "notebook_page.css"):
        shutil.copy(ROOT / "staff" / program, folder / "staff")
    shutil.copy(NOTEBOOK, folder)
    (folder / "models").symlink_to(ROOT / "models")
    return folder


def run_copy(folder, *options):
    """Run the notebook of a copy, without network, and with another `utils` on the path; return what was printed."""
    obstacles = folder.parent / "obstacles"
    obstacles.mkdir()
    (obstacles / "sitecustomize.py").write_text(NO_NETWORK)
    (obstacles / "utils.py").write_text("raise ImportError('not this utils')")
    environment = {name: value for name, value in os.environ.items() if name not in ("CAMVID_DIR", "MPLBACKEND")}
    environment |= {"PYTHONPATH": str(obstacles), "NETWORK_LOG": str(obstacles / "log")}
    done = subprocess.run(
        [sys.executable, "-m", "staff.run_notebook", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (obstacles / "log").exists(), (obstacles / "log").read_text()
    return done.stdout


@pytest.fixture(scope="module")
def on_the_sample(tmp_path_factory):
    """A run of a copy in which the cheap cells stand twice: (its folder, what was printed)."""
    folder = project_copy(tmp_path_factory.mktemp("fresh é") / "proj 2")
    notebook = nbformat.read(folder / "proj2.ipynb", as_version=4)
    notebook.cells = [twin for cell in notebook.cells for twin in twins(cell)]
    # Fails the run where a hook was left on a layer, or a figure open.
    tidy = "assert not any(module._forward_hooks for module in resnet50_model.modules())\nassert not plt.get_fignums()"
    notebook.cells.append(nbformat.v4.new_code_cell(tidy, id="all-tidy"))
    nbformat.write(notebook, folder / "proj2.ipynb")
    return folder, run_copy(folder)


def twins(cell):
    """A cell, and the same again if it is code that runs a network once at most."""
    slow = ("print_model_summary", "range(len(test_dataset))", "applyIoU(", "compare_psp_fpn(", "test_model")
    slow += ("threshold_curve(", "features_and_labels(", "write_scenes(", "film")
    if cell.cell_type != "code" or any(call in cell.source for call in slow):
        return [cell]
    return [cell, nbformat.v4.new_code_cell(cell.source, id=f"{cell.id}-again")]


@pytest.fixture(scope="module")
def sample_result(on_the_sample):
    return nbformat.read(on_the_sample[0] / "build" / "proj2.ipynb", as_version=4)


@pytest.mark.slow
def test_it_runs_on_the_sample_and_says_so(on_the_sample, sample_result):
    check_outputs(sample_result)
    said = text_of(cell_of(sample_result, "vis-dataset"))
    assert "data/sample" in said and "get_camvid.py" in said


@pytest.mark.slow
def test_a_cell_run_twice_gives_the_same_again(sample_result):
    again = [cell for cell in sample_result.cells if cell.id.endswith("-again")]
    assert len(again) > 20
    for cell in again:
        first = cell_of(sample_result, cell.id.removesuffix("-again"))
        # An execute_result carries the cell's number, which has to differ.
        first, second = ([{**o, "execution_count": 0} for o in outputs] for outputs in (first.outputs, cell.outputs))
        assert first == second, cell.id


@pytest.mark.slow
def test_the_runner_shows_progress_scores_and_the_page(on_the_sample):
    folder, printed = on_the_sample
    assert re.search(r"cell +1 of (\d+)  Brief\n", printed)
    assert "2.2 VGG-19" in printed
    for model in MODELS:
        assert re.search(rf"^{model} +\d\.\d{{4}} +\d\.\d{{4}} +\d\.\d{{4}}$", printed, re.M)
    assert printed.rstrip().endswith(str(folder / "build" / "proj2.html"))


def check_table(folder, notebook):
    """iou.csv holds what the notebook shows."""
    with open(folder / "build" / "iou.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    frames = sorted(p.stem for p in (data_folder(folder) / "test").glob("*.png"))
    assert [(row["model"], row["frame"]) for row in rows] == [(m, f) for m in MODELS for f in frames]
    ious = [float(row["iou"]) for row in rows]
    vgg_and_resnet = scores_of(text_of(cell_of(notebook, "apply-iou")))
    psp_and_resnet = scores_of(text_of(cell_of(notebook, "compare")))
    assert ious == pytest.approx(vgg_and_resnet + psp_and_resnet[:3], abs=6e-5)
    # Under each list it stands once more, as it fits a report.
    said = text_of(cell_of(notebook, "apply-iou")) + text_of(cell_of(notebook, "compare"))
    for k, model in enumerate(MODELS):
        line = re.search(rf"^{model}: (\d\.\d{{3}}), (\d\.\d{{3}}), (\d\.\d{{3}}) \(mean (\d\.\d{{3}})\)$", said, re.M)
        own = ious[3 * k : 3 * k + 3]
        assert [float(number) for number in line.groups()] == pytest.approx([*own, sum(own) / 3], abs=6e-4)


def data_folder(folder):
    camvid = folder / "data" / "CamVid"
    return camvid if camvid.exists() else folder / "data" / "sample"


@pytest.mark.slow
def test_the_table_holds_the_scores_of_the_notebook(on_the_sample, sample_result):
    check_table(on_the_sample[0], sample_result)


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(on_the_sample, sample_result):
    page = (on_the_sample[0] / "build" / "proj2.html").read_text(encoding="utf-8")
    assert not re.search(r"<script[^>]+src|<link[^>]+href|@import|url\(['\"]?(?!data:)[^)'\"#]", page)
    sources = re.findall(r'<img[^>]*?\ssrc="([^"]{1,30})', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    # The formulas are pictures, and none was forgotten.
    assert page.count('class="formula"') == len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+?\$", markdown(sample_result), re.S))


@pytest.mark.slow
def test_only_build_is_written(on_the_sample):
    folder, _ = on_the_sample
    assert sorted(p.name for p in (folder / "build").iterdir()) == ["iou.csv", "proj2.html", "proj2.ipynb"]
    assert cell_of(nbformat.read(folder / "proj2.ipynb", as_version=4), "brief")
    untouched = nbformat.read(folder / "proj2.ipynb", as_version=4)
    assert all(not c.outputs for c in untouched.cells if c.id.endswith("-again"))


@pytest.mark.slow
@pytest.mark.skipif("CAMVID_DIR" not in os.environ, reason="needs CamVid's frames: set CAMVID_DIR")
def test_it_runs_on_the_real_frames_and_stores_what_it_shows(tmp_path, stored):
    folder = project_copy(tmp_path / "proj 2")
    (folder / "data" / "CamVid").symlink_to(Path(os.environ["CAMVID_DIR"]).resolve())
    run_copy(folder, "--in-place")

    result = nbformat.read(folder / "proj2.ipynb", as_version=4)
    check_outputs(result)
    check_table(folder, result)
    assert (folder / "proj2.ipynb").read_bytes() == (folder / "build" / "proj2.ipynb").read_bytes()
    assert (folder / "proj2.ipynb").stat().st_size < 4e6
    # The notebook of the repository shows the weights of the repository. Processors differ in the last digits.
    for name in ("apply-iou", "compare"):
        now, then = (scores_of(text_of(cell_of(notebook, name))) for notebook in (result, stored))
        assert now == pytest.approx(then, abs=0.005), "the stored outputs are old: make notebook"


# In a reader's hands


@pytest.mark.slow
def test_what_is_saved_is_in_force_in_the_next_cell(stored, tmp_path):
    for part in ("proj2_code", "proj2_unit_tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    edits = {
        "one line more": "code.replace('def sigmoid', '\\n\\ndef sigmoid')",
        "wrong": "code.replace('return e /', 'return 2 * e /')",
        "right again": "code.replace('return 2 * e /', 'return e /')",
        "no Python": "code + 'def ('",
        "fixed": "code.removesuffix('def (')",
    }
    edit = "file = Path('proj2_code/student_code.py')\ncode = file.read_text('utf-8')\nfile.write_text({}, 'utf-8')"
    setup = [cell_of(stored, name).source for name in ("imports", "project-root", "import-project")]
    check = cell_of(stored, "sigmoid-test").source
    sources = [*setup, check]
    for change in edits.values():
        sources += [edit.format(change), check]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])

    run_notebook.execute(notebook, tmp_path)

    said = [text_of(cell) for cell in notebook.cells if cell.source == check]
    right = {name: "Correct" in text for name, text in zip(["as it is", *edits], said, strict=True)}
    assert right == {name: name not in ("wrong", "no Python") for name in right}, said


# The setup cells, which have to work where no test can run the whole notebook


@pytest.mark.parametrize("start", ["", "proj2_code", "..", "staff/tests"])
def test_the_project_is_found_from_any_folder(stored, tmp_path, monkeypatch, capsys, start):
    project = tmp_path / "é b" / "proj 2"
    for part in ("proj2_code", "staff/tests"):
        (project / part).mkdir(parents=True)
    (project / "proj2_code" / "student_code.py").touch()
    monkeypatch.chdir(project / start)
    path = ["first", str(project), "last"]
    scope = {"os": os, "Path": Path, "sys": types.SimpleNamespace(path=path)}

    for _ in range(2):
        exec(cell_of(stored, "project-root").source, scope)

        assert Path.cwd() == scope["ROOT"] == project.resolve()
        assert path == [str(project / "proj2_code"), str(project), "first", "last"]
        # The outputs are stored: where the project lies is nobody's business.
        assert capsys.readouterr().out == "Working in the folder proj 2\n"


def test_a_folder_without_the_project_is_an_error_that_says_so(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="or directly below it: open this notebook inside the project's folder"):
        exec(cell_of(stored, "project-root").source, {"os": os, "Path": Path, "sys": sys})


def test_the_colab_cell_does_nothing_elsewhere(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("top", ["", "proj2_starter/"])
@pytest.mark.parametrize("uploaded_before", [True, False])
def test_the_colab_cell_unpacks_and_installs_what_is_missing(stored, tmp_path, monkeypatch, top, uploaded_before):
    def upload():
        with zipfile.ZipFile("any name.zip", "w") as archive:
            archive.writestr(f"{top}proj2_code/student_code.py", "")
            pins = "# pinned\nnumpy==1.0\nnot-on-colab==1.2.3\nAlso_Missing==4\njupyterlab==4.6.6\n"
            archive.writestr(f"{top}requirements.txt", pins)
        return {"any name.zip": b""}

    monkeypatch.chdir(tmp_path)
    if uploaded_before:
        upload()
    colab = types.SimpleNamespace(files=types.SimpleNamespace(upload=upload))
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    commands = []
    monkeypatch.setattr(subprocess, "check_call", commands.append)

    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})

    assert (tmp_path / top / "proj2_code" / "student_code.py").is_file()
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert [word for word in command if "==" in word] == ["not-on-colab==1.2.3", "Also_Missing==4"]

    # Once everything is there, pip has nothing to do, and would say so with an error.
    (tmp_path / top / "requirements.txt").write_text("numpy==1.0\n")
    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    assert len(commands) == 1


def test_the_colab_cell_refuses_another_zip_and_none(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colab = types.SimpleNamespace(files=types.SimpleNamespace(upload=dict))
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    with pytest.raises(FileNotFoundError, match="upload the project's zip"):
        exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("street.jpg", "")
    with pytest.raises(FileNotFoundError, match=r"photos\.zip"):
        exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
