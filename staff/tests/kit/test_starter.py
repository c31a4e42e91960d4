"""What students receive: the real zip, unpacked elsewhere. It holds no line of a solution, and fails as it should."""

import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from xml.etree import ElementTree

import nbclient
import nbformat
import pptx
import pytest

from staff import ROOT
from staff.files import write_zip
from staff.kit import make_starter
from staff.tests.proj2_code.notebook_cells import TODO_OF_TEST

# Blank lines, closing brackets, `return scores`, `raise ValueError(`, and an idiom that the given code shows as well.
TRIVIAL = re.compile(r"[^\w]*|return \w+|raise \w+\(|with utils\.evaluation_mode\(model\):")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist") / "proj2_starter.zip"
    make_starter.main(target=target)
    return target


@pytest.fixture(scope="module")
def starter(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("né Ordner")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder / "proj2"


def marked_lines():
    """Every line between the marks in the reference, with the place it stands at."""
    texts = {"student_code.py": (ROOT / "proj2_code" / "student_code.py").read_text("utf-8")}
    cells = nbformat.read(ROOT / "proj2.ipynb", as_version=4).cells
    texts |= {f"proj2.ipynb, cell {number}": cell.source for number, cell in enumerate(cells, 1)}
    for name, text in texts.items():
        inside = False
        for number, line in enumerate(text.splitlines(), 1):
            if "END SOLUTION" in line:
                inside = False
            if inside:
                yield f"{name}, line {number}", line.strip()
            if "BEGIN SOLUTION" in line:
                inside = True


def texts(archive):
    """All that can be read in the starter, by name: the notebook's cells and the words on the slides among it."""
    with zipfile.ZipFile(archive) as file:
        contents = {name: file.read(name) for name in file.namelist() if not name.endswith((".png", ".pt"))}
    for name, content in contents.items():
        if name.endswith(".ipynb"):
            yield name, "\n".join(cell.source for cell in nbformat.reads(content, as_version=4).cells)
        elif name.endswith(".pptx"):
            slides = pptx.Presentation(io.BytesIO(content)).slides
            words = [shape.text_frame.text for slide in slides for shape in slide.shapes if shape.has_text_frame]
            notes = [slide.notes_slide.notes_text_frame.text for slide in slides if slide.has_notes_slide]
            yield name, "\n".join(words + notes)
        else:
            yield name, content.decode("utf-8")


def run_unit_tests(folder, report):
    """pytest's verdict, by unit test: the message of a failure, or an empty text."""
    command = [sys.executable, "-m", "pytest", "proj2_unit_tests", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run(command, cwd=folder, capture_output=True)
    cases = ElementTree.parse(report).iter("testcase")
    return {case.get("name"): "".join(verdict.get("message") for verdict in case) for case in cases}


def test_zip_holds_one_folder_with_what_a_student_needs(archive):
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()

    assert {name.split("/")[0] for name in names} == {"proj2"}
    assert not [name for name in names if re.search(r"/\.|__pycache__|staff|\.pyc$|~$", name)]
    needed = (
        "README.md Makefile LICENSE pyproject.toml requirements.txt environment.yml proj2.ipynb zip_submission.py "
        "proj2_template.pptx proj2_code/student_code.py proj2_code/utils.py proj2_code/iou_question.png "
        "data/get_camvid.py data/camvid_registry.txt data/render_street/__init__.py proj2_unit_tests/__init__.py "
        "models/vgg19_best_model_weights.pt models/resnet50_best_model_weights.pt "
        "models/pspnet_resnet50_best_model_weights.pt"
    )
    assert {f"proj2/{name}" for name in needed.split()} <= set(names)
    for folder in ("data/sample/test", "data/sample/testannot"):
        assert len([name for name in names if name.startswith(f"proj2/{folder}/")]) == 3


def test_pictures_of_the_notebook_are_there(starter):
    notebook = nbformat.read(starter / "proj2.ipynb", as_version=4)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", "\n".join(cell.source for cell in notebook.cells))
    assert pictures and not [name for name in pictures if not (starter / name).is_file()]


def test_no_line_of_a_solution_is_in_it(archive):
    solution = {place: line for place, line in marked_lines() if not TRIVIAL.fullmatch(line)}
    assert len(solution) > 50
    assert {place.split(",")[0] for place in solution} == {"student_code.py", "proj2.ipynb"}

    found = [
        f"{place}: {line!r} is in {name}"
        for name, text in texts(archive)
        for place, line in solution.items()
        if line in text
    ]
    assert not found
    assert not [name for name, text in texts(archive) if re.search("(BEGIN|END) SOLUTION", text)]


def test_no_staff_matters_are_in_it(archive):
    """But for the model card, which goes where the weights go, and tells with which program it was measured."""
    words = {name: text for name, text in texts(archive) if name != "proj2/models/README.md"}
    assert not [name for name, text in words.items() if re.search(r"\bstaff/|autograder|make_starter", text)]


def test_notebook_keeps_no_outputs_and_has_room_for_answers(starter):
    reference = nbformat.read(ROOT / "proj2.ipynb", as_version=4)
    notebook = nbformat.read(starter / "proj2.ipynb", as_version=4)
    nbformat.validate(notebook)

    assert list(notebook.metadata) == ["kernelspec"] and len(reference.metadata) > 1
    assert [cell.cell_type for cell in notebook.cells] == [cell.cell_type for cell in reference.cells]
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None and not cell.metadata
    answers = sum(cell.source.count("BEGIN SOLUTION") for cell in reference.cells)
    assert answers >= 3
    assert sum(cell.source.count("*Write your answer here.*") for cell in notebook.cells) == answers


def test_code_given_to_students_is_the_references(starter):
    assert (starter / "proj2_code" / "utils.py").read_bytes() == (ROOT / "proj2_code" / "utils.py").read_bytes()
    given, region = [], False
    for line in (ROOT / "proj2_code" / "student_code.py").read_text("utf-8").splitlines():
        region = region or "BEGIN SOLUTION" in line
        if not region:
            given.append(line)
        region = region and "END SOLUTION" not in line
    lines = (starter / "proj2_code" / "student_code.py").read_text("utf-8").splitlines()
    todos = [line for line in lines if line.lstrip().startswith("raise NotImplementedError")]
    assert [line for line in lines if line not in todos] == given
    assert {re.search('"(.*)"', line)[1] for line in todos} == {*TODO_OF_TEST.values(), "TO-DO EC: load_PSP_resnet50"}


@pytest.mark.slow
def test_unit_tests_fail_with_the_todo_and_nothing_else(starter, tmp_path):
    verdicts = run_unit_tests(starter, tmp_path / "report.xml")
    assert verdicts == {test: f"NotImplementedError: {todo}" for test, todo in TODO_OF_TEST.items()}


@pytest.mark.slow
def test_verify_cells_say_wrong_with_the_todo(starter):
    notebook = nbformat.read(starter / "proj2.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells]
    setup = range(sources.index("## Setup"), next(i for i, source in enumerate(sources) if "## Part 1" in source))
    notebook.cells = [
        cell
        for i, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and (i in setup or "utils.verify(" in cell.source)
    ]
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(starter)}}).execute()

    printed = "".join(
        output.text for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"
    )
    verdicts = dict(line.split(":", 1) for line in printed.splitlines() if "Wrong" in line or "Correct" in line)
    assert {test.strip("() ") for test in verdicts} == set(TODO_OF_TEST)
    for test, verdict in verdicts.items():
        assert '"Wrong"' in verdict and TODO_OF_TEST[test.strip("() ")] in verdict


@pytest.mark.slow
def test_the_references_two_files_turn_every_unit_test_green(starter, tmp_path):
    solved = tmp_path / "proj2"
    shutil.copytree(starter, solved)
    for name in ("student_code.py", "utils.py"):
        shutil.copy(ROOT / "proj2_code" / name, solved / "proj2_code")

    assert run_unit_tests(solved / "proj2_code", tmp_path / "report.xml") == dict.fromkeys(TODO_OF_TEST, "")


def test_pyproject_is_pytests_settings_alone(starter):
    settings = tomllib.loads((starter / "pyproject.toml").read_text("utf-8"))
    expected = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]
    expected["ini_options"].pop("markers", None)
    assert settings == {"tool": {"pytest": expected}} and settings["tool"]["pytest"]["ini_options"]["pythonpath"]


def test_readme_names_what_is_there_and_misses_nothing(starter):
    readme = (starter / "README.md").read_text("utf-8")
    programs = re.findall(r"^python (\S+\.py)", readme, re.MULTILINE)
    assert programs and all((starter / name).is_file() for name in programs)
    table = [row.split("|")[1] for row in readme.partition("## Files")[2].splitlines() if "`" in row]
    listed = {name.strip("/") for names in table for name in re.findall("`([^`]+)`", names)}
    assert listed | {"README.md"} == {path.name for path in starter.iterdir() if not path.name.startswith(".")}


needs_make = pytest.mark.skipif(
    os.name == "nt" or shutil.which("make") is None, reason="make is not installed, or not for this Makefile"
)


@needs_make
@pytest.mark.parametrize(
    ("target", "command"),
    [("lab", "-m jupyterlab proj2.ipynb"), ("test", "-m pytest proj2_unit_tests"), ("data", "data/get_camvid.py")],
)
def test_make_targets_set_the_environment_up_and_run_their_command(starter, target, command):
    planned = subprocess.run(["make", "-n", target], cwd=starter, capture_output=True, encoding="utf-8", check=True)
    assert f".venv/bin/python {command}" in planned.stdout
    assert "pip install -r requirements.txt" in planned.stdout


@needs_make
def test_make_zip_wants_a_user_name(starter, tmp_path):
    folder = tmp_path / "né proj2"
    shutil.copytree(starter, folder, ignore=shutil.ignore_patterns("*.pt"))
    make = ["make", "zip", f"PYTHON={sys.executable}"]
    refused = subprocess.run(make, cwd=folder, capture_output=True, encoding="utf-8")
    assert refused.returncode != 0 and "make zip GT_USERNAME=gburdell3" in refused.stderr
    assert not list(folder.glob("*.zip"))

    done = subprocess.run([*make, "GT_USERNAME=gburdell3"], cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and (folder / "gburdell3.zip").is_file()
    assert 'student_code.py still raises "TO-DO 5: IoU".' in done.stdout


@needs_make
def test_make_alone_lists_the_targets(starter):
    # A make that was started by another one (`make test`) would say which folder it enters and leaves.
    make = ["make", "--no-print-directory"]
    listed = subprocess.run(make, cwd=starter, capture_output=True, encoding="utf-8", check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["help", "lab", "test", "data", "zip"]


TODO = "# TO-DO 1: sigmoid"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([TODO, BEGIN, "x = 1"], f"student_code.py, line 2: {BEGIN} without an {END} after it"),
        (
            [TODO, BEGIN, TODO, BEGIN, END, END],
            f"student_code.py, line 4: {BEGIN} inside the region that student_code.py, line 2",
        ),
        ([TODO, BEGIN, END, "", END], f"student_code.py, line 5: {END} without a {BEGIN} before it"),
        ([END], f"student_code.py, line 1: {END} without a {BEGIN} before it"),
        ([TODO, "## BEGIN SOLUTION", END], "student_code.py, line 2: a solution mark needs a line of its own"),
        ([TODO, BEGIN, "x = 1  ### END SOLUTION"], "student_code.py, line 3: a solution mark needs a line of its own"),
        ([TODO, BEGIN, "### end solution"], "student_code.py, line 3: a solution mark needs a line of its own"),
        (["", BEGIN, END], "student_code.py, line 2: the line before"),
        (["# TO-DO: sigmoid", BEGIN, END], "student_code.py, line 2: the line before"),
        ([BEGIN, END], "student_code.py, line 1: the line before"),
    ],
)
def test_misplaced_mark_is_named(lines, complaint):
    with pytest.raises(make_starter.MarkError) as error:
        make_starter.student_code("\n".join(lines), "student_code.py")
    assert str(error.value).startswith(complaint)


def test_misplaced_mark_in_the_notebook_is_named():
    cells = [nbformat.v4.new_markdown_cell("Text"), nbformat.v4.new_markdown_cell("\n<!-- ### BEGIN SOLUTION -->\nA")]
    with pytest.raises(make_starter.MarkError, match=r"^proj2\.ipynb, cell 2, line 2: ### BEGIN SOLUTION without"):
        make_starter.student_notebook(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), "proj2.ipynb")


@pytest.mark.parametrize("source", ["x = 1\n### BEGIN SOLUTION\n", None])
def test_nothing_is_written_when_something_is_wrong(tmp_path, monkeypatch, source):
    """A misplaced mark, or no student_code.py at all: the starter written earlier stays."""
    monkeypatch.setattr(make_starter, "TREE", ("proj2_code/student_code.py",))
    (tmp_path / "proj2_code").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if source:
        (tmp_path / "proj2_code" / "student_code.py").write_text(source)
    target = tmp_path / "dist" / "proj2_starter.zip"
    target.parent.mkdir()
    target.write_bytes(b"the earlier one")

    with pytest.raises(SystemExit, match=r"student_code\.py") as error:
        make_starter.main(tmp_path, target)
    assert error.value.code not in (0, None)
    assert target.read_bytes() == b"the earlier one" and len(list(target.parent.iterdir())) == 1


def test_same_contents_give_the_same_bytes(tmp_path):
    files = {"b.txt": b"b" * 1000, "run": b"#!/bin/sh\n", "a/é.txt": b""}
    write_zip(tmp_path / "new folder" / "one.zip", files)
    write_zip(tmp_path / "two.zip", dict(reversed(files.items())))

    assert (tmp_path / "new folder" / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        rights = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert rights == {"b.txt": 0o644, "run": 0o755, "a/é.txt": 0o644}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new folder", "two.zip"]


def test_interrupted_write_leaves_the_earlier_zip_and_no_part(tmp_path):
    target = tmp_path / "one.zip"
    target.write_bytes(b"the earlier one")
    with pytest.raises(AttributeError):
        write_zip(target, {"a.txt": b"a", "b.txt": None})
    assert target.read_bytes() == b"the earlier one" and list(tmp_path.iterdir()) == [target]


def test_made_again_it_is_the_same(archive):
    again = {f"proj2/{name}": content for name, content in make_starter.starter_files(ROOT).items()}
    with zipfile.ZipFile(archive) as file:
        assert file.namelist() == sorted(again)
        assert not [name for name in again if not name.endswith(".pt") and file.read(name) != again[name]]


def test_hidden_files_do_not_get_in(tmp_path, monkeypatch):
    monkeypatch.setattr(make_starter, "TREE", ("data/*.png",))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("a.png", "._a.png"):
        (tmp_path / "data" / name).write_bytes(b"")
    names = set(make_starter.starter_files(tmp_path))
    assert names == {"README.md", "Makefile", "pyproject.toml", "data/a.png"}
