"""TO-DO 3: apply_mask_to_image."""

import numpy as np
from grader.testing import Case, Failed, expect_tensor, expect_unmodified, expect_values, group
from grader.values import Tensor

TESTS, test = group("TO-DO 3: apply_mask_to_image")

HINT = "add 255 to red where the mask is 1, in int64 (uint8 counts modulo 256), then clip to 0..255"

IMAGE = np.array(
    [[[10, 20, 30], [200, 100, 50], [255, 255, 255]], [[0, 0, 0], [90, 180, 240], [130, 5, 250]]], np.uint8
)
MASK = np.array([[[1], [0], [1]], [[1], [0], [1]]], np.float32)


def reference(image, mask):
    """255 added to the red channel of the masked pixels, clipped to 0..255."""
    result = np.array(image, np.int64)
    result[..., 0] += 255 * np.array(mask, np.int64).reshape(result.shape[:2])
    return np.clip(result, 0, 255)


def _check(student, inputs, refused=()):
    """Compare with the reference: both are lists of label, image, mask."""
    cases = [Case(f"apply_mask_to_image of {label}", (image, mask), hint=HINT) for label, image, mask in inputs]
    cases += [
        Case(f"apply_mask_to_image of {label}", (image, mask), raises="ValueError") for label, image, mask in refused
    ]
    outcomes = student.call("apply_mask_to_image", cases)
    for outcome in outcomes:
        image, mask = (arg.array if isinstance(arg, Tensor) else arg for arg in outcome.case.args)
        expect_values(outcome, reference(image, mask), "int64", 0)
    return outcomes


def _scene(seed, height, width):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return image, random.integers(0, 2, (height, width, 1)).astype(np.float32)


@test("test_final_seg_range", 5, visible=True)
def value_range(student):
    (outcome,) = student.call("apply_mask_to_image", [Case("apply_mask_to_image(image, mask)", (IMAGE, MASK))])
    got = expect_tensor(outcome, IMAGE.shape, "int64")
    if got.min() < 0 or got.max() > 255:
        raise Failed(
            f"{outcome.case.label} should hold values from 0 to 255, got {got.min()} to {got.max()}: clip them."
        )
    if not got.any():
        raise Failed(f"{outcome.case.label} should hold the colours of the image, got nothing but 0.")


@test("test_final_seg_values", 7, visible=True)
def values(student):
    _check(student, [("a 2×3 image", IMAGE, MASK)])


@test("masks of all ones and of none", 2)
def full_and_empty(student):
    image, _ = _scene(3, 5, 4)
    ones, zeros = np.ones((5, 4, 1), np.float32), np.zeros((5, 4, 1), np.float32)
    _check(student, [("an image and a mask of all ones", image, ones), ("an image and an empty mask", image, zeros)])


@test("other sizes and H×W masks", 2)
def sizes(student):
    inputs = []
    for height, width in ((1, 1), (7, 1), (1, 6), (48, 64), (3, 3)):
        image, mask = _scene(height, height, width)
        inputs.append((f"a {height}×{width} image", image, mask))
        inputs.append((f"a {height}×{width} image and a mask without the last axis", image, mask[..., 0]))
    _check(student, inputs)


@test("other dtypes", 2)
def dtypes(student):
    image, mask = _scene(4, 6, 5)
    inputs = [(f"an image of {name}", image.astype(name), mask) for name in ("int64", "int32", "float32", "float64")]
    inputs += [(f"a mask of {name}", image, mask.astype(name)) for name in ("uint8", "int64", "float64", "bool")]
    inputs.append(("an image and a mask as torch tensors", Tensor(image), Tensor(mask)))
    _check(student, inputs)


@test("refuses a mask of another shape or with other values", 1)
def refusals(student):
    half = np.full_like(MASK, 0.5)
    refused = [("a 2×3 image and a 1×3 mask", IMAGE, MASK[:1]), ("a 2×3 image and a mask of 0.5", IMAGE, half)]
    _check(student, [("a 2×3 image", IMAGE, MASK)], refused)


@test("leaves its inputs as they were", 1)
def unmodified(student):
    image, mask = _scene(5, 4, 6)
    inputs = [(f"an image of {name}", image.astype(name), mask) for name in ("uint8", "int64")]
    for outcome in _check(student, inputs):
        expect_unmodified(outcome)
