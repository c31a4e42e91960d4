"""The files of a submission: a fresh tree for every test, and how much it may hold."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from .processes import delete

SHARED_MEMORY = Path("/dev/shm")
MOST_FILES = 20_000
DEEPEST = 100
LONGEST_PATH = 60


def renew(temp_folder: Path) -> None:
    """Lay out `project` and `home` in the temporary folder as they were: no test finds what another has left."""
    names = ("project", "home")
    delete(*(temp_folder / name for name in names))
    for name in names:
        shutil.copytree(temp_folder / "pristine" / name, temp_folder / name, symlinks=True)


def short_path(folder: Path) -> Path:
    """Return a path of the folder to which some forty characters can be added: sockets need one of at most 103.

    Processes that pass tensors to each other, as those of a DataLoader, have sockets among the temporary files.
    """
    if len(os.fsencode(folder)) <= LONGEST_PATH:
        return folder
    link = Path("/tmp", f"grading-{secrets.token_hex(4)}")
    link.symlink_to(folder)
    return link


def excess(temp_folder: Path, uid: int | None, private: bool, limit: int, pids: Iterable[int] = ()) -> str:
    """Return which limit the worker's files exceed, "" if none.

    pids: the worker's processes, whose open files count even if they are deleted.
    "disk": they take more than `limit` bytes; "files": there are too many, or folders nested too deep.
    """
    total, count = _deleted(pids), 0
    waiting = [(temp_folder / "project", 0), (temp_folder / "home", 0)]
    if private or uid is not None:
        waiting.append((SHARED_MEMORY, 0))
    while waiting:
        folder, depth = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if folder == SHARED_MEMORY and not private and status.st_uid != uid:
                        continue
                    total += status.st_blocks * 512
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((Path(entry.path), depth + 1))
                if total > limit:
                    return "disk"
                if count > MOST_FILES or depth > DEEPEST:
                    return "files"
    return "disk" if total > limit else ""


def _deleted(pids: Iterable[int]) -> int:
    """The bytes of deleted files that these processes hold open (Linux)."""
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def clear_shared_memory(uid: int | None, private: bool) -> None:
    """Delete what a worker left in /dev/shm. Skipped if it is shared and the worker has no user of its own."""
    if not private and uid is None:
        return
    for path in SHARED_MEMORY.iterdir() if SHARED_MEMORY.is_dir() else ():
        with contextlib.suppress(OSError):
            if private or path.lstat().st_uid == uid:
                delete(path)
