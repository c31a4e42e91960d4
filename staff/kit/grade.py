"""Grade submissions here as Gradescope would, with the very zip that it runs.

    python -m staff.kit.grade gburdell3.zip                  a table, whose last line is the total
    python -m staff.kit.grade --all export.zip               a whole class, into grades.csv and grades.html
    python -m staff.kit.grade --compare old.csv grades.csv   whose score differs, and on which test

--all takes Gradescope's bulk export (its zip or its folder), or any folder of zips, folders and Python files. Stopped
and started again, it goes on where it stopped. The students' code runs on this machine: README.md says how far the
grader shuts it in.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

import psutil
from tqdm import tqdm

from staff.kit import compare_grades, gradebook
from staff.kit.class_export import parse_time, printable, read_class
from staff.kit.gradebook import Line


def main() -> None:
    arguments = _arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):  # a shell may have switched Ctrl-C off for it
        signal.signal(ending, signal.default_int_handler)
    try:
        if arguments.compare:
            print(compare_grades.compare(*arguments.compare))
        elif arguments.all:
            _grade_class(arguments)
        else:
            _grade_one(arguments.submission)
    except KeyboardInterrupt:
        sys.exit("Stopped. Run the same command again.")
    except OSError as error:
        sys.exit(printable(f"{error.filename}: {error.strerror}" if error.filename else str(error)))
    except ValueError as error:
        sys.exit(printable(str(error)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submission", nargs="?", type=Path, help="a zip, a folder or a student_code.py")
    parser.add_argument("--all", type=Path, metavar="CLASS", help="a folder or zip with the submissions of a class")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"), help="two tables that --all wrote")
    parser.add_argument(
        "--csv", type=Path, default=Path("grades.csv"), help="where --all writes (default: %(default)s)"
    )
    parser.add_argument("--roster", type=Path, help="a CSV of the class: its order, and who handed in nothing")
    parser.add_argument("--due", type=_due, metavar="TIME", help='marks late ones, as in "2026-10-06 23:59 -0400"')
    parser.add_argument(
        "--jobs", type=int, default=default_jobs(), metavar="N", help="at a time (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if sum(map(bool, (arguments.submission, arguments.all, arguments.compare))) != 1:
        parser.error("give either one submission, or --all CLASS, or --compare OLD NEW")
    if arguments.jobs < 1:
        parser.error("--jobs must be 1 or more")
    if os.name == "nt" and not arguments.compare:
        parser.error("the grader needs Linux or macOS; on Windows run it in WSL")
    for given in filter(None, (arguments.submission, arguments.all)):
        if not given.exists():
            parser.error(f"{printable(str(given))} does not exist")
    if arguments.csv.is_dir() or arguments.csv.suffix.lower() != ".csv":
        parser.error(f"--csv {printable(str(arguments.csv))} must be the name of a file that ends in .csv")
    return arguments


def default_jobs() -> int:
    """As many as there are cores, and GB of free memory: each takes about one."""
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available >> 30))


def _due(text: str) -> datetime:
    """A time; without a zone it is this computer's."""
    time = parse_time(text, zone=None)
    if time is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no time; write it as in "2026-10-06 23:59 -0400"')
    return time


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="autograder-", ignore_cleanup_errors=True) as place:
        os.chmod(place, 0o755)  # for the user that a student's code becomes
        yield Path(place)


def _grade_one(given: Path) -> None:
    from staff.kit import grading

    with _temporary_folder() as place:
        autograder = grading.Autograder(place)
        try:
            log = autograder.grade(given).log
        except BaseException:
            autograder.stop()
            raise
        autograder.close()
        print(log, end="")


def _grade_class(arguments: argparse.Namespace) -> None:
    from staff.kit import grading  # takes a second, which --compare and --help need not wait for

    table, page, kept = arguments.csv, arguments.csv.with_suffix(".html"), arguments.csv.with_suffix(".results")
    table.parent.mkdir(parents=True, exist_ok=True)
    roster = gradebook.read_roster(arguments.roster) if arguments.roster else None
    with _temporary_folder() as place:
        scratch = place / "class"
        scratch.mkdir(mode=0o700)
        ours = {table, page, kept} | ({arguments.roster} if arguments.roster else set())
        entries = read_class(arguments.all, scratch, ours)
        if not entries:
            raise ValueError(f"{arguments.all} holds nothing to grade.")
        if arguments.due and (unknown := sum(entry.handed_in is None for entry in entries)):
            print(f"{unknown} of {len(entries)} have no time, so --due cannot say if they are late.", file=sys.stderr)
        lines = gradebook.lines_of(entries, roster)
        autograder = grading.Autograder(place)
        results = grading.Results(kept, autograder.version)
        try:
            _grade_lines(lines, autograder, results, arguments.jobs)
            autograder.close()
        except KeyboardInterrupt:
            gradebook.write_table(table, lines, arguments.due)
            left = sum(_gradable(line) and line.results is None for line in lines)
            sys.exit(
                f"\nStopped with {left} of {len(lines)} lines of {table} left. Run the same command again to go on."
            )
        gradebook.write_table(table, lines, arguments.due)
        from staff.kit import grade_page

        grade_page.write(page, table.stem, lines, arguments.due)
    print(f"Wrote {table} and {page}: {len(lines)} lines, {len(entries)} submissions. Results are kept in {kept}.")
    for line in lines:
        if line.entry and line.entry.problem:
            print(f"{line.entry.name}: could not be graded: {line.entry.problem}", file=sys.stderr)
        elif line.unfinished:
            print(f"{line.entry.name}: {gradebook.UNFINISHED}: {line.unfinished}", file=sys.stderr)
    if any(line.unfinished for line in lines):
        sys.exit("Run the same command again: what did not finish is graded again.")


def _gradable(line: Line) -> bool:
    return line.entry is not None and not line.entry.problem


def _grade_lines(lines: list[Line], autograder, results, jobs: int) -> None:
    """Fill in the results of all lines. Equal submissions are graded once: equal code earns equal points."""
    from staff.kit import grading

    waiting: dict[str, list[Line]] = defaultdict(list)
    fingerprint, load = cache(grading.fingerprint), cache(results.load)  # once for all lines of a group
    for line in filter(_gradable, lines):
        try:
            key = fingerprint(line.entry.path)
        except OSError as error:
            line.entry.problem = f"cannot be read ({error.strerror}: {printable(str(error.filename))})"
            continue
        line.results = load(key)
        if line.results is None:
            waiting[key].append(line)
    paths = {key: group[0].entry.path for key, group in waiting.items()}
    done = sum(line.results is not None for line in lines)
    total = done + sum(map(len, waiting.values()))
    gradings = grading.grade_all(autograder, paths, jobs)
    bar = tqdm(total=total, initial=done, desc="graded", unit="submission")
    with bar, contextlib.closing(gradings):  # Ctrl-C closes it too, and so ends the gradings
        for key, grading_of_key in gradings:
            unfinished = ""
            if grading_of_key.worked:
                results.keep(key, grading_of_key.results)
            elif not grading_of_key.problem:
                unfinished = printable(grading_of_key.log.strip()[-300:]) or "it left no log"
            for line in waiting[key]:
                line.results, line.entry.problem = grading_of_key.results, printable(grading_of_key.problem)
                line.unfinished = unfinished
            bar.update(len(waiting[key]))


if __name__ == "__main__":
    main()
