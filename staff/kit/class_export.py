"""Reads what a class handed in: Gradescope's bulk export, or any folder or zip of submissions.

Every file gets an entry. If it cannot be graded, its entry says why.
"""

import contextlib
import errno
import os
import re
import stat
import sys
import tempfile
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
        """The keys that identify this student, the most reliable first."""
        found = (("sid", self.sid), ("email", self.email), ("name", self.name))
        return [(kind, value.casefold()) for kind, value in found if value]

    def is_same(self, other: "Student") -> bool:
        """Whether the most reliable key that both have is equal."""
        theirs = dict(other.keys)
        return next((theirs[kind] == value for kind, value in self.keys if kind in theirs), False)


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
    damaged: list[Path] = []
    try:
        folder = given if given.is_dir() else _unpack_class(given, scratch, damaged)
    except Exception as error:  # a damaged zip raises one of a dozen types
        raise ValueError(f"{printable(str(given))} cannot be read as a zip: {error}") from None
    return _read_folder(folder, scratch, {os.path.realpath(path) for path in ignored}, damaged)


def _read_folder(folder: Path, scratch: Path, ignored: set[str], damaged: list[Path]) -> list[Entry]:
    """damaged: the files that were left out of unpacked zips; those of inner zips are added."""
    submitters = _read_metadata(folder / METADATA)
    paths = [
        path
        for path in sorted(_visible(folder), key=lambda path: os.fsencode(path.name))
        if path.name != METADATA and os.path.realpath(path) not in ignored
    ]
    classes = [path for path in paths if submitters is None and _is_whole_class(path)]
    if classes and classes == paths:
        folders = [path if os.path.isdir(path) else _unpack_class(path, scratch, damaged) for path in paths]
        return [entry for inner in folders for entry in _read_folder(inner, scratch, ignored, damaged)]
    entries = []
    for path in paths:
        # A student could have put the metadata there, in the names of others.
        problem = f"holds {METADATA}, as a whole class does: grade it apart" if path in classes else _problem(path)
        lost = [file.name for file in damaged if file.is_relative_to(path)]
        entry = Entry(printable(path.name), path, problem=f"{lost[0]} is damaged in the zip" if lost else problem)
        if submitters is not None:
            _describe(entry, submitters.pop(path.name, None))
        entries.append(entry)
    for name, about in (submitters or {}).items():
        entry = Entry(printable(name), problem=f"{METADATA} lists it, but its folder is missing")
        _describe(entry, about)
        entries.append(entry)
    return entries


def _is_whole_class(path: Path) -> bool:
    """Whether `path` is a bulk export, or a folder or zip of one, and not a single submission."""
    if os.path.isdir(path):  # which, unlike Path.is_dir, is quiet where rights are missing
        with contextlib.suppress(OSError):
            return any(os.path.isfile(place / METADATA) for place in (path, *_visible(path)))
        return False
    if path.suffix.lower() != ".zip" or not os.path.isfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(re.fullmatch(rf"([^/]+/)?{METADATA}", name) for name in archive.namelist())
    except Exception:  # a damaged zip raises one of a dozen types
        return False


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder, without what systems leave behind."""
    return [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]


def _unpack_class(archive: Path, scratch: Path, damaged: list[Path]) -> Path:
    """Unpack a zip, entry by entry: a damaged one is left out. Return the folder with the submissions."""
    target = Path(tempfile.mkdtemp(dir=scratch))
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            try:
                file.extract(info, target)
            except Exception as error:  # a damaged entry raises one of a dozen types
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise
                print(f"{printable(info.filename)} could not be unpacked: {error}", file=sys.stderr)
                part = target.joinpath(*(name for name in info.filename.split("/") if name not in ("", ".", "..")))
                with contextlib.suppress(OSError):
                    part.unlink()
                if archives.wanted(part.name):
                    damaged.append(part)
    inner = _visible(target)
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
