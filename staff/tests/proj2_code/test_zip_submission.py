"""zip_submission.py as a student runs it: its own process, in a tree whose path has a blank and an accent."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

import zip_submission
from staff import ROOT

SOURCES = {"student_code.py": b"import utils\n", "utils.py": b"CLASSES = ()\n"}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "né proj 2"
    (root / "proj2_code").mkdir(parents=True)
    shutil.copy(ROOT / "zip_submission.py", root)
    for name, source in SOURCES.items():
        (root / "proj2_code" / name).write_bytes(source)
    (root / "proj2_code" / "notes.txt").write_text("not handed in")
    return root


def run(tree, *arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, tree / "zip_submission.py", *arguments],
        cwd=cwd or tree,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
    )


def refused(done, folder, *words):
    """The run failed with these words on one screen, without a traceback, and left nothing new in the folder."""
    assert done.returncode != 0
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in folder.iterdir() if path.suffix in (".zip", ".part")]


def test_zip_holds_the_two_files_and_says_what_to_upload(tree):
    done = run(tree, "--gt_username", "gburdell3")

    target = tree / "gburdell3.zip"
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == SOURCES
    assert done.returncode == 0
    assert str(target) in done.stdout
    assert "Upload gburdell3.zip to proj2-code" in done.stdout and "gburdell3.pdf" in done.stdout
    assert "Warning" not in done.stdout and not done.stderr
    assert sorted(path.name for path in tree.iterdir()) == ["gburdell3.zip", "proj2_code", "zip_submission.py"]


def test_zip_lies_where_the_command_was_run(tree, tmp_path):
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    done = run(tree, "--gt_username", "gburdell3", cwd=elsewhere)

    assert done.returncode == 0
    assert str(elsewhere / "gburdell3.zip") in done.stdout
    assert (elsewhere / "gburdell3.zip").is_file() and not (tree / "gburdell3.zip").exists()


def test_same_files_give_the_same_bytes(tree):
    """The digest is written down: it must not depend on the date, the platform or the version of Python or zlib."""
    run(tree, "--gt_username", "gburdell3")
    os.utime(tree / "proj2_code" / "utils.py", (1_600_000_000, 1_600_000_000))
    (tree / "proj2_code" / "student_code.py").chmod(0o600)
    run(tree, "--gt_username", "someone.else", TZ="Asia/Tokyo")

    digests = {hashlib.sha256((tree / name).read_bytes()).hexdigest() for name in ("gburdell3.zip", "someone.else.zip")}
    assert digests == {"81f01f90c1b017384f61b7b58d8850d9da1b4cb0fc293ab96f85008e7ea70796"}


@pytest.mark.parametrize(
    "name", ["", ".x", "-x", "../a", "a\\b", "C:a", "two words", "a\n", "a@b", "a.zip", "a.", "a..b", "é", "<a>"]
)
def test_anything_but_a_plain_user_name_is_refused(name):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a plain user name"):
        zip_submission.user_name(name)


USER = ("--gt_username", "gburdell3")


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        (lambda code: None, ["--gt_username=../gburdell3"], "is not a plain user name"),
        (lambda code: None, [], "--gt_username"),
        (lambda code: (code / "student_code.py").unlink(), USER, "student_code.py is missing"),
        (lambda code: (code / "utils.py").unlink() or (code / "utils.py").mkdir(), USER, "utils.py is missing"),
    ],
)
def test_what_cannot_be_packed_is_refused(tree, spoil, arguments, words):
    spoil(tree / "proj2_code")
    done = run(tree, *arguments)
    refused(done, tree, words)
    refused(done, tree.parent)


def test_a_file_too_large_to_be_graded_is_refused(tree):
    path = tree / "proj2_code" / "utils.py"
    with open(path, "ab") as file:
        file.truncate(zip_submission.LARGEST_FILE)
    assert "cannot be run" in run(tree, "--gt_username", "gburdell3").stdout  # zeros are no Python, but not too large
    (tree / "gburdell3.zip").unlink()
    with open(path, "ab") as file:
        file.write(b"#")
    refused(run(tree, "--gt_username", "gburdell3"), tree, str(path), "10 MB", "take data and weights out")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_folder_without_rights_is_named(tree, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    refused(run(tree, "--gt_username", "gburdell3", cwd=closed), closed, str(closed), "where you may write")


def test_own_earlier_zip_is_overwritten(tree):
    run(tree, "--gt_username", "gburdell3")
    (tree / "proj2_code" / "utils.py").write_bytes(b"CLASSES = ('car',)\n")
    done = run(tree, "--gt_username", "gburdell3")

    assert done.returncode == 0
    assert zipfile.ZipFile(tree / "gburdell3.zip").read("utils.py") == b"CLASSES = ('car',)\n"


def test_what_others_made_is_left_alone(tree):
    target = tree / "gburdell3.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for name, source in SOURCES.items():
            archive.writestr(name, source)
    made_by_hand = target.read_bytes()
    target.unlink()
    run(tree, "--gt_username", "gburdell3")
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("notes.txt", "added since")
    for foreign in (made_by_hand, target.read_bytes(), b"a text under this name", b""):
        target.write_bytes(foreign)
        done = run(tree, "--gt_username", "gburdell3")
        assert done.returncode != 0 and str(target) in done.stderr and "move it away" in done.stderr
        assert "Traceback" not in done.stderr
        assert target.read_bytes() == foreign

    target.unlink()
    target.mkdir()
    assert "move it away" in run(tree, "--gt_username", "gburdell3").stderr
    assert target.is_dir()


def test_interrupted_write_leaves_the_earlier_zip_and_no_part(tree, monkeypatch):
    run(tree, "--gt_username", "gburdell3")
    before = (tree / "gburdell3.zip").read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(zip_submission.Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zip_submission.write(tree / "gburdell3.zip", b"new")
    assert (tree / "gburdell3.zip").read_bytes() == before
    assert not list(tree.glob("*.part")) and not list(tree.glob(".*.part"))


def test_syntax_error_is_a_warning(tree):
    (tree / "proj2_code" / "student_code.py").write_text("import utils\ndef sigmoid(x:\n    return x\n")
    done = run(tree, "--gt_username", "gburdell3")

    assert done.returncode == 0 and (tree / "gburdell3.zip").is_file()
    assert "Warning: student_code.py cannot be run" in done.stdout and "line 2" in done.stdout
    assert "Fix this and run this program again before you upload." in done.stdout and "Upload" not in done.stdout


@pytest.mark.parametrize("source", [b"return 1\n", b"x = '\0'\n", b"x = '\xff'\n", b"(" * 5000, b"-" * 100_000 + b"1"])
def test_code_that_cannot_run_is_a_warning(tree, source):
    (tree / "proj2_code" / "student_code.py").write_bytes(source)
    done = run(tree, "--gt_username", "gburdell3")

    assert done.returncode == 0 and "Warning: student_code.py cannot be run" in done.stdout
    assert "Traceback" not in done.stderr


def test_todo_left_is_a_warning(tree):
    (tree / "proj2_code" / "student_code.py").write_text(
        'def IoU(predict, target):\n    """TO-DO 5: IoU."""\n    raise NotImplementedError("TO-DO 5: IoU")\n'
        'def softmax(x):\n    """TO-DO 2: softmax."""\n    return x\n'
        'def compare():\n    raise NotImplementedError("TO-DO EC: compare")\n'
        'def compare():\n    raise NotImplementedError("TO-DO EC: compare")\n'
    )
    done = run(tree, "--gt_username", "gburdell3")

    assert done.returncode == 0
    warnings = [line for line in done.stdout.splitlines() if line.startswith("Warning")]
    assert warnings == [
        'Warning: student_code.py still raises "TO-DO 5: IoU".',
        'Warning: student_code.py still raises "TO-DO EC: compare" (extra credit).',
    ]
    assert "Upload gburdell3.zip" in done.stdout


@pytest.fixture
def warnings_of(tree, monkeypatch):
    """A function that returns the warnings about a student_code.py with this text, in the tree."""
    monkeypatch.setattr(zip_submission, "ROOT", tree)
    monkeypatch.setattr(zip_submission, "CODE", tree / "proj2_code")

    def find(source):
        problems = zip_submission.find_problems("student_code.py", source.encode())
        return [problem.removeprefix("student_code.py ") for problem in problems]

    return find


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import os, utils, masks", "masks.py"),
        ("def f():\n    from more.scores import g", "more/scores.py"),
        ("from more import scores", "more/scores.py"),
        ("from . import masks", "proj2_code/masks.py"),
        ("from proj2_code.masks import f", "proj2_code/masks.py"),
        ("import proj2_code.masks", "proj2_code/masks.py"),
        ("from proj2_unit_tests import checks", "proj2_unit_tests/checks.py"),
        ("import importlib\nm = importlib.import_module('masks')", "masks.py"),
    ],
)
def test_an_imported_file_that_is_not_handed_in_is_a_warning(tree, warnings_of, source, file):
    for path in (
        "proj2_code/masks.py",
        "proj2_code/more/scores.py",
        "proj2_code/unused.py",
        "proj2_unit_tests/checks.py",
    ):
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).touch()
    assert warnings_of(source) == [f"imports {file}, which is not handed in: move its code into student_code.py."]


def test_imports_that_work_when_graded_are_no_warning(tree, warnings_of):
    shutil.copy(ROOT / "requirements.txt", tree)
    source = (
        "import utils, os, torch, cv2, PIL.Image\nfrom proj2_code.utils import CLASSES\nfrom proj2_code import utils"
    )
    assert warnings_of(source) == []


def test_a_package_beyond_the_requirements_is_a_warning(tree, warnings_of):
    shutil.copy(ROOT / "requirements.txt", tree)
    assert warnings_of("import torch\nimport ruff\n") == ["imports ruff, which is not installed where it is graded."]


def test_files_that_are_not_handed_in_are_a_warning(tree, warnings_of):
    (tree / "proj2_code" / "means.npy").touch()
    path = str(tree / "proj2_code" / "notes.txt")
    source = (
        f"import numpy\nx = numpy.load('proj2_code/means.npy')\ny = open({path!r})\nz = '/tmp', 'models/a.pt', ''\n"
    )
    assert warnings_of(source) == [
        f"uses {file}, which is not there when it is graded." for file in sorted([path, "proj2_code/means.npy"])
    ]


@pytest.mark.parametrize("source", ["x.cuda()", "x.to('cuda:0')", "x.to(device='mps')"])
def test_a_graphics_card_is_a_warning_unless_asked_for(warnings_of, source):
    assert warnings_of(source) == ["asks for a graphics card, and the grader has none."]
    assert warnings_of(f"if torch.cuda.is_available():\n    {source}") == []


def test_the_solutions_get_no_warning():
    for name in zip_submission.FILES:
        assert zip_submission.find_problems(name, (ROOT / "proj2_code" / name).read_bytes()) == []


def test_console_that_cannot_print_the_path(tree):
    done = run(tree, "--gt_username", "gburdell3", PYTHONIOENCODING="ascii")

    assert done.returncode == 0 and not done.stderr
    assert r"n\xe9 proj 2" in done.stdout


def test_an_environment_that_lacks_packages_says_nothing_of_others(tree, warnings_of):
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    (tree / "requirements.txt").write_text(requirements + "\nno-such-package==1.0\n", "utf-8")
    assert warnings_of("import torch\nimport ruff\n") == []
