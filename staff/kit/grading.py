"""Runs the packed autograder on one submission after the other, keeps the results, and can be stopped at any time."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import psutil

from staff import files
from staff.kit import make_autograder
from staff.kit.autograder.grader import archives, confinement, student, submission


@dataclass
class Grading:
    """What came of one submission: its results.json and log, or the problem; whether the autograder itself worked."""

    results: dict | None = None
    log: str = ""
    worked: bool = False
    problem: str = ""


class Autograder:
    """dist/autograder.zip, unpacked into a temporary folder, with this Python as its environment."""

    def __init__(self, folder: Path):
        """Unpack it into `folder`; build it before if a file in it is newer."""
        archive = _archive()
        self.version = hashlib.sha256(archive.read_bytes() + sys.version.encode()).hexdigest()
        self.source = folder / "source"
        shutil.unpack_archive(archive, self.source)
        self.work = folder / "work"
        self.work.mkdir(mode=0o755)
        self._stopped = False
        self._idle: list[subprocess.Popen] = []  # servers that wait for a submission
        confinement.prctl(confinement.PR_SET_CHILD_SUBREAPER)  # so that `stop` finds what a grading leaves behind

    def grade(self, given: Path) -> Grading:
        """Grade a file or folder."""
        with tempfile.TemporaryDirectory(prefix="root-", dir=self.work) as place:
            root = Path(place)
            (root / "source").symlink_to(self.source)
            _hand_in(given, root / "submission")
            worked = self.run(root)
            results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
            return Grading(results, (root / "log").read_text("utf-8", errors="replace"), worked)

    def run(self, root: Path) -> bool:
        """Grade ROOT/submission by ROOT/source into ROOT/results and ROOT/log. Return whether the autograder worked."""
        if self._stopped:
            raise InterruptedError
        try:
            server = self._idle.pop()
        except IndexError:
            server = self._start_server()
        with contextlib.suppress(BrokenPipeError):
            server.stdin.write(os.fsencode(root) + b"\n")
            server.stdin.flush()
        status = server.stdout.readline()
        if self._stopped:
            raise InterruptedError
        if status:
            self._idle.append(server)
        else:
            server.kill()  # it was ended from within; results.json has what was graded so far
            server.wait()
        return status == b"0\n"

    def _start_server(self) -> subprocess.Popen:
        # The path behind a link, so that a student's process need not be able to read the folder of the link.
        folder, name = os.path.split(sys.executable)
        return subprocess.Popen(
            [os.path.join(os.path.realpath(folder), name), "-s", "-m", "grader.serve"],
            cwd=self.source,
            env=student.environment() | {"TMPDIR": str(self.work)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this program alone, which then ends the gradings
        )

    def close(self) -> None:
        """End the servers that wait."""
        for server in self._idle:
            server.communicate()

    def stop(self) -> None:
        """End all gradings at once, with every process of theirs. A second Ctrl-C does not keep it from that."""
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_IGN)
        self._stopped = True
        while children := psutil.Process().children(recursive=True):
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, timeout=0.2)


def _archive() -> Path:
    sources, archive = make_autograder.sources(), make_autograder.ZIP
    newest = max(path.stat().st_mtime for path in [*sources.values(), Path(make_autograder.__file__)])
    if not archive.exists() or archive.stat().st_mtime <= newest:
        print(f"Building {archive} first.", file=sys.stderr)
        make_autograder.build(sources, archive)
    return archive


def _hand_in(given: Path, target: Path) -> None:
    """Lay a submission where Gradescope lays it: a folder, or the contents of an archive, or else the file itself."""
    if given.is_dir():
        target.symlink_to(os.path.realpath(given))  # the grader only reads there
        return
    target.mkdir()
    if archives.ARCHIVE.search(given.name):
        with contextlib.suppress(Exception):  # whatever is wrong with it
            archives.unpack(given, target)
    if not any(target.iterdir()):  # so that the grader can say what it found instead
        shutil.copy(given, target)


def fingerprint(given: Path) -> str:
    """A hash of what was handed in: the same for equal files, whatever their folder or archive is called."""
    if not given.is_dir():
        # The name of an archive means nothing; that of a Python file does.
        archive = archives.ARCHIVE.search(given.name)
        return _hash([(given.suffix.lower() if archive else given.name, given)])
    return _hash([("/".join(parts), path) for path, parts in submission.plain_files(given)])


def _hash(named: list[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in named:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(os.fsencode(name) + b"\0" + content.digest())
    return digest.hexdigest()


class Results:
    """A folder with a results.json for every grading that was finished, by the hash of autograder and submission."""

    def __init__(self, folder: Path, version: str):
        self.folder, self._version = folder, version

    def _path(self, submission_hash: str) -> Path:
        return self.folder / f"{hashlib.sha256((self._version + submission_hash).encode()).hexdigest()[:32]}.json"

    def load(self, submission_hash: str) -> dict | None:
        """Return the stored results, or None if they are missing or damaged."""
        try:
            results = json.loads(self._path(submission_hash).read_text("utf-8"))
            return results if {"score", "tests"} <= set(results) else None
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, submission_hash: str, results: dict) -> None:
        """Write it whole or not at all."""
        files.write_text(self._path(submission_hash), json.dumps(results, indent=1))


def grade_all(autograder: Autograder, wanted: dict[str, Path], jobs: int) -> Generator[tuple[str, Grading]]:
    """Grade the submissions (by hash), `jobs` at a time; yield each hash with its grading as it ends.

    Closed early, or by Ctrl-C, it ends everything that is running.
    """
    pool = ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(_grade, autograder, path): key for key, path in wanted.items()}
        for job in as_completed(running):
            yield running[job], job.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        autograder.stop()
        raise
    finally:
        pool.shutdown()


def _grade(autograder: Autograder, path: Path) -> Grading:
    try:
        return autograder.grade(path)
    except Exception as error:
        return Grading(problem=f"{type(error).__name__}: {error}")
