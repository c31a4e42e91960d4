"""Graded by the real zip: what is handed in, in whatever form."""

import re
import subprocess
import sys

import pytest

from staff import ROOT
from staff.kit import make_starter
from staff.tests.kit.autograder.harness import (
    FULL,
    KIT,
    NOTHING,
    ONE,
    SUBMISSIONS,
    code,
    one_function,
    zip_of,
)
from staff.tests.proj2_code.notebook_cells import TODO_OF_TEST

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


def test_starter_gets_no_points_and_names_the_todo(grade):
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
    visible = [test for test in graded.results["tests"] if test["visibility"] == "visible"]
    assert {test["name"].partition(" · ")[2] for test in visible} == set(TODO_OF_TEST)
    hidden = [test for test in graded.results["tests"] if test["visibility"] != "visible"]
    assert {test["number"].split(".")[0] for test in hidden} == set(FULL)
    table = re.findall(r"^\| TO-DO (\w+): \w+ \| (\d+) \| (\d+):", (KIT / "README.md").read_text("utf-8"), re.MULTILINE)
    for todo, *points in table:
        for part, most in zip((visible, hidden), points, strict=True):
            assert sum(t["max_score"] for t in part if t["number"].startswith(f"{todo}.")) == int(most)
    assert {todo: int(seen) + int(unseen) for todo, seen, unseen in table} == FULL


# What is handed in, and how


def test_syntax_error(grade):
    graded = grade({"student_code.py": code("syntax_error")})
    line = (SUBMISSIONS / "good.py").read_text("utf-8").count("\n") + 2
    assert graded.points == NOTHING
    assert f"SyntaxError: expected ':' (line {line} of student_code.py)" in graded.results["output"]


def test_folder_with_an_altered_utils(grade):
    utils = "def verify(function):\n    return 'Correct'\n"
    source = one_function().replace("import torch\n", "import torch\n\nimport utils\n\nutils.Dataset\n", 1)
    graded = grade(
        {"Abgabe für Übung 2/student_code.py": source, "Abgabe für Übung 2/utils.py": utils, "__MACOSX/utils.py": "1/0"}
    )
    assert graded.points == ONE
    assert "utils.py lacks" in graded.results["output"] and "Dataset" in graded.results["output"]
    assert "passed over" not in graded.results["output"]


@pytest.mark.parametrize("content", [b"", b"\0" * 100], ids=lambda c: str(c[:4]))
def test_files_that_are_no_python(grade, content):
    graded = grade({"student_code.py": content})
    assert graded.points == NOTHING
    assert graded.worked
