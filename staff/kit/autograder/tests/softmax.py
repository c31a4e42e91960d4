"""TO-DO 2: softmax."""

import numpy as np
from grader.testing import Case, expect_close, expect_unmodified, expect_values, group
from grader.values import Tensor

TESTS, test = group("TO-DO 2: softmax")

OVERFLOW = "no exponential may overflow, so subtract the largest entry from all of them first"
ALONG_DIM = "the largest entry and the sum are those along `dim`, taken with keepdim=True"


def reference(x, dim):
    """e^(x - max) over its sum, in float64."""
    x = np.asarray(x, np.float64)
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


TOLERANCES = {"float64": 1e-12, "float16": 2e-3, "bfloat16": 1e-2}


def _check(student, inputs):
    """Compare with the formula: `inputs` is a list of label, array or tensor, dim (None: left to the default)."""
    cases = [
        Case(
            f"softmax of {label}",
            (x if isinstance(x, Tensor) else Tensor(x),),
            {} if dim is None else {"dim": dim},
            hint=OVERFLOW if np.ndim(x if not isinstance(x, Tensor) else x.array) == 1 else ALONG_DIM,
        )
        for label, x, dim in inputs
    ]
    outcomes = student.call("softmax", cases)
    for outcome in outcomes:
        x = outcome.case.args[0]
        dtype = x.dtype if "float" in x.dtype else "float32"
        expected = reference(x.array, outcome.case.kwargs.get("dim", 0))
        expect_values(outcome, expected, dtype, TOLERANCES.get(dtype, 1e-5))
    return outcomes


@test("test_softmax", 7, visible=True)
def values(student):
    row = np.float32([0, 1, 2, 3, -1])
    scores = np.stack([row, np.zeros(5, np.float32)], axis=1)
    _check(
        student,
        [
            ("[0, 1, 2, 3, -1]", row, None),
            ("[200, 201, 202, 203, 199]", row + 200, None),
            ("a 5×2 tensor, along dim 0,", scores, None),
            ("a 2×5 tensor, along dim 1,", scores.T.copy(), 1),
        ],
    )


@test("other shapes and dims", 2)
def shapes(student):
    random = np.random.default_rng(2)
    wanted = [((1,), None), ((9,), -1), ((6, 1), None), ((6, 1), 1), ((1, 6), None), ((3, 4, 5), 1), ((2, 3, 4, 5), -1)]
    _check(
        student,
        [
            (
                f"a tensor of the shape {shape}, dim {0 if dim is None else dim},",
                random.normal(0, 3, shape).astype("f"),
                dim,
            )
            for shape, dim in wanted
        ],
    )


@test("other dtypes", 2)
def dtypes(student):
    x = np.array([-20.0, -3.5, -1.0, 0.0, 0.25, 1.0, 6.0])
    inputs = {
        "a float64 tensor": x,
        "a float16 tensor": x.astype(np.float16),
        "a bfloat16 tensor": Tensor(x.astype(np.float32), "bfloat16"),
        "an int64 tensor": np.array([3, 0, 1, -2]),
    }
    _check(student, [(label, numbers, None) for label, numbers in inputs.items()])


@test("extreme values", 2)
def extremes(student):
    _check(
        student,
        [
            ("[1e4, 1e4 - 1, -1e4]", np.float32([1e4, 9999, -1e4]), None),
            ("[-1e4, -1e4 - 1, -1e4]", np.float32([-1e4, -10001, -1e4]), None),
            ("[0, -inf, 2]", np.float32([0, -np.inf, 2]), None),
            ("rows of which one is large", np.float32([[0, 1], [5e3, 5e3 + 2]]), 1),
        ],
    )


@test("gradient", 1)
def gradient(student):
    inputs = {"[0, 1, -inf]": [0, 1, -np.inf], "[1e4, 0, -1e4]": [1e4, 0, -1e4]}
    cases = [
        Case(f"softmax of {label}", (Tensor(np.float32(x)),), grad=True, hint=OVERFLOW) for label, x in inputs.items()
    ]
    for outcome in student.call("softmax", cases):
        expect_values(outcome, reference(outcome.case.args[0].array, 0))
        # What is computed is the gradient of the sum of the probabilities, which is 1 for every x.
        expect_close(f"The gradient of the sum of {outcome.case.label}", outcome.grads[0].array, np.zeros(3), 1e-6)


@test("leaves its input as it was", 1)
def unmodified(student):
    x = np.float32([[3, 1], [2, 9], [-4, 0]])
    for outcome in _check(student, [("a 3×2 tensor", x, None), ("a 3×2 tensor, dim 1,", x, 1)]):
        expect_unmodified(outcome)
