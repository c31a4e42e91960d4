"""Graded by the real zip: what one submission cannot do to the grader, to the machine, or to the next submission."""

import os
from pathlib import Path

from staff.tests.kit.autograder.harness import GOOD, LOADED, code


def test_what_takes_too_much_is_stopped_and_nothing_stays(autograder, grade):
    limits = LOADED | {"wall_seconds": 6, "memory_gib": 1}
    graded = grade({"student_code.py": code("takes_too_much", MARK=str(os.getpid()))}, limits=limits)
    assert graded.points == GOOD | {"3": 0}
    assert "needed more than the 1 GiB of memory a test may use" in graded.outputs("3")[0]
    assert "found 0 files of others, ptrace gives -1" in graded.outputs("4")[1]
    assert "was still running after 6 s" in graded.outputs("6")[0]
    assert not list(Path("/dev/shm").glob(f"left-{os.getpid()}*"))
    assert not list(autograder.work.glob("grading-*"))
    assert not [link for link in Path("/tmp").glob("grading-*") if autograder.work in link.resolve().parents]


def test_the_time_for_a_submission_is_limited(grade):
    source = code() + "\nimport time\n\ntime.sleep(1.5)\n"
    graded = grade({"student_code.py": source}, limits=LOADED | {"total_seconds": 12})
    assert "the time for the whole submission" in graded.outputs("5")[-1]
    assert 0 < graded.results["score"] < 70  # some was graded before the time was up
