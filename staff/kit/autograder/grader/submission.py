"""Finds student_code.py and what belongs to it in whatever was handed in, and lays out the project around it.

Nothing here runs, imports or parses the student's code. Symbolic links are never followed: the grader may read more
than the student may.
"""

import errno
import itertools
import os
import re
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from . import archives

FUNCTIONS = ("sigmoid", "softmax", "apply_mask_to_image", "load_FPN_resnet50", "IoU", "applyIoU", "compare_psp_fpn")
CODE = "proj2_code"
OWN = ".project_code"  # no submission has a folder of this name: what begins with a dot is passed over
DEEPEST_ARCHIVE = 3
MOST_FILES = 500  # Python files that are taken along with student_code.py
MOST_LOOKED_AT = 5000


class Unusable(Exception):
    """Nothing in the submission can be graded; the message is for the student."""


@dataclass
class Submission:
    """The files to grade (contents by path in the project) and what the student should know of how they were found."""

    files: dict[PurePosixPath, bytes]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Candidate:
    """A Python file: where it lies, its name in the submission, and the number of its archive (0: in none)."""

    path: Path
    name: PurePosixPath
    archive: int = 0


def find(folder: Path, scratch: Path) -> Submission:
    """Return the submission under `folder`; archives in it are unpacked into `scratch`. Raises `Unusable`."""
    notes: list[str] = []
    candidates = _python_files(folder)
    if not any(candidate.name.name == "student_code.py" for candidate in candidates):
        candidates += _unpack_all(folder, scratch, notes)
    chosen = _choose(candidates, notes)
    if chosen is None:
        raise Unusable(" ".join([_describe_contents(folder), *notes]))
    if chosen.archive:
        notes.append("student_code.py lay in an archive inside the submission; it was graded all the same.")
    problems: list[str] = []
    main = _read(chosen, problems)
    if main is None:
        raise Unusable(" ".join(problems))
    files = {PurePosixPath(CODE, "student_code.py"): main}
    for place, candidate in _places(chosen, candidates).items():
        content = _read(candidate, notes)
        if content is not None and len(files) < MOST_FILES:
            files.setdefault(place, content)
    if PurePosixPath(CODE, "utils.py") not in files:
        notes.append("There is no utils.py in the submission; the project's own was used.")
    return Submission(files, notes)


def lay_out(submission: Submission, project: Path, target: Path, uid: int | None) -> None:
    """Build in `target` the tree a student works in, around the submitted files: folders `project` and `home`.

    The weights lie beside it and are linked to, so that it is quick to copy. A worker's user may add files anywhere in
    the tree, as students' code does, and change or remove none of ours.
    """
    tree, weights = target / "project", target.parent / "weights"
    shutil.copytree(project, tree, ignore=shutil.ignore_patterns("models", CODE))
    shutil.copytree(project / "models", weights)
    shutil.copytree(project / CODE, tree / OWN)
    (tree / "models").mkdir()
    for path in weights.iterdir():
        (tree / "models" / path.name).symlink_to(path)
    (tree / CODE).mkdir()
    for place, content in submission.files.items():
        try:
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / place).write_bytes(content)
        except OSError as error:
            if place.name == "student_code.py" or error.errno == errno.ENOSPC:
                raise
            submission.notes.append(f"{place} could not be laid out and was left aside.")
    if not (tree / CODE / "utils.py").exists():
        shutil.copy(tree / OWN / "utils.py", tree / CODE)
    (target / "home").mkdir()
    for path in [target / "home", tree, weights, *tree.rglob("*"), *weights.iterdir()]:
        if not path.is_symlink():
            shared = uid is not None and weights not in (path, path.parent)
            path.chmod((0o1777 if shared else 0o755) if path.is_dir() else 0o644)


def _places(chosen: Candidate, candidates: list[Candidate]) -> dict[PurePosixPath, Candidate]:
    """Where in the project the other files go: as they lie around student_code.py, subfolders too.

    Around `proj2_code` itself lies the project's root, from which the notebook imports as well.
    """
    base = chosen.name.parent
    places: dict[PurePosixPath, Candidate] = {}
    for other in candidates:
        if other.archive != chosen.archive or other == chosen:
            continue
        if other.name.is_relative_to(base):
            places.setdefault(CODE / other.name.relative_to(base), other)
        elif base.name == CODE and other.name.is_relative_to(base.parent):
            places.setdefault(other.name.relative_to(base.parent), other)
    utils = PurePosixPath(CODE, "utils.py")
    elsewhere = next((other for other in candidates if other.name.name == "utils.py"), None)
    if utils not in places and elsewhere:
        places[utils] = elsewhere
    return {place: places[place] for place in sorted(places, key=lambda place: (place != utils, len(place.parts)))}


def _choose(candidates: list[Candidate], notes: list[str]) -> Candidate | None:
    """Return the student_code.py nearest the top, or else the one file that defines the functions."""

    def nearest(candidate):
        return len(candidate.name.parts), candidate.name.parent.name != CODE, candidate.archive, str(candidate.name)

    named = sorted((c for c in candidates if c.name.name == "student_code.py"), key=nearest)
    if named:
        if len(named) > 1:
            notes.append(f"There are {len(named)} files called student_code.py; the one nearest the top was graded.")
        return named[0]
    scores = {c: len(_defined(c) & set(FUNCTIONS)) for c in candidates if c.name.name != "utils.py"}
    best = sorted((c for c, score in scores.items() if score and score == max(scores.values())), key=nearest)
    if best:
        notes.append(f"There is no student_code.py; {best[0].name.name} defines the functions and was graded.")
        return best[0]
    return None


def _defined(candidate: Candidate) -> set[str]:
    """The names defined at the top of a file. Not parsed: the student's code must not cost this process its memory."""
    source = _read(candidate, []) or b""
    found = re.findall(rb"^(?:(?:async +)?def|class) +(\w+)|^(\w+) *=[^=]", source, re.MULTILINE)
    return {name.decode("utf-8", "replace") for names in found for name in names if name}


def _python_files(folder: Path, archive: int = 0) -> list[Candidate]:
    found = []
    for path, parts in plain_files(folder):
        if archives.PYTHON.search(path.name):
            name = re.sub(r"\.txt$", "", parts[-1], flags=re.IGNORECASE)
            found.append(Candidate(path, PurePosixPath(*parts[:-1], name), archive))
        if len(found) == MOST_LOOKED_AT:
            break
    return found


def plain_files(folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    r"""Every plain file and the parts of its name, from the top down, without what systems and editors leave behind.

    Not os.walk, which fails in folders nested a thousand deep. A `\` in a name separates, as unzipping leaves it there.
    """
    waiting = deque([(folder, "")])
    while waiting:
        parent, prefix = waiting.popleft()
        try:
            entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
        except OSError:
            continue  # not to be read, or its path is too long: whatever lies there is no submission
        for entry in entries:
            parts = archives.parts_of(f"{prefix}{entry.name}")
            if parts and entry.is_dir(follow_symlinks=False):
                waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
            elif parts and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), parts


def _read(candidate: Candidate, notes: list[str]) -> bytes | None:
    """Return the contents of a file, or None and a note on what is wrong with it."""
    try:
        with os.fdopen(os.open(candidate.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            content = file.read(archives.LARGEST_FILE + 1)
    except OSError as error:
        notes.append(f"{candidate.name} could not be read ({error.strerror}).")
        return None
    if len(content) > archives.LARGEST_FILE:
        limit = f"{archives.LARGEST_FILE >> 20} MB that a Python file may have"
        notes.append(f"{candidate.name} is larger than the {limit} and was left aside: take data out of it.")
        return None
    return content


def _unpack_all(folder: Path, scratch: Path, notes: list[str]) -> list[Candidate]:
    """Unpack the archives under `folder`, and the archives in those; return the Python files in them."""
    found: list[Candidate] = []
    allowance, count = archives.Allowance(), 0
    waiting = deque((path, 1) for path, parts in plain_files(folder) if archives.ARCHIVE.search(parts[-1]))
    while waiting and allowance.files > 0:
        path, depth = waiting.popleft()
        count += 1
        target = scratch / str(count)
        try:
            archives.unpack(path, target, allowance)
        except Exception as error:  # a damaged archive raises one of a dozen types
            notes.append(f"{path.name} could not be unpacked ({str(error) or type(error).__name__}).")
        found += _python_files(target, count)
        if depth < DEEPEST_ARCHIVE:
            waiting += [(inner, depth + 1) for inner, _ in plain_files(target) if archives.ARCHIVE.search(inner.name)]
    return found


def _describe_contents(folder: Path) -> str:
    """What was handed in instead of student_code.py, for the student."""
    names = ["/".join(parts) for _, parts in itertools.islice(plain_files(folder), 8)]
    text = f"Expected student_code.py in the submission, found {', '.join(names) or 'nothing'}."
    if any(archives.OTHER_ARCHIVE.search(name) for name in names):
        text += " Archives of this kind cannot be unpacked here."
    return f"{text} Make the zip with zip_submission.py and hand that in."
