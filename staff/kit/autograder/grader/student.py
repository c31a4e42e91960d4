"""The submission as the tests see it: calls of its functions, made by workers of the supervisor's."""

import ast
import contextlib
import difflib
import hashlib
import marshal
import math
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import confinement, processes, ready_made, storage, values
from .messages import describe_error, hint_for
from .testing import BudgetExhausted, Case, Failed, NotWritten, Outcome, describe

# For an answer of the wrong form. The grader does not examine why.
UNREADABLE = "{} should return a value, but what came back could not be read."
# Imported once, before the workers are forked, if the submission mentions them.
PRELOAD = (
    "torch",
    "torchvision",
    "segmentation_models_pytorch",
    "albumentations",
    "cv2",
    "torchinfo",
    "tqdm",
    "matplotlib.pyplot",
    "scipy.special",
    "torchmetrics",
)
CLOSING_SECONDS = 30  # for the supervisor, to end what a worker left


class Broken(Exception):
    """The grader itself cannot go on; the message is for staff."""


class Student:
    """The submission, reached through the supervisor; what it returns is untrusted data."""

    def __init__(
        self,
        source: Path,
        temp_folder: Path,
        preload: list[str],
        uid: int | None,
        limits: dict,
        expected: dict,
        supervisor: Any = None,
    ):
        """supervisor: one that has been started (see `serve`)."""
        self.limits, self.expected, self.isolation = limits, expected, {}
        self.timeouts = 0
        self._deadline = time.monotonic() + limits["total_seconds"]
        self._functions: list[str] | None = None
        self._unwritten: dict[str, dict] = {}
        self._answers: dict[bytes, tuple[dict, dict] | Failed] = {}
        self._source, self._uid, self._temp_folder = source, uid, temp_folder
        shared_memory = os.stat("/dev/shm").st_dev if os.path.exists("/dev/shm") else 0
        self._setup = {
            "preload": preload,
            "uid": uid,
            "temp_folder": str(temp_folder),
            "shared_memory": shared_memory,
        }
        # If the supervisor is ended from within, what it watched over falls to this process.
        confinement.prctl(confinement.PR_SET_CHILD_SUBREAPER)
        self._process = supervisor or self._launch()
        self._begin()

    def close(self) -> None:
        """End the supervisor, and with it every process of the submission."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(CLOSING_SECONDS)
        self._kill()

    def call(self, function: str, cases: Iterable[Case], stand_ins: tuple[str, ...] = ()) -> list[Outcome]:
        """Call the student's function on each case, all of them in one fresh process.

        Raises `Failed` unless every call returned, or raised what it should: such a case has no outcome in the list.

        stand_ins: functions to take from the reference instead of the submission, for what calls them.
        """
        if self._functions is not None and function not in self._functions:
            similar = difflib.get_close_matches(function, self._functions, 1, 0.8)
            question = f", but {similar[0]}: is it the same?" if similar else "."
            raise NotWritten(f"Expected a function {function} in student_code.py, found none{question}")
        cases = list(cases)
        if function in self._unwritten:
            raise NotWritten(self._failure(cases[0].label, self._unwritten[function]))
        _, answer = self._ask(function, cases, stand_ins)
        outcomes = []
        for case, outcome in zip(cases, answer["outcomes"], strict=True):
            if case.raises:
                self._check_raised(case, outcome)
            else:
                outcomes.append(self._outcome(function, case, outcome))
        return outcomes

    def load(self) -> list[str]:
        """Import the submission once and return notes for the student. Raises `Failed` if it cannot be imported."""
        imported, _ = self._ask(None, [], ())
        self._functions = [str(name) for name in imported["functions"]]
        self._unwritten = dict(imported["unwritten"])
        return [
            f"{note['what']} ({describe_error(note['error'])})." if note["error"] else f"{note['what']}."
            for note in imported["notes"][:20]
        ]

    def _check_raised(self, case, outcome):
        expected, error = f"{case.label} should raise a {case.raises}", outcome["error"]
        if not error:
            raise Failed(f"{expected}, got {describe(outcome['value'])}.")
        if error["type"] != case.raises:
            raise Failed(f"{expected}, got {describe_error(error)}.")

    def _outcome(self, function, case, outcome):
        if outcome["error"]:
            raise Failed(self._failure(case.label, outcome["error"], case.args))
        if function in ready_made.FORMULAS and (used := ready_made.find([str(name) for name in outcome["calls"]])):
            raise Failed(f"{function} should be written from its formula, but it called {used}, which is ready-made.")
        return Outcome(case, outcome["value"], outcome["args"], outcome["grads"])

    def _failure(self, label, error, args=()):
        if error["type"] == "NotImplementedError" and (not error["message"] or error["message"].startswith("TO-DO")):
            return f"{label} is not written yet: {describe_error(error)}."
        if error["memory"]:
            limit = f"{self.limits['memory_gib']} GiB of memory a test may use"
            return f"{label} needed more than the {limit}: {describe_error(error)}."
        return f"{label} should return a value, but raised {describe_error(error)}{hint_for(error, args)}."

    def _ask(self, function, cases, stand_ins):
        """Return what a worker said of importing and of calling. An equal question is not put again."""
        question = {
            "function": function,
            "cases": [
                {"args": list(c.args), "kwargs": c.kwargs, "grad": c.grad, "probe": list(c.probe)} for c in cases
            ],
            "stand_ins": list(stand_ins),
        }
        key = hashlib.sha256(values.dumps(question)).digest()
        if key not in self._answers:
            try:
                self._answers[key] = self._put(question)
            except BudgetExhausted:
                raise
            except Failed as failure:
                self._answers[key] = failure
        if isinstance(self._answers[key], Failed):
            raise self._answers[key]
        return self._answers[key]

    def _put(self, question):
        """Have a worker answer, and check the form of what it sent."""
        function, stand_ins = question["function"], question["stand_ins"]
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise BudgetExhausted(f"Not run: {self._budget()} was used up before this test.")
        # After two timeouts a TO-DO gets less time, so that the rest is graded before Gradescope's own limit.
        share = 0.25 if self.timeouts >= 2 else 1
        # A submission that could be imported within the limit is not to fail later because the machine is busier.
        import_seconds = self.limits["import_seconds"] * (1 if function is None else 2)
        request = question | {
            "traced": function in ready_made.FORMULAS,
            "stand_in_code": stand_in_code(self._source / "reference.py", stand_ins) if stand_ins else None,
            "import_seconds": min(import_seconds, left),
            "cpu_seconds": math.ceil(self.limits["cpu_seconds"] * share),
            "wall_seconds": min(self.limits["wall_seconds"] * share, left),
            "memory_bytes": int(self.limits["memory_gib"] * (1 << 30)),
            "disk_bytes": self.limits["disk_mib"] << 20,
        }
        what = function or "Importing student_code.py"
        frames = self._exchange(request)
        if frames is None:
            self._kill()
            self._process = self._launch()
            self._begin()
            raise Failed(f"{what} should return, but its process was ended: by this code, or because memory ran out.")
        try:
            ending, imported, answer = map(values.loads, frames)
            if imported.get("broken"):
                raise Failed(f"student_code.py could not be imported: {describe_error(imported['broken'])}.")
            self._check_ending(what, ending, request)
            if answer.get("error"):
                raise Failed(self._failure(what, answer["error"]))
            return imported, answer
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(UNREADABLE.format(what)) from error

    def _exchange(self, request):
        """Send a request and return the supervisor's three frames, None where it fails or does not answer in time."""
        deadline = time.monotonic() + request["import_seconds"] + request["wall_seconds"] + CLOSING_SECONDS
        received, frames = bytearray(), []
        try:
            self._process.stdin.write(values.dumps(request))
            self._process.stdin.flush()
            while len(frames) < 3:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                    return None
                chunk = os.read(self._process.stdout.fileno(), 1 << 20)
                if not chunk:
                    return None
                received += chunk
                values.cut_frames(received, frames, most=3)
        except (OSError, ValueError):
            return None
        return frames

    def _budget(self):
        return f"the time for the whole submission, {self.limits['total_seconds'] / 60:g} minutes,"

    def _check_ending(self, what, ending, request):
        reason, number = ending["reason"], ending["signal"]
        if reason == "sent":
            return
        stopped = reason == "ended" and number in (signal.SIGKILL, signal.SIGXCPU)
        backstop = request["cpu_seconds"] + request["import_seconds"]
        if reason == "computing" or (stopped and ending["cpu_seconds"] >= 0.9 * backstop):
            limit = f"{request['cpu_seconds']} s of computing"
        else:
            limit = {
                "time": f"{request['wall_seconds']:.3g} s",
                "import time": f"{request['import_seconds']:.3g} s",
            }.get(reason)
        if limit and time.monotonic() >= self._deadline:
            raise BudgetExhausted(f"{what} should return, but was still running when {self._budget()} was used up.")
        if limit:
            self.timeouts += 1
            if reason == "import time" and request["function"]:
                what = "Importing student_code.py"
            raise Failed(f"{what} should return, but was still running after {limit}, the limit of a test.")
        if reason == "memory":
            raise Failed(f"{what} needed more than the {self.limits['memory_gib']:g} GiB of memory a test may use.")
        if reason == "disk":
            raise Failed(f"{what} wrote more than the {self.limits['disk_mib']} MiB of files that a test may write.")
        if reason == "files":
            most = f"{storage.MOST_FILES:,} files, or folders nested more than {storage.DEEPEST} deep"
            raise Failed(f"{what} wrote more than {most}, which a test may not.")
        if reason == "size":
            raise Failed(f"{what} should return a value, but more came back than a test accepts.")
        if number == signal.SIGKILL:
            raise Failed(f"{what} should return, but was killed, most likely for its use of memory.")
        if number:
            raise Failed(f"{what} should return, but crashed with {signal.Signals(number).name}.")
        raise Failed(f"{what} should return, but ended its process with exit code {ending['code']}.")

    def _kill(self):
        self._process.kill()
        self._process.wait()
        processes.sweep(self._uid)

    def _launch(self):
        return subprocess.Popen(
            [sys.executable, "-s", "-m", "grader.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._source,
            env=environment(),
            start_new_session=True,
            preexec_fn=partial(confinement.make_shared_memory_private, self.limits["disk_mib"] << 20),
        )

    def _begin(self):
        try:
            self._process.stdin.write(values.dumps(self._setup))
            self._process.stdin.flush()
            ready = values.read(self._process.stdout)
        except OSError:
            ready = None
        if ready is None:
            raise Broken("the supervisor did not start; is everything in requirements.txt installed?")
        self.isolation = values.loads(ready)
        if self.isolation["unreadable"] and not self.isolation["landlock"]:
            self.close()
            raise Broken(
                f"the student's code must not run as root, but no other user can read {self.isolation['unreadable']}: "
                "put Python and its packages where every user can read them, or use Linux 5.13 or newer with Landlock."
            )


PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|CONDA_\w+|(LD|DYLD|OMP|MKL|MALLOC)_\w+"
)


def environment() -> dict[str, str]:
    """The environment variables for the supervisor and its workers. Others may be secrets of whoever grades."""
    kept = {key: value for key, value in os.environ.items() if PASSED_ON.fullmatch(key)}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "TORCH_COMPILE_DISABLE": "1",  # torch.compile needs a C++ compiler; so it returns the function as it is
    }


def stand_in_code(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The reference as bytecode without docstrings. Of the functions that hold a solution only `names` are in it."""
    text = path.read_text(encoding="utf-8")
    marks = [i for i, line in enumerate(text.splitlines(), 1) if line.strip() == "### BEGIN SOLUTION"]
    tree = ast.parse(text)
    tree.body = [
        node
        for node in tree.body
        if getattr(node, "name", None) in names or not any(node.lineno <= i <= node.end_lineno for i in marks)
    ]
    return np.frombuffer(marshal.dumps(compile(tree, "stand-in", "exec", optimize=2)), np.uint8)
