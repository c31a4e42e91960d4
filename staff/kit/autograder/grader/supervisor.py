"""Forks a worker for every test, holds it to its limits, and leaves none of its processes behind.

Reads requests from standard input and writes, for each, how the worker ended and then what it sent. Runs as the
grader's own user and never runs student code itself; its memory, which every worker inherits, holds nothing secret.
"""

import contextlib
import importlib
import os
import select
import signal
import sys
import time
from pathlib import Path

from . import confinement, values, worker


def main() -> None:
    """Serve requests until standard input ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    sys.path = [entry for entry in sys.path if entry not in ("", os.getcwd())]

    setup = values.loads(values.read(requests))
    # A fork server: torch is imported once, here, instead of once in every worker.
    for name in setup["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    confinement.prctl(confinement.PR_SET_CHILD_SUBREAPER)
    project, uid, landlock = Path(setup["project"]), setup["uid"], confinement.landlock_version()
    barred = _out_of_reach(uid, project) if uid is not None else ""
    if barred and not landlock:
        uid = None
    replies.write(values.dumps({"uid": uid, "landlock": landlock, "barred": barred}))
    replies.flush()

    while (frame := values.read(requests)) is not None:
        ending, sent = _run(values.loads(frame), uid, bool(barred), project)
        sweep(uid)
        replies.write(values.dumps(ending) + sent)
        replies.flush()


def _run(request: dict, uid: int | None, keep_reading: bool, project: Path) -> tuple[dict, bytes]:
    receive, send = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            _detach(send)
            confinement.confine(request, uid, keep_reading, [str(project), str(project.parent / "home")])
            worker.run(request, project, send)
        finally:
            os._exit(0)
    os.close(send)
    sent, reason, ended = _receive(receive, pid, started + request["wall_seconds"])
    os.close(receive)
    for kill in (os.killpg,) if ended else (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    status, usage = ended or os.wait4(pid, 0)[1:]
    ending = {
        "reason": reason,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }
    return ending, sent if reason == "sent" else values.dumps(None)


def _receive(receive: int, pid: int, deadline: float) -> tuple[bytes, str, tuple | None]:
    """Return what came through the pipe, why reading stopped (sent, ended, time, size), and how it ended if it has."""
    sent = bytearray()
    while time.monotonic() < deadline:
        ready, _, _ = select.select([receive], [], [], 0.1)
        if ready:
            chunk = os.read(receive, 1 << 20)
            if not chunk:
                return sent, "ended", None
            sent += chunk
            if len(sent) >= values.HEAD.size:
                length = values.HEAD.size + sum(values.HEAD.unpack_from(sent))
                if length > values.LARGEST or len(sent) > length:
                    return sent, "size", None
                if len(sent) == length:
                    return bytes(sent), "sent", None
        elif (ended := os.wait4(pid, os.WNOHANG))[0]:
            # A process that it left behind may hold the pipe open.
            return sent, "ended", ended[1:]
    return sent, "time", None


def _detach(send: int) -> None:
    """Leave the grader's session, terminal and pipes."""
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    os.closerange(3, send)
    os.closerange(send + 1, 1024)


def _out_of_reach(uid: int, project: Path) -> str:
    """Return a path that a worker of this user needs but could not read, or an empty string."""
    for path in (project, os.__file__, values.np.__file__, sys.modules["torch"].__file__):
        pid = os.fork()
        if pid == 0:
            try:
                confinement.become(uid)
                os._exit(0 if os.access(path, os.R_OK) else 1)
            finally:
                os._exit(1)
        if os.waitpid(pid, 0)[1]:
            return str(path)
    return ""


def sweep(uid: int | None) -> None:
    """End every process that a worker has left behind; a subreaper inherits them all."""
    if uid is not None:
        pid = os.fork()
        if pid == 0:
            try:
                confinement.become(uid)
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for pid in _descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def _descendants() -> set[int]:
    """The processes below this one (Linux; elsewhere none can be listed)."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parents[int(entry.parent.name)] = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
    found, grown = {os.getpid()}, True
    while grown:
        new = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | new, bool(new)
    return found - {os.getpid()}


if __name__ == "__main__":
    main()
