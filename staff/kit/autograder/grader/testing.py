"""What the tests are written with: how they are declared, how they call the student's functions, how they judge."""

import ast
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import confinement, supervisor, values
from .values import Tensor, Thing

# What a student's function must not be made of, among the names a worker traces (see worker._tracing).
FORBIDDEN = {
    "sigmoid": r"sigmoid|silu|glu|softmax|expit|scipy\.stats",
    "softmax": r"softmax|logsumexp|logcumsumexp|attention",
    "IoU": r"^(torchmetrics|segmentation_models_pytorch|sklearn)\.",
}
# What a worker sent has not the form it should have: the grader does not look into why.
UNREADABLE = "{} should return a value, but what came back could not be read."


class Failed(Exception):
    """A test failed; the message is one sentence for the student."""


class Broken(Exception):
    """The grader itself cannot go on; the message is for staff."""


@dataclass(frozen=True)
class Test:
    """One entry of results.json."""

    todo: str
    title: str
    points: int
    visible: bool
    check: Callable
    number: int


@dataclass(frozen=True)
class Case:
    """One call: `label` is its name in messages, `probe` what a returned network is run on."""

    label: str
    args: tuple
    kwargs: dict = field(default_factory=dict)
    grad: bool = False
    probe: tuple = ()


@dataclass
class Outcome:
    """What a call returned, its arguments after the call, and the gradient of its sum."""

    case: Case
    value: object
    args: list
    grads: list


def group(todo: str) -> tuple[list[Test], Callable]:
    """Return the list of the tests of one TO-DO and the decorator that adds a function to it."""
    tests: list[Test] = []

    def test(title: str, points: int, visible: bool = False) -> Callable:
        def add(check: Callable) -> Callable:
            tests.append(Test(todo, title, points, visible, check, len(tests) + 1))
            return check

        return add

    return tests, test


class Student:
    """The submission, reached through the supervisor; what it returns is untrusted data."""

    def __init__(self, source: Path, project: Path, preload: list[str], uid: int | None, limits: dict, expected: dict):
        self.limits, self.expected, self.isolation = limits, expected, {}
        self.timeouts = 0
        self._functions: list[str] | None = None
        self._source, self._setup = source, {"preload": preload, "uid": uid, "project": str(project)}
        self._process = None
        # If the supervisor is ended from within, what it watched over falls to this process.
        confinement.prctl(confinement.PR_SET_CHILD_SUBREAPER)
        self._start()

    def close(self) -> None:
        """End the supervisor, and with it every process of the submission."""
        self._process.stdin.close()
        self._process.wait()
        supervisor.sweep(self.isolation["uid"])

    def call(self, function: str, cases: Iterable[Case], stand_ins: tuple[str, ...] = ()) -> list[Outcome]:
        """Call the student's function on each case in a fresh process. Raises `Failed` unless every call returned.

        stand_ins: functions to take from the reference instead of the submission, for what calls them.
        """
        if self._functions is not None and function not in self._functions:
            raise Failed(f"Expected a function {function} in student_code.py, found none.")
        cases = list(cases)
        reply = self._ask(function, cases, stand_ins)
        pairs = zip(cases, reply["outcomes"], strict=True)
        return [self._outcome(function, case, outcome) for case, outcome in pairs]

    def expect_error(self, function: str, case: Case, kind: str) -> None:
        """Fail unless the call raises an exception of this kind."""
        outcome = self._ask(function, [case], ())["outcomes"][0]
        if not outcome["error"]:
            raise Failed(f"{case.label} should raise a {kind}, got {describe(outcome['value'])}.")
        if outcome["error"]["type"] != kind:
            raise Failed(f"{case.label} should raise a {kind}, got {describe_error(outcome['error'])}.")

    def load(self) -> list[str]:
        """Import the submission once and return notes for the student. Raises `Failed` if it cannot be imported."""
        reply = self._ask(None, [], ())
        self._functions = [str(name) for name in reply["functions"]]
        return [
            f"{note['what']} ({describe_error(note['error'])})." if note["error"] else f"{note['what']}."
            for note in reply["notes"][:20]
        ]

    def _outcome(self, function, case, outcome):
        if outcome["error"]:
            raise Failed(self._failure(case.label, outcome["error"]))
        if function in FORBIDDEN:
            used = [name for name in outcome["ready_made"] if re.search(FORBIDDEN[function], name)]
            if used:
                raise Failed(f"Expected {function} to be written from its formula, but it called {used[0]}.")
        return Outcome(case, outcome["value"], outcome["args"], outcome["grads"])

    def _failure(self, label, error):
        if error["type"] == "NotImplementedError":
            return f"{label} is not written yet: {describe_error(error)}."
        if error["memory"]:
            limit = f"{self.limits['memory_gib']} GiB of memory a test may use"
            return f"{label} needed more than the {limit}: {describe_error(error)}."
        return f"{label} should return a value, but raised {describe_error(error)}."

    def _ask(self, function, cases, stand_ins):
        """Send one request and return the worker's answer, checked for its form."""
        # What ran out of time twice gets less of it, so that the rest is graded before Gradescope's own limit.
        share = 0.25 if self.timeouts >= 2 else 1
        request = {
            "function": function,
            "cases": [
                {"args": list(c.args), "kwargs": c.kwargs, "grad": c.grad, "probe": list(c.probe)} for c in cases
            ],
            "stand_ins": list(stand_ins),
            "stand_in_source": stand_in_source(self._source / "reference.py", stand_ins) if stand_ins else "",
            "cpu_seconds": math.ceil(self.limits["cpu_seconds"] * share),
            "wall_seconds": self.limits["wall_seconds"] * share,
            "memory_bytes": int(self.limits["memory_gib"] * (1 << 30)),
        }
        what = function or "Importing student_code.py"
        try:
            self._process.stdin.write(values.dumps(request))
            self._process.stdin.flush()
            ending, sent = values.read(self._process.stdout), values.read(self._process.stdout)
        except OSError:
            ending = sent = None
        if ending is None or sent is None:
            self._start()
            raise Failed(f"{what} should return, but the process that ran it was ended from within.")
        self._check_ending(what, values.loads(ending), request)
        try:
            reply = values.loads(sent)
            if reply["broken"]:
                raise Failed(f"student_code.py could not be imported: {describe_error(reply['broken'])}.")
            return reply
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(UNREADABLE.format(what)) from error

    def _check_ending(self, what, ending, request):
        reason, number = ending["reason"], ending["signal"]
        if reason == "sent":
            return
        limit = f"{request['wall_seconds']:g} s" if reason == "time" else ""
        stopped = reason == "ended" and number in (signal.SIGKILL, signal.SIGXCPU)
        if stopped and ending["cpu_seconds"] >= 0.9 * request["cpu_seconds"]:
            limit = f"{request['cpu_seconds']} s of computing"
        if limit:
            self.timeouts += 1
            raise Failed(f"{what} should return, but was still running after {limit}, the limit of a test.")
        if reason == "size":
            raise Failed(f"{what} should return a value, but more came back than a test accepts.")
        if number == signal.SIGKILL:
            raise Failed(f"{what} should return, but was killed, most likely for its use of memory.")
        if number:
            raise Failed(f"{what} should return, but crashed with {signal.Signals(number).name}.")
        raise Failed(f"{what} should return, but ended its process with exit code {ending['code']}.")

    def _start(self):
        if self._process:
            self._process.kill()
            self._process.wait()
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GRADESCOPE"))}
        environment |= {
            "HF_HUB_OFFLINE": "1",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "MPLBACKEND": "Agg",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_WAIT_POLICY": "PASSIVE",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-m", "grader.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._source,
            env=environment,
        )
        try:
            self._process.stdin.write(values.dumps(self._setup))
            self._process.stdin.flush()
            ready = values.read(self._process.stdout)
        except OSError:
            ready = None
        if ready is None:
            raise Broken("the supervisor did not start; is everything in requirements.txt installed?")
        self.isolation = values.loads(ready)


def stand_in_source(path: Path, names: tuple[str, ...]) -> str:
    """The reference's source without the functions that hold a solution, `names` excepted."""
    text = path.read_text(encoding="utf-8")
    marks = [i for i, line in enumerate(text.splitlines(), 1) if line.strip() == "### BEGIN SOLUTION"]
    tree = ast.parse(text)
    tree.body = [
        node
        for node in tree.body
        if getattr(node, "name", None) in names or not any(node.lineno <= i <= node.end_lineno for i in marks)
    ]
    return ast.unparse(tree)


def best_of(attempt: Callable[[tuple[str, ...]], str], stand_ins: tuple[str, ...]) -> str:
    """Try with the student's own functions, then with the reference's in place of those it builds on."""
    try:
        return attempt(()) or "As expected."
    except Failed:
        attempt(stand_ins)
        return f"As expected, once the reference's {' and '.join(stand_ins)} stood in for the submission's."


def describe(value: object) -> str:
    """`value` in a few words."""
    if isinstance(value, Tensor):
        return f"a torch.{value.dtype} tensor of the shape {value.array.shape}"
    if isinstance(value, np.ndarray):
        return f"a NumPy {value.dtype} array of the shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Thing):
        return f"an object of the kind {value.kind}"
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"a {type(value).__name__}"


def describe_error(error: dict) -> str:
    """A student's exception: its type, message and line."""
    kind, message, line, file = (error.get(key) for key in ("type", "message", "line", "file"))
    short = " ".join(str(message).split())[:200].rstrip(".")
    where = f" (line {line} of {file})" if isinstance(line, int) and isinstance(file, str) else ""
    return f"{kind}: {short}{where}" if short else f"{kind}{where}"


def expect_tensor(outcome: Outcome, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return the values of the tensor that a call gave; fail unless shape and dtype are as they should be."""
    value, label = outcome.value, outcome.case.label
    if not isinstance(value, Tensor):
        raise Failed(f"{label} should be a torch.Tensor, got {describe(value)}.")
    if value.array.shape != tuple(shape):
        raise Failed(f"{label} should have the shape {tuple(shape)}, got {value.array.shape}.")
    if value.dtype != dtype:
        raise Failed(f"{label} should have the dtype torch.{dtype}, got torch.{value.dtype}.")
    if value.array.dtype.kind not in "buif":
        raise Failed(f"{label} should hold real numbers, got {value.array.dtype}.")
    return value.array


def expect_values(outcome: Outcome, expected: np.ndarray, dtype: str = "float32", tolerance: float = 1e-5) -> None:
    """Fail unless a call gave a tensor of these values; name the first that differs."""
    expect_close(outcome.case.label, expect_tensor(outcome, np.shape(expected), dtype), expected, tolerance)


def expect_close(label: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Fail unless two arrays of one shape agree; a NaN agrees with nothing."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    wrong = ~(np.abs(got - expected) <= tolerance)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = f" at index {list(index)}" if index else ""
        raise Failed(f"{label} should be {expected[index]:.6g}{where}, got {got[index]:.6g}.")


def expect_unmodified(outcome: Outcome) -> None:
    """Fail if a call changed what it was given."""
    for before, after in zip(outcome.case.args, outcome.args, strict=True):
        before, after = (v.array if isinstance(v, Tensor) else v for v in (before, after))
        if not np.array_equal(np.asarray(before), np.asarray(after)):
            raise Failed(f"{outcome.case.label} should leave its input as it was, but changed it.")
