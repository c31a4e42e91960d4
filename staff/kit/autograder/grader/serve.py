"""python -m grader.serve grades one submission after the other, and imports the libraries once for all of them.

For a class (`grade.py --all`); Gradescope starts `python -m grader` for each. Reads the path of a ROOT, as of
`__main__`, from each line of standard input, grades it, and writes the exit status on a line. The log is in ROOT/log.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from . import confinement, supervisor
from .student import PRELOAD

SOURCE = Path(__file__).resolve().parent.parent


def main() -> None:
    """Serve until standard input ends. This process holds nothing secret, and so neither do those it forks."""
    replies = os.dup(1)
    os.dup2(2, 1)
    supervisor.preload(PRELOAD)
    shared_memory = json.loads((SOURCE / "limits.json").read_text("utf-8"))["disk_mib"] << 20
    for line in sys.stdin.buffer:
        os.write(replies, b"%d\n" % _grade(Path(os.fsdecode(line.rstrip(b"\n"))), shared_memory))


def _grade(root: Path, shared_memory: int) -> int:
    """Grade in a process of its own; return its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        confinement.prctl(confinement.PR_SET_PDEATHSIG, signal.SIGKILL)  # then the supervisor ends the rest
        log = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for fd, new in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(new, fd)
        forked = ForkedSupervisor(shared_memory)
        # Imported only now, since the supervisor and its workers must not know the tests.
        status = importlib.import_module("grader.__main__").grade(root, forked)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class ForkedSupervisor:
    """A supervisor with the libraries of this process, and as much of `subprocess.Popen` as `Student` needs."""

    def __init__(self, shared_memory: int):
        requests, replies = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setsid()
                os.dup2(requests[0], 0)
                os.dup2(replies[1], 1)
                os.closerange(3, 1024)
                confinement.make_shared_memory_private(shared_memory)
                supervisor.main()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(requests[0])
        os.close(replies[1])
        self.stdin, self.stdout = os.fdopen(requests[1], "wb"), os.fdopen(replies[0], "rb")

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self, seconds: float = 10) -> None:
        """Wait for its end, at most so long."""
        deadline = time.monotonic() + seconds
        while self._pid and time.monotonic() < deadline:
            try:
                ended = os.waitpid(self._pid, os.WNOHANG)[0]
            except ChildProcessError:
                ended = self._pid
            if ended:
                self._pid = 0
            else:
                time.sleep(0.01)


if __name__ == "__main__":
    main()
