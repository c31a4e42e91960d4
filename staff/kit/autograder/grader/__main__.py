"""python -m grader ROOT grades ROOT/submission into ROOT/results/results.json; ROOT is Gradescope's /autograder."""

import contextlib
import json
import os
import pwd
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests import TESTS

from . import processes, submission, values
from .results import ABOUT_HIDDEN, Results
from .student import PRELOAD, UNREADABLE, Broken, Student
from .testing import Failed

SECRET = ("grader", "tests", "reference.py", "expected.values")


def grade(root: Path, supervisor: Any = None) -> int:
    """Grade ROOT/submission, with a supervisor that has been started, if one is given. Return the exit status."""
    results = Results(root / "results" / "results.json", TESTS)
    visible, hidden = (sum(test.points for test in TESTS if test.visible is shown) for shown in (True, False))
    about_hidden = (
        f"{ABOUT_HIDDEN}{visible} points; {hidden} more are for hidden tests, "
        "whose results appear when grades are published."
    )
    results.notes.append(about_hidden)
    results.publish()
    try:
        _grade(root, results, supervisor)
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, Broken):
            print(f"The autograder cannot grade here: {error}")
        results.notes = [
            about_hidden,
            "The autograder itself failed. This says nothing about your submission: please inform the staff.",
        ]
        return 1
    finally:
        results.publish(final=True)
        print(results.table())
    return 0


def _grade(root: Path, results: Results, supervisor: Any) -> None:
    source = (root / "source").resolve()
    uid = _spare_uid() if os.geteuid() == 0 else None
    if uid is not None:
        _close_off(root, source)
    expected = values.loads((source / "expected.values").read_bytes())
    limits = json.loads((source / "limits.json").read_text(encoding="utf-8"))
    temp_folder = Path(tempfile.mkdtemp(prefix="grading-"))
    try:
        temp_folder.chmod(0o755)
        try:
            found = submission.find(root / "submission", temp_folder / "unpacked")
        except submission.Unusable as reason:
            _fail_all(results, str(reason))
            return
        results.notes += found.notes
        submission.lay_out(found, source / "project", temp_folder / "pristine", uid)
        processes.delete(temp_folder / "unpacked")
        student = Student(source, temp_folder, _preload(found, source), uid, limits, expected, supervisor)
        try:
            _report_isolation(student.isolation, uid)
            _run_tests(student, results)
        finally:
            student.close()
    finally:
        processes.delete(temp_folder)


def _run_tests(student: Student, results: Results) -> None:
    passed, notes = _judge(student.load, "student_code.py")
    if not passed:
        _fail_all(results, notes)
        return
    results.notes += notes if isinstance(notes, list) else []
    todo = None
    for i, test in enumerate(TESTS):
        if test.todo != todo:
            todo, student.timeouts = test.todo, 0
        results.record(i, *_judge(partial(test.check, student), test.title))
        results.publish()


def _judge(check: Callable, what: str) -> tuple[bool, Any]:
    """Return whether a check passed, and its message. An answer that cannot be read is a failure."""
    try:
        return True, check() or "As expected."
    except Failed as failure:
        return False, str(failure)
    except Broken:
        raise
    except Exception:
        traceback.print_exc()
        return False, UNREADABLE.format(what)


def _fail_all(results: Results, message: str) -> None:
    results.notes.append(message)
    for i in range(len(TESTS)):
        results.record(i, False, message)


def _preload(found: submission.Submission, source: Path) -> list[str]:
    code = list(found.files.values())
    if any(b"utils" in content for content in code):
        code.append((source / "project" / "proj2_code" / "utils.py").read_bytes())
    wanted = [name for name in PRELOAD if any(name.partition(".")[0].encode() in content for content in code)]
    if any(b"torch.compile" in content for content in code):
        wanted.append("torch._inductor.compile_fx")  # two seconds, which every worker would spend again
    return ["torch", *wanted]


def _spare_uid() -> int:
    """A user id that nobody has, different for gradings side by side."""
    uid = 20_000 + os.getpid() % 40_000
    with contextlib.suppress(KeyError):
        while pwd.getpwuid(uid):
            uid += 1
    return uid


def _close_off(root: Path, source: Path) -> None:
    """Forbid other users to read or write the files that the student's code must not reach."""
    for path in [*(source / name for name in SECRET), root / "submission_metadata.json"]:
        if path.exists():
            path.chmod(0o700 if path.is_dir() else 0o600)
    (root / "results").chmod(0o755)


def _report_isolation(isolation: dict, uid: int | None) -> None:
    """Say in the log for staff how far the student's code was kept apart."""
    if isolation["landlock"]:
        print("The student's code could neither read nor write the grader's files (Landlock).")
        if isolation["landlock"] < 4:
            print("It could open TCP connections: Linux 6.7 or newer would refuse them.")
    if uid is not None:
        print(f"The student's code ran as a user of its own, {uid}.")
    elif not isolation["landlock"]:
        print("WARNING: the student's code ran with the grader's own rights; root, or Linux 5.13, would narrow them.")


if __name__ == "__main__":
    sys.exit(grade(Path(sys.argv[1]).resolve()))
