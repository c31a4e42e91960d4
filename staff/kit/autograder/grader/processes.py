"""The processes of a submission: what they use together, and how they are ended."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import confinement

_TICKS = os.sysconf("SC_CLK_TCK")


def descendants() -> set[int]:
    """The processes below this one (Linux; elsewhere none can be listed)."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parents[int(entry.parent.name)] = int(_stat(entry)[1])
    found, grown = {os.getpid()}, True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | new, bool(new)
    return found - {os.getpid()}


def usage(inherited: int) -> tuple[float, int]:
    """Return the seconds of computing and the bytes of memory of all processes below this one together.

    inherited: the memory of its own that each has from this process by `fork` and shares with it. Memory shared
    between the processes counts for each of them.
    """
    seconds, memory = 0.0, 0
    for pid in descendants():
        with contextlib.suppress(OSError, IndexError, ValueError):
            seconds += sum(map(int, _stat(Path(f"/proc/{pid}/stat"))[11:15])) / _TICKS
            anonymous, shared = resident(pid)
            memory += max(anonymous - inherited, 0) + shared
    return seconds, memory


def resident(pid: int | str) -> tuple[int, int]:
    """Return the bytes of a process's own memory and of its shared memory (Linux; elsewhere zeros)."""
    found = {"RssAnon": 0, "RssShmem": 0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0]) << 10
    return found["RssAnon"], found["RssShmem"]


def sweep(uid: int | None, worker: int | None = None) -> dict[int, tuple[int, float]]:
    """End a worker and every process it has left behind; return status and seconds of computing of those that ended.

    Those left behind can be found on Linux only. A subreaper inherits them all, so that it has no children only when
    nothing is left. Never wait for one process alone: another may block it by tracing it.
    """
    ended: dict[int, tuple[int, float]] = {}
    deadline, killer, seen = time.monotonic() + 10, None, None
    while not _wait_for_all(ended, 0.05) and time.monotonic() < deadline:
        alive = (descendants() | ({worker} - {None} - ended.keys())) - {killer}
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        seen = seen or alive
        if uid is not None and not alive <= seen and (killer is None or killer in ended):
            # Some keep starting new ones. Killing all of this user's processes at once stops those too.
            killer = fork_as(uid, lambda: os.kill(-1, signal.SIGKILL))
    return ended


def _wait_for_all(ended: dict[int, tuple[int, float]], seconds: float) -> bool:
    """Wait so long for every child to end; return whether all have, and add those that have to `ended`."""
    deadline = time.monotonic() + seconds
    while True:
        new, left = reap()
        ended |= new
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.002)


def reap() -> tuple[dict[int, tuple[int, float]], bool]:
    """Return status and seconds of computing of the children that have ended, and whether others are left."""
    ended = {}
    try:
        while (child := os.wait4(-1, os.WNOHANG))[0]:
            pid, status, used = child
            ended[pid] = status, used.ru_utime + used.ru_stime
    except ChildProcessError:
        return ended, False
    return ended, True


def delete(*paths: Path) -> None:
    """Delete folders with whatever was made in them: folders nested a thousand deep, or without rights."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["rm", "-rf", "--", *paths], **quiet)
    if left := [path for path in paths if path.exists()]:
        subprocess.run(["chmod", "-R", "u+rwX", "--", *left], **quiet)
        subprocess.run(["rm", "-rf", "--", *left], **quiet)


def _stat(path: Path) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second, the name, may hold spaces and brackets."""
    return path.read_text(errors="replace").rpartition(")")[2].split()


def fork_as(uid: int, action: Callable[[], int | None]) -> int:
    """Start a process that becomes this user and ends with the status that `action` returns; return its number."""
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            confinement.become(uid)
            status = action() or 0
        finally:
            os._exit(status)
    return pid
