"""Forks a worker for every request, holds it to its limits, and leaves none of its processes and files behind.

Reads requests from standard input and writes, for each, how the worker ended and then the two frames that it sent. Runs
as the grader's own user and never runs student code itself; its memory, which every worker inherits, holds nothing
secret. It has its own session: if the grader is killed, it lives on and ends what the grader started.
"""

import contextlib
import gc
import importlib
import os
import select
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch  # noqa: F401  (imported once, here, instead of once in every worker)

from . import confinement, processes, storage, tracing, values, worker

STEP = 0.1  # seconds between two looks at what a worker uses
NOTHING = values.dumps({})


def main() -> None:
    """Serve requests until standard input ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)

    first = values.read(requests)
    if first is None:
        return  # nothing was handed in that could be graded
    setup = values.loads(first)
    preload(setup["preload"])
    confinement.prctl(confinement.PR_SET_CHILD_SUBREAPER)
    supervisor = Supervisor(Path(setup["temp_folder"]), setup["uid"], setup["shared_memory"], requests.fileno())
    replies.write(values.dumps(supervisor.isolation))
    replies.flush()
    try:
        while (frame := values.read(requests)) is not None:
            for answer in supervisor.serve(values.loads(frame)):
                replies.write(answer)
            replies.flush()
    except (GraderGoneError, BrokenPipeError):
        pass
    finally:
        supervisor.close()


def preload(names: Iterable[str]) -> None:
    """Import what is installed of these modules, and get ready to fork."""
    gc.disable()
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    tracing.trace_ufuncs()
    gc.enable()
    gc.freeze()  # what is there now is never garbage; looking at it in a worker would copy the memory it shares


class GraderGoneError(Exception):
    """The grader has ended while a worker was running."""


class Supervisor:
    """Runs the workers of one submission."""

    def __init__(self, temp_folder: Path, uid: int | None, shared_memory: int, requests: int):
        self._temp_folder, self._uid, self._requests = temp_folder, uid, requests
        self._project = temp_folder / "project"
        self._short_home = storage.short_path(temp_folder / "home")
        self._private = storage.SHARED_MEMORY.exists() and storage.SHARED_MEMORY.stat().st_dev != shared_memory
        storage.renew(temp_folder)
        worker.defined_in(self._project / worker.OWN_UTILS)
        unreadable = _out_of_reach(uid, self._project) if uid is not None else ""
        self._keep_reading = bool(unreadable)
        self.isolation = {"landlock": confinement.landlock_version(), "unreadable": unreadable}

    def serve(self, request: dict) -> list[bytes]:
        """Run one worker; return how it ended and what it sent, as frames."""
        storage.renew(self._temp_folder)
        receive, send = os.pipe()
        inherited = processes.resident("self")[0]
        pid = os.fork()
        if pid == 0:
            try:
                _detach(send)
                worker.settle_in(self._project, self._short_home)
                writable = [str(self._project), str(self._temp_folder / "home")]
                confinement.confine(
                    request, self._uid, self._keep_reading, writable, str(self._temp_folder / "weights")
                )
                worker.run(request, self._project, send)
            finally:
                os._exit(0)
        os.close(send)
        ended: dict[int, tuple[int, float]] = {}
        try:
            reason, frames = self._watch(request, pid, receive, inherited, ended)
        finally:
            os.close(receive)
            ended |= processes.sweep(self._uid, None if pid in ended else pid)
            storage.clear_shared_memory(self._uid, self._private)
        status, seconds = ended.get(pid, (0, 0.0))
        ending = {
            "reason": reason,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
            "cpu_seconds": seconds,
        }
        return [values.dumps(ending), *frames, *[NOTHING] * (2 - len(frames))]

    def close(self) -> None:
        """End all processes of the submission and delete its files."""
        processes.sweep(self._uid)
        storage.clear_shared_memory(self._uid, self._private)
        processes.delete(self._short_home, self._temp_folder)

    def _watch(self, request, pid, receive, inherited, ended) -> tuple[str, list[bytes]]:
        """Return why watching ended (sent, ended, or the limit that was reached) and the frames that came.

        ended: gets the children that ended meanwhile, the worker perhaps among them.
        The limits of a test begin anew once the submission is imported.
        """
        frames: list[bytes] = []
        received, imported_seconds = bytearray(), 0.0
        deadline, looked = time.monotonic() + request["import_seconds"], time.monotonic()
        while True:
            ready, _, _ = select.select([receive, self._requests], [], [], STEP)
            if self._requests in ready:
                raise GraderGoneError  # it never asks again before it has an answer
            if receive in ready:
                chunk = os.read(receive, 1 << 20)
                received += chunk
                before = len(frames)
                try:
                    # Two frames are the answer: whatever else came is not even cut into frames.
                    values.cut_frames(received, frames, most=2)
                except ValueError:
                    return "size", frames
                if len(frames) == 2:
                    return "sent", frames
                if not chunk:
                    return "ended", frames
                if len(frames) > before:
                    deadline = time.monotonic() + request["wall_seconds"]
                    imported_seconds, _ = processes.usage(inherited)
            else:
                ended.update(processes.reap()[0])
                # Its last frame may have come between the two calls.
                if pid in ended and not select.select([receive], [], [], 0)[0]:
                    return "ended", frames  # a process that it left behind may hold the pipe open
            if time.monotonic() > deadline:
                return "time" if frames else "import time", frames
            if time.monotonic() - looked > STEP:
                if reason := self._limit_reached(request, inherited, imported_seconds if frames else None):
                    return reason, frames
                looked = time.monotonic()

    def _limit_reached(self, request, inherited, imported_seconds) -> str:
        seconds, memory = processes.usage(inherited)
        if imported_seconds is not None and seconds - imported_seconds > request["cpu_seconds"]:
            return "computing"
        if memory > request["memory_bytes"]:
            return "memory"
        pids = processes.descendants()
        return storage.excess(self._temp_folder, self._uid, self._private, request["disk_bytes"], pids)


def _detach(send: int) -> None:
    """Leave the grader's session, terminal and pipes. Where memory runs out, the kernel ends this process first."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    os.closerange(3, send)
    os.closerange(send + 1, 1024)


def _out_of_reach(uid: int, project: Path) -> str:
    """Return a path that a worker of this user needs but could not read, or an empty string."""
    paths = [str(project), os.__file__, values.np.__file__, str(sys.modules["torch"].__file__)]
    pid = processes.fork_as(uid, lambda: [os.access(path, os.R_OK) for path in (*paths, "")].index(False))
    return [*paths, ""][os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


if __name__ == "__main__":
    main()
