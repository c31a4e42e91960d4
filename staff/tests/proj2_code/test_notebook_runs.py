"""proj2.ipynb as it runs, on the rendered scenes."""

import csv
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from staff import ROOT, run_notebook
from staff.tests.proj2_code.notebook_cells import cell_of, check_outputs, markdown, scores_of, text_of

pytestmark = pytest.mark.slow
MODELS = ["FPN-VGG19", "FPN-ResNet50", "PSPNet-ResNet50"]

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


def project_copy(folder):
    """What the notebook needs, in a folder of its own, without CamVid."""
    for part in ("proj2_code", "proj2_unit_tests", "data"):
        ignored = shutil.ignore_patterns("CamVid", "LabelMeFacade", "starts", "__pycache__", ".*")
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    (folder / "staff").mkdir()
    programs = [ROOT / "staff" / name for name in ("__init__.py", "files.py", "run_notebook.py")]
    for program in [*programs, *(ROOT / "staff").glob("notebook_page.*")]:
        shutil.copy(program, folder / "staff")
    shutil.copy(ROOT / "proj2.ipynb", folder)
    (folder / "models").symlink_to(ROOT / "models")
    return folder


def run_copy(folder):
    """Run the notebook of a copy, without network, and with another `utils` on the path; return what was printed."""
    obstacles = folder.parent / "obstacles"
    obstacles.mkdir()
    (obstacles / "sitecustomize.py").write_text(NO_NETWORK)
    (obstacles / "utils.py").write_text("raise ImportError('not this utils')")
    environment = {name: value for name, value in os.environ.items() if name not in ("CAMVID_DIR", "MPLBACKEND")}
    environment |= {"PYTHONPATH": str(obstacles), "NETWORK_LOG": str(obstacles / "log"), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "staff.run_notebook"],
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
    """A cell, and the same again if it is code that runs a network once at most.

    Not the settings of the training: the runner makes the first ones small, and a second cell would undo it.
    """
    slow = ("print_model_summary", "range(len(test_dataset))", "applyIoU(", "compare_psp_fpn(", "test_model")
    slow += ("threshold_curve(", "features_and_labels(", "write_scenes(", "film")
    if cell.cell_type != "code" or cell.id == "learn-knobs" or any(call in cell.source for call in slow):
        return [cell]
    return [cell, nbformat.v4.new_code_cell(cell.source, id=f"{cell.id}-again")]


@pytest.fixture(scope="module")
def sample_result(on_the_sample):
    return nbformat.read(on_the_sample[0] / "build" / "proj2.ipynb", as_version=4)


def test_it_runs_on_the_sample_and_says_so(on_the_sample, sample_result):
    check_outputs(sample_result)
    said = text_of(cell_of(sample_result, "vis-dataset"))
    assert "data/sample" in said and "get_camvid.py" in said


def test_a_cell_run_twice_gives_the_same_again(sample_result):
    again = [cell for cell in sample_result.cells if cell.id.endswith("-again")]
    assert len(again) > 20
    for cell in again:
        first = cell_of(sample_result, cell.id.removesuffix("-again"))
        # An execute_result carries the cell's number, which has to differ.
        first, second = ([{**o, "execution_count": 0} for o in outputs] for outputs in (first.outputs, cell.outputs))
        assert first == second, cell.id


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
    frames = sorted(p.stem for p in (folder / "data" / "sample" / "test").glob("*.png"))
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


def test_the_table_holds_the_scores_of_the_notebook(on_the_sample, sample_result):
    check_table(on_the_sample[0], sample_result)


def test_the_page_needs_nothing_but_itself(on_the_sample, sample_result):
    page = (on_the_sample[0] / "build" / "proj2.html").read_text(encoding="utf-8")
    assert not re.search(r"<script[^>]+src|<link[^>]+href|@import|url\(['\"]?(?!data:)[^)'\"#]", page)
    sources = re.findall(r'<img[^>]*?\ssrc="([^"]{1,30})', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    # The formulas are pictures, and none was forgotten.
    assert page.count('class="formula"') == len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+?\$", markdown(sample_result), re.S))


def test_only_build_is_written(on_the_sample):
    folder, _ = on_the_sample
    assert sorted(p.name for p in (folder / "build").iterdir()) == ["iou.csv", "proj2.html", "proj2.ipynb"]
    assert cell_of(nbformat.read(folder / "proj2.ipynb", as_version=4), "brief")
    untouched = nbformat.read(folder / "proj2.ipynb", as_version=4)
    assert all(not c.outputs for c in untouched.cells if c.id.endswith("-again"))


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
