"""What the tests are written with: how they are declared, what they send, how they judge what comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .values import OpaqueValue, Tensor


class Failed(Exception):
    """A test failed; the message is one sentence for the student."""


class BudgetExhausted(Failed):
    """The time for the whole submission is used up."""


class NotWritten(Failed):
    """The function that is tested is missing, or says itself that it is not written yet."""


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
    """One call: `label` is its name in messages, `probe` what a returned network is run on, `hint` how to mend it.

    raises: the exception that the call should end with, if any.
    """

    label: str
    args: tuple
    kwargs: dict = field(default_factory=dict)
    grad: bool = False
    probe: tuple = ()
    hint: str = ""
    raises: str = ""


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


def best_of(function: str, attempt: Callable[[tuple[str, ...]], str], stand_ins: tuple[str, ...]) -> str:
    """Try with the student's own functions, then with the reference's in place of those that `function` builds on."""
    try:
        return attempt(()) or "As expected."
    except (BudgetExhausted, NotWritten):
        raise
    except Failed as failure:
        names = f"{', '.join(stand_ins[:-1])} and {stand_ins[-1]}" if len(stand_ins) > 1 else stand_ins[0]
        try:
            attempt(stand_ins)
        except BudgetExhausted:
            raise
        except Failed:
            # What failed the second time stays unsaid: the message might show the reference's code.
            raise Failed(f"{failure} (With a correct {names} it fails as well: look at {function} itself.)") from None
        return f"As expected, with a correct {names} in place of yours."


def describe(value: object) -> str:
    """`value` in a few words."""
    if isinstance(value, Tensor):
        return f"a torch.{value.dtype} tensor of the shape {value.array.shape}"
    if isinstance(value, np.ndarray):
        return f"a NumPy {value.dtype} array of the shape {value.shape}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, OpaqueValue):
        return f"an object of the type {value.metadata.get('type', value.kind)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"the {type(value).__name__} {value:.6g}"
    return repr(value) if value is None or isinstance(value, bool) else f"a {type(value).__name__}"


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
    got = expect_tensor(outcome, np.shape(expected), dtype)
    expect_close(outcome.case.label, got, expected, tolerance, outcome.case.hint)


def expect_close(label: str, got: np.ndarray, expected: np.ndarray, tolerance: float, hint: str = "") -> None:
    """Fail unless two arrays of one shape agree; a NaN agrees with nothing."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    wrong = ~(np.abs(got - expected) <= tolerance)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = f" at index {list(index)}" if index else ""
        hint = f": {hint}" if hint else ""
        raise Failed(f"{label} should be {expected[index]:.6g}{where}, got {got[index]:.6g}{hint}.")


def expect_unmodified(outcome: Outcome) -> None:
    """Fail if a call changed what it was given."""
    for before, after in zip(outcome.case.args, outcome.args, strict=True):
        before, after = (v.array if isinstance(v, Tensor) else v for v in (before, after))
        if not np.array_equal(np.asarray(before), np.asarray(after)):
            raise Failed(f"{outcome.case.label} should leave its input as it was, but changed it.")
