"""staff/run_notebook.py on small notebooks; the project's programs in a notebook and in consoles of any encoding."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from staff import ROOT, notebook_page, run_notebook

SCORES = "scores, frame_names = {'M': [0.5, 0.25]}, ['a', 'b']"


def small_notebook(folder, *sources):
    cells = [nbformat.v4.new_markdown_cell("## A section")]
    cells += [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, folder / "proj2.ipynb")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder in place of the repository."""
    monkeypatch.setattr(run_notebook, "ROOT", tmp_path)
    return tmp_path


FAILURES = {
    "# divide\nx / 0": ["Code cell 2 failed", "A section", "# divide", "ZeroDivisionError: division by zero"],
    "%run -m nothing --help": ["Code cell 2 failed"],  # its error comes without an output of type error
    "import os\nos._exit(1)": ["kernel died", "A section"],
    "y = 1": ["Every cell ran", "`scores`"],
}


@pytest.mark.slow
@pytest.mark.parametrize("source", FAILURES)
def test_a_failure_is_named_and_nothing_is_written(root, capsys, source):
    small_notebook(root, "x = 1", source)
    before = (root / "proj2.ipynb").read_bytes()
    assert run_notebook.main(["--in-place"]) == 1
    said = capsys.readouterr().err
    assert all(words in said for words in FAILURES[source])
    assert ("Code cell" in said) == any("Code cell" in words for words in FAILURES[source])
    assert [path.name for path in root.iterdir()] == ["proj2.ipynb"]
    assert (root / "proj2.ipynb").read_bytes() == before


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("minor", [0, 4, 5])
def test_a_notebook_without_cell_ids_gets_them(tmp_path, minor):
    """As programs before format 4.5 saved it, or as some programs still do."""
    small_notebook(tmp_path, SCORES)
    path = tmp_path / "proj2.ipynb"
    words = json.loads(path.read_text("utf-8")) | {"nbformat_minor": minor}
    for cell in words["cells"]:
        del cell["id"]
    path.write_text(json.dumps(words), "utf-8")
    notebook = run_notebook.read(path)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "<<<<<<< HEAD\n{}", None])
def test_a_file_that_is_no_notebook_is_named(root, capsys, content):
    if content is not None:
        (root / "proj2.ipynb").write_text(content)
    assert run_notebook.main([]) == 1
    what = "cannot be read" if content is None else "is not a notebook"
    assert f"{root / 'proj2.ipynb'} {what}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_wrong_answer_is_no_error_of_the_runner(root, monkeypatch, capsys):
    # Nor does it matter what another Jupyter calls its kernel of this name.
    kernel = root / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["no-such-program"], "display_name": "Another Python", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(root / "jupyter"))
    small_notebook(root, "print('Wrong')", SCORES)

    assert run_notebook.main([]) == 0

    assert (root / "build" / "iou.csv").read_text() == "model,frame,iou\nM,a,0.500000\nM,b,0.250000\n"
    assert re.search(r"^M +0\.5000 +0\.2500$", capsys.readouterr().out, re.M)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_stops_the_kernel_and_writes_nothing(tmp_path):
    small_notebook(tmp_path, "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(300)")
    command = (
        "import sys, pathlib; from staff import run_notebook; "
        "run_notebook.ROOT = pathlib.Path(sys.argv[1]); sys.exit(run_notebook.main([]))"
    )
    # Programs that are started in the background may have SIGINT switched off.
    running = subprocess.Popen(
        [sys.executable, "-c", command, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert running.poll() is None and time.monotonic() < deadline, running.communicate()
        time.sleep(0.1)

    running.send_signal(signal.SIGINT)

    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert said.strip() == "Stopped; nothing was written."
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pid", "proj2.ipynb"]


@pytest.mark.slow
def test_a_file_that_cannot_be_written_is_named(root, capsys):
    small_notebook(root, SCORES)
    (root / "build").write_text("a file in the way")
    assert run_notebook.main([]) == 1
    said = capsys.readouterr().err
    assert str(root / "build") in said and "cannot be written" in said


def test_formulas_in_code_are_left_alone():
    assert notebook_page.draw_formulas("`$HOME` and `$PATH`, not $x$").count("<img") == 1


# Every program of the project, in a notebook and in a console of any encoding

PROGRAMS = [
    "data/get_camvid.py",
    "zip_submission.py",
    "-m staff.run_notebook --",
    "-m staff.evaluate --",
    "-m staff.kit.grade --",
    "-m staff.training.labelmefacade --",
    "-m staff.training.train --",
    "-m staff.training.export --",
]


@pytest.mark.slow
def test_every_program_runs_in_a_notebook(tmp_path):
    """Their --help: what comes before it is what failed in a notebook, whose streams are no files."""
    sources = [f"%cd -q {ROOT}", *(f"%run {program} --help" for program in PROGRAMS)]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    run_notebook.execute(notebook, tmp_path)
    for cell in notebook.cells[1:]:
        assert not [o for o in cell.outputs if o.output_type == "error"], cell.source
        assert "usage:" in "".join(o.get("text", "") for o in cell.outputs), cell.source


@pytest.mark.slow
def test_the_notebook_can_be_run_from_a_notebook(tmp_path):
    small_notebook(tmp_path, SCORES)
    place = f"%cd -q {ROOT}\nimport pathlib\nfrom staff import run_notebook\n"
    call = f"run_notebook.ROOT = pathlib.Path({str(tmp_path)!r})\nprint(run_notebook.main([]))"
    outer = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(place + call)])
    run_notebook.execute(outer, tmp_path)
    assert (tmp_path / "build" / "iou.csv").is_file()


ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no name can hold such a byte")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_folder_of_any_name_in_a_console_of_any_encoding(tmp_path, encoding):
    folder = os.path.join(os.fsencode(tmp_path), "Łódź ".encode() + b"M\xfcller")
    root = os.fsdecode(folder)
    for name in ("data", "staff"):
        os.makedirs(os.path.join(root, name))
    programs = [ROOT / "data" / "get_camvid.py", *(ROOT / "staff" / name for name in ("__init__.py", "files.py"))]
    for path in [*programs, ROOT / "staff" / "run_notebook.py", *(ROOT / "staff").glob("notebook_page.*")]:
        shutil.copy(path, os.path.join(root, path.relative_to(ROOT)))
    cells = [nbformat.v4.new_markdown_cell("# Überschrift – 東京"), nbformat.v4.new_code_cell("import os")]
    scores = "scores, frame_names = {'É': [0.5]}, [os.getcwdb().decode('utf-8', 'surrogateescape')]\nprint(frame_names)"
    cells.append(nbformat.v4.new_code_cell(scores))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), os.path.join(root, "proj2.ipynb"))
    done = subprocess.run(
        [sys.executable, "-m", "staff.run_notebook"],
        cwd=root,
        capture_output=True,
        env=os.environ | ENCODINGS[encoding],
    )
    assert done.returncode == 0, done.stderr
    assert b"\nDone in" in done.stdout and b"0.5000" in done.stdout
    with open(os.path.join(root, "build", "iou.csv"), encoding="utf-8") as file:
        assert "É" in file.read()


@pytest.mark.slow
def test_only_a_run_in_place_trains_for_the_full_time_and_stores_what_it_shows(root):
    knobs = "scenes = 24  # to learn from\nheld_out_scenes = 4\nsteps = 30\nlearning_rate = 1e-3\n"
    cells = [
        nbformat.v4.new_code_cell(knobs + "print(scenes, held_out_scenes, steps, learning_rate)", id="learn-knobs"),
        nbformat.v4.new_code_cell("steps = 30\nscores, frame_names = {'M': [steps]}, ['a']", id="another"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "proj2.ipynb")

    printed = []
    for options in ([], ["--in-place"]):
        assert run_notebook.main(options) == 0
        done = nbformat.read(root / "build" / "proj2.ipynb", as_version=4)
        printed.append(done.cells[0].outputs[0].text.split())
        assert "M,a,30.0" in (root / "build" / "iou.csv").read_text()

    short = [str(value) for value in run_notebook.SHORT_TRAINING.values()]
    assert printed == [[*short, "0.001"], ["24", "4", "30", "0.001"]]
    assert done.cells[0].source.startswith(knobs)
    assert (root / "proj2.ipynb").read_bytes() == (root / "build" / "proj2.ipynb").read_bytes()
