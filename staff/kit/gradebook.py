"""The table of a class: who stands in it, and what their line holds."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from staff.kit import spreadsheet
from staff.kit.autograder.grader.results import ABOUT_HIDDEN
from staff.kit.class_export import Entry, Student, printable, show_time

ABOUT = ("submission", "name", "sid", "email", "group", "handed in", "late", "earlier submissions")
UNFINISHED = "the autograder did not finish"
_HEADINGS = {
    "name": ("name", "full name", "student", "student name"),
    "first": ("first name", "first"),
    "last": ("last name", "last", "surname"),
    "sid": ("sid", "student id", "id", "gtid", "student number"),
    "email": ("email", "e-mail", "email address", "mail"),
    "role": ("role",),
}


@dataclass
class Line:
    """A student (or a submission of nobody known), what counts for them, and what they handed in before."""

    student: Student
    entry: Entry | None
    earlier: list[Entry] = field(default_factory=list)
    remark: str = ""
    results: dict | None = None  # results.json
    unfinished: str = ""  # the end of the log, if the autograder itself failed


def read_roster(path: Path) -> list[Student]:
    """The students of a CSV with a column for the SID, the e-mail or the name, in its order, each once.

    Raises `ValueError` that names the file if it is no such table.
    """
    rows = spreadsheet.read(path)
    headings = {heading: key for key, names in _HEADINGS.items() for heading in names}
    columns = {headings[name.strip().casefold()]: name for name in rows[0] if name.strip().casefold() in headings}
    if not {"sid", "email", "name", "first", "last"} & set(columns):
        raise ValueError(f"{printable(str(path))} needs a column called SID, Email or Name.")
    students = {}
    for row in rows[1:]:
        cells = {
            key: printable(dict(zip(rows[0], row, strict=False)).get(name, "").strip()) for key, name in columns.items()
        }
        name = cells.get("name") or " ".join(filter(None, (cells.get("first"), cells.get("last"))))
        student = Student(name, cells.get("sid", ""), cells.get("email", ""))
        if student.keys and cells.get("role", "student").casefold() in ("", "student"):
            students.setdefault(student.keys[0], student)
    return list(students.values())


class _People:
    """Everybody of the roster and of the submissions, each once, with what they handed in.

    The SID identifies a student, or else the e-mail. A name does so only if it is unique on the roster: two
    submissions of one name may come from two people.
    """

    def __init__(self, roster: list[Student]):
        self.everybody: list[tuple[Student, list[Entry]]] = []
        self._known: dict[tuple[str, str], int] = {}
        names = Counter(student.name.casefold() for student in roster)
        for student in roster:
            number = self.find(student)
            if student.name and names[student.name.casefold()] == 1:
                self._known.setdefault(("name", student.name.casefold()), number)
        self.listed = len(self.everybody)

    def find(self, student: Student) -> int:
        """The place of this student in `everybody`."""
        number = next((self._known[key] for key in student.keys if self._matches(student, key)), len(self.everybody))
        if number == len(self.everybody):
            self.everybody.append((student, []))
        for key in student.keys:
            if key[0] != "name":
                self._known.setdefault(key, number)
        return number

    def _matches(self, student: Student, key: tuple[str, str]) -> bool:
        """Whether a key identifies this student: no more reliable key of the two may differ."""
        if key not in self._known:
            return False
        surer = dict(student.keys[: student.keys.index(key)])
        other = dict(self.everybody[self._known[key]][0].keys)
        return all(other.get(kind, value) == value for kind, value in surer.items())


def lines_of(entries: list[Entry], roster: list[Student] | None) -> list[Line]:
    """One line a student: first the roster's in its order, then the others by the name of their submission.

    Of several submissions of one student the last one counts. A submission without a name (`gburdell3.zip`) belongs to
    whoever on the roster has that id or user name.
    """
    people = _People(roster or [])
    nick_names = _of_one((student.email.partition("@")[0], student) for student in roster or [])
    nick_names |= _of_one((student.sid, student) for student in roster or [])
    nameless = []
    for entry in entries:
        known = nick_names.get(_stem(entry).casefold())
        students = entry.students or ([known] if known else [])
        for student in students:
            people.everybody[people.find(student)][1].append(entry)
        if not students:
            nameless.append(Line(Student(), entry))

    lines = [_line(*person) for person in people.everybody]
    listed, others = lines[: people.listed], lines[people.listed :] + nameless
    others.sort(key=lambda line: line.entry.name)
    if roster is not None:
        for line in others:
            line.remark = "not on the roster"
    return listed + others


def _of_one(named: Iterable[tuple[str, Student]]) -> dict[str, Student]:
    """Map each name that only one student has to that student."""
    owners: dict[str, set[Student]] = defaultdict(set)
    for name, student in named:
        owners[name.casefold()].add(student)
    return {name: students.pop() for name, students in owners.items() if name and len(students) == 1}


def _stem(entry: Entry) -> str:
    """The name of a folder, or of a file without its ending."""
    is_file = entry.path is not None and os.path.isfile(entry.path)
    return re.sub(r"(\.tar)?\.\w+$", "", entry.name) if is_file else entry.name


def _line(student: Student, entries: list[Entry]) -> Line:
    if not entries:
        return Line(student, None, remark="nothing handed in")
    ordered = sorted(entries, key=_when)
    named = next((one for one in ordered[-1].students if one.is_same(student)), student)
    whole = Student(student.name or named.name, student.sid or named.sid, student.email or named.email)
    return Line(whole, ordered[-1], ordered[:-1])


def _when(entry: Entry) -> tuple:
    """What sorts submissions by time; where it is not known, by name, since Gradescope's numbers grow."""
    return (entry.handed_in.timestamp() if entry.handed_in else 0, _natural(entry.name))


def _natural(name: str) -> list:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def row_of(line: Line, due: datetime | None) -> dict:
    """The cells of a line by column; numbers are numbers."""
    row = dict.fromkeys((*ABOUT, "total", "of"), "") | {
        "name": line.student.name,
        "sid": line.student.sid,
        "email": line.student.email,
    }
    notes = [line.remark, UNFINISHED if line.unfinished else ""]
    if line.entry is not None:
        entry = line.entry
        group = [one.name or one.email or one.sid for one in entry.students if not one.is_same(line.student)]
        earlier = [f"{one.name} ({show_time(one.handed_in)})" if one.handed_in else one.name for one in line.earlier]
        row |= {
            "submission": entry.name,
            "group": ", ".join(group),
            "handed in": show_time(entry.handed_in) if entry.handed_in else "",
            "late": lateness(entry.handed_in, due),
            "earlier submissions": "; ".join(earlier + entry.history),
        }
        notes.append(f"could not be graded: {entry.problem}" if entry.problem else "")
        notes.append("" if entry.problem or line.results else "not graded yet")
    results = line.results or {}
    tests = results.get("tests", [])
    if line.results:
        row |= {"total": results["score"], "of": sum(test["max_score"] for test in tests)}
    for test in tests:
        row[test["tags"][0]] = row.get(test["tags"][0], 0) + test["score"]
    said = [text for text in results.get("output", "").split("\n") if not text.startswith(ABOUT_HIDDEN)]
    row["notes"] = "\n".join(filter(None, [*notes, *said]))
    return row | {column_of(test): test["score"] for test in tests}


def column_of(test: dict) -> str:
    """The heading of a test: its number and name."""
    return f"{test['number']} {test['name']}"


def lateness(handed_in: datetime | None, due: datetime | None) -> str:
    """How much later than due, as in `1 d 02:03:04`; empty if in time or not known."""
    if handed_in is None or due is None or handed_in <= due:
        return ""
    by = handed_in - due
    return f"{by.days} d {by.seconds // 3600:02}:{by.seconds // 60 % 60:02}:{by.seconds % 60:02}"


def write_table(target: Path, lines: list[Line], due: datetime | None) -> None:
    """Write the CSV of a class, a line a student; the points of each test stand at the right."""
    rows = [row_of(line, due) for line in lines]
    tests = max(rows, key=len)  # a line that was graded
    spreadsheet.write(target, rows, [*ABOUT, *(name for name in tests if name not in ABOUT)])
