"""TO-DO 5: IoU."""

import numpy as np
from grader.testing import Case, expect_unmodified, expect_values, group
from grader.values import Tensor

TESTS, test = group("TO-DO 5: IoU")

HINT = "count the pixels above 0.5 that both masks have, divide by those that either has, and give 1 if there are none"


def _check(student, inputs, refused=()):
    """`inputs` is a list of label, predict, target, expected score; `refused` of label, predict, target."""
    cases = [
        Case(f"IoU of {label}", (_tensor(predict), _tensor(target)), hint=HINT) for label, predict, target, _ in inputs
    ]
    cases += [
        Case(f"IoU of {label}", (_tensor(predict), _tensor(target)), raises="ValueError")
        for label, predict, target in refused
    ]
    outcomes = student.call("IoU", cases)
    for outcome, (*_, expected) in zip(outcomes, inputs, strict=True):
        # Its float dtype is left open: a float64 score is as good.
        kind = outcome.value.dtype if isinstance(outcome.value, Tensor) else ""
        expect_values(outcome, np.float64(expected), kind if "float" in kind else "float32")
    return outcomes


def _tensor(mask):
    return mask if isinstance(mask, Tensor) else Tensor(np.asarray(mask))


@test("test_IoU1", 5, visible=True)
def counted(student):
    predict, target = np.float32([[1, 1, 1, 0], [1, 0, 0, 0]]), np.float32([[0, 1, 1, 1], [0, 0, 0, 0]])
    _check(
        student,
        [
            ("two masks with 2 pixels in common and 5 in all", predict, target, 0.4),
            ("a mask with itself", target, target, 1),
            ("two masks without a common pixel", target, 1 - target, 0),
        ],
    )


@test("test_IoU2", 4, visible=True)
def probabilities(student):
    predict, target = np.float32([[0.9, 0.6, 0.51], [0.4, 0.5, 0.1]]), np.float32([[1, 0, 1], [1, 1, 0]])
    empty = np.zeros((2, 3), np.float32)
    _check(
        student,
        [
            ("probabilities with a mask (car is above 0.5)", predict, target, 0.4),
            ("a mask with probabilities", target, predict, 0.4),
            ("two empty masks, which agree,", empty, empty, 1),
        ],
    )


@test("empty, full and disjoint masks against torchmetrics", 3)
def special(student):
    _check(student, student.expected["special_masks"])


@test("random masks against torchmetrics", 3)
def random(student):
    _check(student, student.expected["random_masks"])


@test("N×1 masks and other dtypes", 2)
def dtypes(student):
    column, other = np.float32([[1], [1], [0], [1], [0]]), np.float32([[1], [0], [0], [1], [1]])
    inputs = [
        ("two 5×1 masks", column, other, 0.5),
        ("two 1×5 masks", column.T.copy(), other.T.copy(), 0.5),
        ("two 1×1 masks", column[:1], other[:1], 1),
    ]
    for name in ("float64", "float16", "int64", "uint8", "bool"):
        inputs.append((f"two masks of {name}", column.astype(name), other.astype(name), 0.5))
    inputs.append(("a float32 and a uint8 mask", column, other.astype(np.uint8), 0.5))
    _check(student, inputs)


@test("exact on many pixels", 1)
def large(student):
    predict, target = np.zeros((2, 600, 800), np.float16)
    predict[:, :600], target[:, 200:] = 1, 1
    few = predict[::100, ::100], target[::100, ::100]  # small enough for a ready-made function to be noticed
    _check(student, [("two float16 masks of 6×8", *few, 0.5), ("two float16 masks of 600×800", predict, target, 0.5)])


@test("refuses masks of unequal shape, NaN and 255", 1)
def refusals(student):
    ones = np.ones((2, 3), np.float32)
    refused = [
        ("a 2×3 and a 3×2 mask", ones, ones.T.copy()),
        ("a 2×3 and a 1×3 mask", ones, ones[:1]),
        ("a mask that holds NaN", ones * np.nan, ones),
        ("a mask of 255", ones * 255, ones),
    ]
    _check(student, [("a mask with itself", ones, ones, 1)], refused)


@test("leaves its inputs as they were", 1)
def unmodified(student):
    predict, target = np.float32([[0.2, 0.7], [0.9, 0.4]]), np.float32([[0, 1], [0, 1]])
    for outcome in _check(student, [("probabilities with a mask", predict, target, 1 / 3)]):
        expect_unmodified(outcome)
