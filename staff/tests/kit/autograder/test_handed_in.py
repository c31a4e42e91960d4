"""Graded by the real zip: what is handed in, in whatever form."""

import os
import subprocess
import sys

import pytest

from staff import ROOT
from staff.kit import make_starter
from staff.tests.kit.autograder.harness import (
    FULL,
    NOTHING,
    ONE,
    SUBMISSIONS,
    code,
    one_function,
    run,
    zip_of,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Gradescope runs on Linux; the grader needs fork"),
]


# The good ones


def test_reference_gets_full_marks_and_grade_py_says_so(archive, tmp_path):
    code = ROOT / "proj2_code"
    handed_in = tmp_path / "gburdell3.zip"
    handed_in.write_bytes(zip_of({name: (code / name).read_bytes() for name in ("student_code.py", "utils.py")}))
    done = subprocess.run(
        [sys.executable, "-m", "staff.kit.grade", handed_in],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "total 110 / 110"
    assert not [line for line in lines if " 0 / " in line]


def test_starter_gets_nothing_and_is_told_which_todo(grade):
    text = (ROOT / "proj2_code" / "student_code.py").read_text("utf-8")
    starter = make_starter.student_code(text, "student_code.py")
    graded = grade({"student_code.py": starter, "utils.py": (ROOT / "proj2_code" / "utils.py").read_bytes()})
    assert graded.points == NOTHING
    for test in graded.results["tests"]:
        assert f"is not written yet: NotImplementedError: {test['tags'][0]} (line " in test["output"]


def test_nothing_handed_in_lists_the_tests_of_proj2_unit_tests(grade):
    graded = grade({"report.pdf": "%PDF"})
    assert graded.points == NOTHING
    assert "Expected student_code.py" in graded.results["output"] and "found report.pdf" in graded.results["output"]
    names = {
        line.split("(")[0].removeprefix("def ")
        for path in (ROOT / "proj2_unit_tests").glob("test_*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("def test_")
    }
    visible = [test for test in graded.results["tests"] if test["visibility"] == "visible"]
    assert {test["name"].partition(" · ")[2] for test in visible} == names
    hidden = [test for test in graded.results["tests"] if test["visibility"] != "visible"]
    assert {test["number"].split(".")[0] for test in hidden} == set(FULL)
    most = {}
    for test in graded.results["tests"]:
        todo = test["number"].split(".")[0]
        most[todo] = most.get(todo, 0) + test["max_score"]
    assert most == FULL


# What is handed in, and how


def test_syntax_error(grade):
    graded = grade({"student_code.py": code("syntax_error")})
    line = (SUBMISSIONS / "good.py").read_text("utf-8").count("\n") + 2
    assert graded.points == NOTHING
    assert f"SyntaxError: expected ':' (line {line} of student_code.py)" in graded.results["output"]


def test_wrong_file_name_beside_what_a_mac_leaves(grade):
    """And functions that are missing cost their own points."""
    graded = grade({"Student Code (1).py": one_function(), "._student_code.py": b"\0\5\26\7", ".DS_Store": b"\0"})
    assert graded.points == ONE
    assert set(graded.outputs("5")) == {"Expected a function IoU in student_code.py, found none."}
    assert "no utils.py" in graded.results["output"]
    assert "There is no student_code.py; Student Code (1).py" in graded.results["output"]


def test_zip_in_a_zip(grade):
    inner = zip_of({"proj2/student_code.py": one_function(), "__MACOSX/proj2/._student_code.py": b"\0\5\26\7"})
    graded = grade({"proj2.zip": zip_of({"again/gburdell3.zip": inner}), "broken.zip": b"PK\3\4 and no more"})
    assert graded.points == ONE
    assert "in an archive inside the submission" in graded.results["output"]
    assert "broken.zip could not be unpacked" in graded.results["output"]


def test_folder_with_an_altered_utils(grade):
    utils = "def verify(function):\n    return 'Correct'\n"
    source = one_function().replace("import torch\n", "import torch\n\nimport utils\n\nutils.Dataset\n", 1)
    graded = grade(
        {"Abgabe für Übung 2/student_code.py": source, "Abgabe für Übung 2/utils.py": utils, "__MACOSX/utils.py": "1/0"}
    )
    assert graded.points == ONE
    assert "utils.py lacks" in graded.results["output"] and "Dataset" in graded.results["output"]
    assert "passed over" not in graded.results["output"]


def test_links_are_not_followed(gradescope):
    root = gradescope({})
    (root / "submission" / "student_code.py").symlink_to(root / "source" / "reference.py")
    (root / "submission" / "folder").symlink_to(ROOT / "proj2_code")
    graded = run(root)
    assert graded.points == NOTHING
    assert "Expected student_code.py" in graded.results["output"]


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"x = 1\n" * 2_000_000], ids=lambda c: str(c[:4]))
def test_files_that_are_no_python(grade, content):
    graded = grade({"student_code.py": content})
    assert graded.points == NOTHING
    assert graded.worked
