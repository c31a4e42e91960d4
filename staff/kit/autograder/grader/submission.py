"""Finds student_code.py and utils.py in whatever was handed in, and lays out the project around them.

Nothing here runs or imports the student's code. Symbolic links are never followed: the grader may read more than the
student may.
"""

import ast
import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

FUNCTIONS = ("sigmoid", "softmax", "apply_mask_to_image", "load_FPN_resnet50", "IoU", "applyIoU", "compare_psp_fpn")
LARGEST_FILE = 2 << 20
LARGEST_ZIP = 200 << 20
DEEPEST_ZIP = 3
UNPACKING_ERRORS = (OSError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
MOST_FILES = 2000
_LEFT_OUT = {"__MACOSX", "__pycache__", "node_modules", "site-packages", ".git", ".ipynb_checkpoints"}


class Unusable(Exception):
    """Nothing in the submission can be graded; the message is for the student."""


@dataclass
class Submission:
    """The files to grade (name to contents) and what the student should know about how they were found."""

    files: dict[str, bytes]
    notes: list[str] = field(default_factory=list)

    def mentions(self, word: str) -> bool:
        """Whether the word is anywhere in the files."""
        return any(word.encode() in content for content in self.files.values())


def find(folder: Path, scratch: Path) -> Submission:
    """Return the submission under `folder`; zips in it are unpacked into `scratch`. Raises `Unusable`."""
    notes: list[str] = []
    candidates = _python_files(folder)
    _unpack_all(folder, scratch, notes)
    if not any(path.name == "student_code.py" for path in candidates):
        candidates += _python_files(scratch)
    chosen = _choose(candidates, notes)
    if chosen is None:
        found = ", ".join(sorted(str(p.relative_to(folder)) for p in _files(folder))[:8]) or "nothing"
        raise Unusable(
            f"Expected student_code.py in the submission (make the zip with zip_submission.py), found {_plain(found)}."
        )
    if scratch in chosen.parents:
        notes.append("student_code.py lay in a zip inside the zip; it was graded all the same.")
    beside = {path.name: path for path in candidates if path.parent == chosen.parent}
    elsewhere = next((path for path in candidates if path.name == "utils.py"), None)
    files = {name: _read(path) for name, path in sorted(beside.items())[:50] if path != chosen}
    if "utils.py" not in files and elsewhere:
        files["utils.py"] = _read(elsewhere)
    if "utils.py" not in files:
        notes.append("There is no utils.py in the submission; the project's own was used.")
    return Submission(files | {"student_code.py": _read(chosen)}, notes)


def lay_out(submission: Submission, project: Path, target: Path, uid: int | None) -> None:
    """Build in `target` the tree a student works in, around the submitted files.

    A worker's user may add files anywhere in it, as students' code does, and change or remove none of ours.
    """
    shutil.copytree(project, target)
    (target / "proj2_code").rename(target / "project_code")
    (target / "proj2_code").mkdir()
    for name, content in submission.files.items():
        (target / "proj2_code" / name).write_bytes(content)
    if "utils.py" not in submission.files:
        shutil.copy(target / "project_code" / "utils.py", target / "proj2_code")
    (target.parent / "home").mkdir()
    for path in [target.parent / "home", target, *target.rglob("*")]:
        path.chmod((0o1777 if path.is_dir() else 0o644) if uid is not None else (0o755 if path.is_dir() else 0o644))


def _choose(candidates: list[Path], notes: list[str]) -> Path | None:
    """Return the student_code.py nearest the top, or else the one file that defines the functions."""
    named = [path for path in candidates if path.name == "student_code.py"]
    if named:
        named.sort(key=lambda path: (len(path.parts), path.parent.name != "proj2_code", str(path)))
        if len(named) > 1:
            notes.append(f"There are {len(named)} files called student_code.py; the one nearest the top was graded.")
        return named[0]
    scores = {path: len(_defined(path) & set(FUNCTIONS)) for path in candidates if path.name != "utils.py"}
    best = [path for path, score in scores.items() if score and score == max(scores.values())]
    best.sort(key=lambda path: (len(path.parts), str(path)))
    if best:
        notes.append(f"There is no student_code.py; {_plain(best[0].name)} defines the functions and was graded.")
        return best[0]
    return None


def _defined(path: Path) -> set[str]:
    source = _read(path)
    try:
        return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"^def (\w+)", source.decode("utf-8", "replace"), re.MULTILINE))


def _python_files(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if re.search(r"\.py(\.txt)?$", path.name.lower())]


def _files(folder: Path) -> list[Path]:
    """Every plain file of a sensible size, without what systems and editors leave behind."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("."))
        for name in sorted(names):
            status = (Path(parent) / name).lstat()
            if stat.S_ISREG(status.st_mode) and not name.startswith("."):
                found.append(Path(parent) / name)
        if len(found) > MOST_FILES:
            break
    return found


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise Unusable(f"{_plain(path.name)} is larger than {LARGEST_FILE >> 20} MB, which no solution needs to be.")
    return content


def _unpack_all(folder: Path, scratch: Path, notes: list[str]) -> None:
    """Unpack the zips under `folder`, and the zips in those, into `scratch`."""
    count, left = 0, LARGEST_ZIP
    waiting = [(path, 1) for path in _files(folder) if path.suffix.lower() == ".zip"]
    while waiting:
        path, depth = waiting.pop(0)
        target = scratch / str(count)
        count += 1
        try:
            left -= unpack(path, target, left)
        except UNPACKING_ERRORS as error:
            notes.append(f"{_plain(path.name)} could not be unpacked ({type(error).__name__}).")
            continue
        if depth < DEEPEST_ZIP:
            waiting += [(inner, depth + 1) for inner in _files(target) if inner.suffix.lower() == ".zip"]


def unpack(path: Path, target: Path, left: int = LARGEST_ZIP) -> int:
    """Unpack the Python files and zips of one zip; return the bytes written. Raises UNPACKING_ERRORS."""
    written = 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[:MOST_FILES]:
            if info.is_dir() or not re.search(r"\.(py|txt|zip)$", info.filename.lower()):
                continue
            # ZipFile.extract drops drives, leading slashes and `..`, and writes links as plain files.
            written += info.file_size
            if written > left:
                raise ValueError("too large")
            archive.extract(info, target)
    return written


def _plain(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
