"""Reads what a class handed in: Gradescope's bulk export, or any folder or zip of submissions.

Nothing that lies there goes unmentioned: what cannot be graded becomes an entry that says why.
"""

import os
import re
import stat
import sys
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import yaml

from staff.kit.autograder.grader import archives

METADATA = "submission_metadata.yml"  # Gradescope's list of who handed in what
# Reads all values as texts, so that ids keep their zeros, and minds no Ruby tag. The one in C is ten times as fast.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True)
class Student:
    """One person. Whatever is not known is an empty text."""

    name: str = ""
    sid: str = ""
    email: str = ""

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What tells this student from others, the surest first."""
        found = (("sid", self.sid), ("email", self.email), ("name", self.name))
        return [(kind, value.casefold()) for kind, value in found if value]


@dataclass
class Entry:
    """One submission: of one student, of a group, or of somebody whose name is not known."""

    name: str
    path: Path | None = None
    students: list[Student] = field(default_factory=list)
    handed_in: datetime | None = None
    history: list[str] = field(default_factory=list)  # earlier submissions, in words
    problem: str = ""  # why it cannot be graded


def printable(text: str) -> str:
    r"""`text` on one line for any console or table: bytes that are no UTF-8, controls and the like become `\x..`."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_class(given: Path, scratch: Path, ignored: set[Path]) -> list[Entry]:
    """Return every submission in a folder or zip, sorted by name.

    Zips of a whole class are unpacked into `scratch`; paths in `ignored` (our own tables, say) are passed over. Raises
    `ValueError` if `given` is a zip that cannot be read.
    """
    if given.is_dir():
        folder = given
    else:
        try:
            folder = _unpack_class(given, scratch / "class")
        except Exception as error:  # a damaged zip raises one of a dozen types
            raise ValueError(f"{printable(str(given))} cannot be read as a zip: {error}") from None
    return _read_folder(folder, scratch, {os.path.realpath(path) for path in ignored})


def _read_folder(folder: Path, scratch: Path, ignored: set[str]) -> list[Entry]:
    submitters = _read_metadata(folder / METADATA)
    entries = []
    for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        if path.name.startswith((".", "__MACOSX")) or path.name == METADATA or os.path.realpath(path) in ignored:
            continue
        if submitters is None and (inner := _whole_class(path, scratch)) is not None:
            entries += _read_folder(inner, scratch, ignored)
            continue
        entry = Entry(printable(path.name), path, problem=_problem(path))
        if submitters is not None:
            _describe(entry, submitters.pop(path.name, None))
        entries.append(entry)
    for name, about in (submitters or {}).items():
        entry = Entry(printable(name), problem=f"{METADATA} lists it, but its folder is missing")
        _describe(entry, about)
        entries.append(entry)
    return entries


def _whole_class(path: Path, scratch: Path) -> Path | None:
    """The folder of a bulk export that `path` is, holds, or packs; None if it is a single submission."""
    if os.path.isdir(path):  # which, unlike Path.is_dir, is quiet where rights are missing
        places = [path, *(one for one in _listed(path) if not one.name.startswith((".", "__MACOSX")))]
        return path if any(os.path.isfile(place / METADATA) for place in places) else None
    if path.suffix.lower() != ".zip" or not os.path.isfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(re.fullmatch(rf"([^/]+/)?{METADATA}", name) for name in archive.namelist()):
                return None
        return _unpack_class(path, scratch / f"class-{len(list(scratch.iterdir()))}")
    except Exception:
        return None


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _unpack_class(archive: Path, target: Path) -> Path:
    """Unpack a zip, entry by entry: a damaged one costs that file alone. Return the folder with the submissions."""
    target.mkdir(parents=True)
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            try:
                file.extract(info, target)
            except Exception as error:
                print(f"{printable(info.filename)} could not be unpacked: {error}", file=sys.stderr)
    inner = [path for path in target.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    # Most programs pack things into one folder.
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else target


def _problem(path: Path) -> str:
    """Why a file or folder cannot be graded, or an empty text."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.listdir(path)
            return ""
        if not stat.S_ISREG(mode):
            return "neither a file nor a folder"
        with path.open("rb"):
            pass
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if archives.ARCHIVE.search(path.name) or archives.PYTHON.search(path.name):
        return ""
    if archives.OTHER_ARCHIVE.search(path.name):
        return f"a {path.suffix} file cannot be unpacked here: unpack it into a folder of its own, or ask for a zip"
    return "not a submission: neither a folder, nor an archive, nor a Python file"


def _read_metadata(path: Path) -> dict | None:
    """Gradescope's metadata by submission, or None where there is none that can be read."""
    if not os.path.isfile(path):
        return None
    try:
        content = yaml.load(path.read_bytes(), LOADER)
        if not isinstance(content, dict):
            raise ValueError("it holds no list of submissions")
        return {str(name): about for name, about in content.items()}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        print(f"{printable(str(path))} cannot be read, so students' names are missing: {reason}", file=sys.stderr)
        return {}


def _describe(entry: Entry, about: object) -> None:
    """Add to an entry what the metadata says of it; whatever is not as Gradescope writes it is left out."""
    people = [_student(person) for person in _items(_get(about, "submitters"))]
    entry.students = [student for student in dict.fromkeys(people) if student.keys]
    entry.handed_in = parse_time(_text(_get(about, "created_at")))
    for earlier in _items(_get(about, "history")):
        when, score, number = (_text(_get(earlier, key)) for key in ("created_at", "score", "id"))
        time = parse_time(when)
        words = [
            show_time(time) if time else when,
            f"{score} points" if score else "",
            f"id {number}" if number else "",
        ]
        entry.history.append(", ".join(word for word in words if word))


def _get(mapping: object, key: str) -> object:
    """An entry of the metadata, whose keys are Ruby's (`:name`) or plain."""
    return mapping.get(f":{key}", mapping.get(key)) if isinstance(mapping, dict) else None


def _items(value: object) -> list:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    text = printable(value.strip()) if isinstance(value, str) else ""
    return "" if text in ("~", "null") else text


def _student(person: object) -> Student:
    return Student(*(_text(_get(person, key)) for key in ("name", "sid", "email")))


def parse_time(text: str, zone: tzinfo | None = UTC) -> datetime | None:
    """A time as Gradescope or ISO 8601 writes it, or None if it is none.

    One without a zone is taken to be in `zone` (UTC, as Gradescope's are; None: this computer's).
    """
    try:
        time = datetime.fromisoformat(re.sub(r"\s+(?=Z$|[+-]\d\d:?\d\d$)", "", text.strip()))
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def show_time(time: datetime) -> str:
    """To the second, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
