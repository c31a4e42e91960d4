"""Grade submissions here as Gradescope would, with the very zip that it runs.

    python -m staff.kit.grade gburdell3.zip       a table, whose last line is the total
    python -m staff.kit.grade --all submissions/  every zip and folder in it, in parallel, into grades.csv

The students' code runs on this machine. README.md says how far the grader shuts it in.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from staff.kit import make_autograder
from staff.kit.autograder.grader import submission


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submission", nargs="?", type=Path, help="a zip, a folder or a student_code.py")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="grade every zip and folder in FOLDER")
    parser.add_argument(
        "--csv", type=Path, default=Path("grades.csv"), help="where --all writes (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if (arguments.submission is None) == (arguments.all is None):
        parser.error("give either one submission or --all FOLDER")
    if os.name == "nt":
        parser.error("the grader needs Linux or macOS; on Windows run it in WSL")
    given = arguments.submission or arguments.all
    if not given.exists() or (arguments.all and not given.is_dir()):
        parser.error(f"{given} is no {'folder' if arguments.all else 'submission'}")
    with tempfile.TemporaryDirectory(prefix="autograder-") as place:
        os.chmod(place, 0o755)
        source = _autograder(Path(place))
        if arguments.all:
            _grade_all(arguments.all, source, arguments.csv)
        else:
            log, _ = grade(given, source)
            print(log, end="")


def grade(given: Path, source: Path) -> tuple[str, dict]:
    """Grade one submission with the autograder unpacked at `source`; return its log and what results.json holds."""
    with tempfile.TemporaryDirectory(prefix="root-", dir=source.parent) as place:
        root = Path(place)
        (root / "source").symlink_to(source)
        _hand_in(given, root / "submission")
        shutil.copy(source / "run_autograder", root)
        log = subprocess.run(["bash", root / "run_autograder"], stdout=subprocess.PIPE, encoding="utf-8").stdout
        return log, json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))


def _autograder(place: Path) -> Path:
    """Unpack dist/autograder.zip, built anew if anything in it has changed, with this Python as its environment."""
    files, archive = make_autograder.sources(), make_autograder.ZIP
    newest = max(path.stat().st_mtime for path in [*files.values(), Path(make_autograder.__file__)])
    if not archive.exists() or archive.stat().st_mtime <= newest:
        print(f"Building {archive} first.", file=sys.stderr)
        make_autograder.build(files, archive)
    source = place / "source"
    shutil.unpack_archive(archive, source)
    (source / "venv").symlink_to(sys.prefix)
    return source


def _hand_in(given: Path, target: Path) -> None:
    """Lay a submission where Gradescope lays it: the contents of a zip, or else what was given."""
    if given.is_dir():
        shutil.copytree(given, target, symlinks=True)
        return
    target.mkdir()
    try:
        submission.unpack(given, target)
    except submission.UNPACKING_ERRORS:
        shutil.copy(given, target)


def _grade_all(folder: Path, source: Path, table: Path) -> None:
    """Grade everything in a folder, as many at a time as there are cores, and write one line each."""
    given = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".zip" or path.is_dir()]
    given = [path for path in given if not path.name.startswith((".", "__MACOSX"))]
    if not given:
        sys.exit(f"{folder} holds no zip and no folder to grade.")
    rows = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {pool.submit(grade, path, source): path for path in given}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="graded", unit="submission"):
            rows[jobs[job]] = {"submission": jobs[job].name, **_outcome(job)}
    columns = list(max(rows.values(), key=len))
    partial = table.with_name(f".{table.name}.{os.getpid()}")
    with partial.open("w", newline="", encoding="utf-8-sig") as file:  # the mark tells Excel that this is UTF-8
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows[path] for path in given)
    os.replace(partial, table)
    print(f"Wrote {table}: {len(rows)} submissions.")


def _outcome(job: Future) -> dict:
    """The row of a submission; where its grading failed, a note on that: the others' points are not to be lost."""
    try:
        return _row(job.result()[1])
    except Exception as error:
        return {"total": "", "notes": f"could not be graded: {type(error).__name__}: {error}"}


def _row(results: dict) -> dict:
    """The total, the points of each TO-DO, and what the student was told about the submission as a whole."""
    tests = results.get("tests", [])  # none where the autograder could not be started
    row = {"total": results["score"], "of": sum(test["max_score"] for test in tests)}
    for test in tests:
        todo = test["tags"][0]
        row[todo] = row.get(todo, 0) + test["score"]
    return row | {"notes": results["output"]}


if __name__ == "__main__":
    main()
