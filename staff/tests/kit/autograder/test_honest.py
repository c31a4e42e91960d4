"""Graded by the real zip: right solutions in unusual styles, and unusual surroundings, earn all their points."""

import subprocess
import sys

import pytest

from staff import ROOT
from staff.kit.autograder.grader import archives, processes
from staff.tests.kit.autograder import harness
from staff.tests.kit.autograder.harness import FULL, ONE, SUBMISSIONS, one_function, zip_of

UTILS = (ROOT / "proj2_code" / "utils.py").read_text("utf-8")
ADDED = "\n\ndef added():\n    return 1\n"  # to a student's own utils.py
NEST = "import os\nfor _ in range(2100):\n    os.mkdir('d')\n    os.chdir('d')\n"  # deeper than a path may be long
USES_ADDED = "import utils\n\nutils.added()\n"
AROUND_IT = {
    "proj2_code/helpers/checks.py": "def require(fine):\n    if not fine:\n        raise ValueError('no such mask')\n",
    "proj2_code/helpers/constants.py": "ONE = 1\n",
    "table.py": f"TABLE = '{'0' * (3 << 20)}0'\nSIZE = len(TABLE)\n",  # a helper of 3 MB in the root
}


def assert_all_points(graded):
    lost = [f"{t['name']}: {t['output']}" for t in graded.results["tests"] if t["status"] == "failed"]
    assert not lost, "\n".join(lost)
    assert graded.points == FULL


@pytest.mark.parametrize(("name", "around"), [("honest_python", {}), ("honest_torch", AROUND_IT)])
def test_unusual_styles(grade, name, around):
    files = {"proj2_code/student_code.py": (SUBMISSIONS / f"{name}.py").read_text("utf-8")}
    assert_all_points(grade(files | {"proj2_code/utils.py": UTILS} | around))


def test_surroundings_cost_nothing(grade):
    """Backslashes, pictures in front, neighbours too large, an entry of no name, another archive that is broken."""
    files = {f"data/CamVid/train/{i:04}.png": "" for i in range(2100)}
    files |= {"": "", "a/\0": "", "proj2\\big.py": "#" * (archives.LARGEST_FILE + 1)}
    files |= {"proj2\\utils.py": UTILS + ADDED, "proj2\\student_code.py": one_function() + USES_ADDED}
    graded = grade({"gburdell3.zip": zip_of(files), "empty.tar.gz": b"\x1f\x8b"})
    assert graded.points == ONE
    assert set(graded.outputs("5")) == {"Expected a function IoU in student_code.py, found none."}
    assert "passed over" not in graded.results["output"]  # the added function was there
    assert "big.py is larger than the 10 MB that a Python file may have" in graded.results["output"]


def test_backslashes_left_by_unzipping_and_folders_too_deep(autograder, gradescope):
    files = {"proj2\\utils.py": UTILS + ADDED, "proj2\\student_code.py": one_function() + USES_ADDED}
    root = gradescope(files)
    subprocess.run([sys.executable, "-c", NEST], cwd=root / "submission", check=True)
    graded = harness.grade(autograder, root)
    processes.delete(root / "submission" / "d")  # pytest could not
    assert graded.points == ONE
    assert graded.results["output"].count("utils.py") == 0
