"""TO-DO 1: sigmoid."""

import numpy as np
from grader.testing import Case, expect_close, expect_unmodified, expect_values, group
from grader.values import Tensor

TESTS, test = group("TO-DO 1: sigmoid")

HINT = (
    "e^-x overflows for very negative x, e^x for very positive x, so each form of the formula is safe for one sign only"
)
GRADIENT_HINT = "autograd also differentiates what `torch.where` discards, and there infinity times 0 is NaN"


def reference(x):
    """1 / (1 + e^-x) in float64, with the exponent kept at or below 0."""
    x = np.asarray(x, np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


TOLERANCES = {"float64": 1e-12, "float16": 2e-3, "bfloat16": 1e-2}


def _check(student, inputs, tolerance=1e-5):
    """Compare with the formula: `inputs` is a dict of labels to arrays or tensors."""
    cases = [
        Case(f"sigmoid of {label}", (x if isinstance(x, Tensor) else Tensor(x),), hint=HINT)
        for label, x in inputs.items()
    ]
    outcomes = student.call("sigmoid", cases)
    for outcome in outcomes:
        x = outcome.case.args[0]
        dtype = x.dtype if "float" in x.dtype else "float32"
        expect_values(outcome, reference(x.array), dtype, TOLERANCES.get(dtype, tolerance))
    return outcomes


@test("test_sigmoid", 7, visible=True)
def values(student):
    _check(
        student,
        {
            "[-2, -1, 0, 1, 2]": np.float32([-2, -1, 0, 1, 2]),
            "a 5×1 tensor": np.float32([[-2], [-1], [0], [1], [2]]),
            "[-200, 200]": np.float32([-200, 200]),
        },
    )


@test("other shapes", 2)
def shapes(student):
    random = np.random.default_rng(1)
    shapes = [(), (1,), (7, 1), (1, 7), (2, 3, 4), (2, 1, 5, 3)]
    _check(
        student,
        {f"a tensor of the shape {shape}": random.normal(0, 4, shape).astype(np.float32) for shape in shapes},
    )


@test("other dtypes", 2)
def dtypes(student):
    x = np.array([-20.0, -3.5, -1.0, 0.0, 0.25, 1.0, 6.0, 20.0])
    inputs = {
        "a float64 tensor": x,
        "a float16 tensor": x.astype(np.float16),
        "a bfloat16 tensor": Tensor(x.astype(np.float32), "bfloat16"),
        "an int64 tensor": np.array([-3, 0, 2]),
        "a bool tensor": np.array([False, True]),
    }
    _check(student, inputs)


@test("extreme values", 2)
def extremes(student):
    x = [-np.inf, -1e30, -1e4, -800, -104, -89, -88, 88, 89, 104, 800, 1e4, 1e30, np.inf]
    _check(student, {"values from -inf to inf": np.float32(x)}, tolerance=1e-7)


@test("gradient", 1)
def gradient(student):
    x = np.float32([-1e4, -800, -100, -2, 0, 2, 100, 800, 1e4])
    (outcome,) = student.call(
        "sigmoid", [Case("sigmoid of values from -1e4 to 1e4", (Tensor(x),), grad=True, hint=HINT)]
    )
    expect_values(outcome, reference(x))
    expect_close("The gradient of sigmoid", outcome.grads[0].array, reference(x) * reference(-x), 1e-6, GRADIENT_HINT)


@test("leaves its input as it was", 1)
def unmodified(student):
    for outcome in _check(student, {"a 3×2 tensor": np.float32([[-5, 5], [0, 1], [9, -9]])}):
        expect_unmodified(outcome)
