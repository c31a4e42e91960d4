"""TO-DO 6: applyIoU, with a model that takes an image's first channel for the car probability."""

import numpy as np
from grader.testing import Case, Failed, Outcome, best_of, describe, expect_close, expect_tensor, group
from grader.values import OpaqueValue, Tensor

TESTS, test = group("TO-DO 6: applyIoU")


def expect_scores(name: str, scores: object, expected: list[float], tolerance: float = 1e-5) -> None:
    """Fail unless `scores` is a list of 0-d float tensors with the expected values."""
    if not isinstance(scores, list):
        raise Failed(f"{name} should return a list, got {describe(scores)}.")
    if len(scores) != len(expected):
        raise Failed(f"{name} should return {len(expected)} scores for as many frames, got {len(scores)}.")
    for i, (score, right) in enumerate(zip(scores, expected, strict=True)):
        label = f"{name}'s score of frame {i}"
        kind = score.dtype if isinstance(score, Tensor) and "float" in score.dtype else "float32"
        expect_close(label, expect_tensor(Outcome(Case(label, ()), score, [], []), (), kind), right, tolerance)


def _frame(predicted, true, height=32, width=64):
    """A preprocessed pair, like those of utils.Dataset, whose cars are whole columns."""
    image, mask = np.full((3, height, width), 0.2, np.float32), np.zeros((1, height, width), np.float32)
    image[0, :, predicted] = 0.8
    mask[0, :, true] = 1
    return image, mask


VISIBLE = (
    [
        _frame(slice(0, 20), slice(10, 30)),
        _frame(slice(0, 20), slice(0, 20)),
        _frame(slice(0, 20), slice(40, 60)),
        _frame(slice(0, 20), slice(0, 25)),
    ],
    [1 / 3, 1, 0, 0.8],
)


def _run(student, runs, stand_ins):
    """`runs` is a list of frames, expected scores. Return for each the model's metadata and the frames after it."""
    cases = [
        Case("applyIoU(model, dataset)", (OpaqueValue("model"), OpaqueValue("dataset", {"items": frames})))
        for frames, _ in runs
    ]
    outcomes = student.call("applyIoU", cases, stand_ins)
    for outcome, (_, expected) in zip(outcomes, runs, strict=True):
        expect_scores("applyIoU", outcome.value, expected)
    return [(model.metadata, frames) for model, frames in (outcome.args for outcome in outcomes)]


@test("test_applyIoU", 7, visible=True)
def scores(student):
    def attempt(stand_ins):
        ((model, _),) = _run(student, [VISIBLE], stand_ins)
        _check_modes(model)

    return best_of("applyIoU", attempt, ("IoU",))


def _check_modes(model):
    if not model["trained"] or any(model["trained"]):
        raise Failed("applyIoU should run the model in eval mode, got training mode: use utils.evaluation_mode.")
    if any(model["tracked"]):
        raise Failed(
            "applyIoU should run the model without gradients, got a run that tracks them: use torch.inference_mode()."
        )


@test("order and length", 3)
def order(student):
    overlaps = [3, 12, 0, 20, 7, 16, 1]
    many = [_frame(slice(0, 20), slice(20 - n, 40 - n)) for n in overlaps]
    one = [_frame(slice(0, 20), slice(0, 10), height=64, width=32)]

    def attempt(stand_ins):
        _run(student, [(many, [n / (40 - n) for n in overlaps]), (one, [0.5]), ([], [])], stand_ins)

    return best_of("applyIoU", attempt, ("IoU",))


@test("leaves model and data set as they were", 3)
def unmodified(student):
    def attempt(stand_ins):
        ((model, dataset),) = _run(student, [VISIBLE], stand_ins)
        if model["training"] != [True, False]:
            raise Failed(
                "applyIoU should leave every module in the mode it was in, but the model's modes changed: "
                "use utils.evaluation_mode."
            )
        for before, after in zip(VISIBLE[0], dataset, strict=True):
            if not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
                raise Failed("applyIoU should leave the frames of the data set as they were, but changed them.")

    return best_of("applyIoU", attempt, ("IoU",))


@test("the FPN on street scenes", 2)
def street(student):
    def attempt(stand_ins):
        network = OpaqueValue("result of", {"function": "load_FPN_resnet50"})
        dataset = OpaqueValue("dataset", {"items": student.expected["frames"]})
        case = Case("applyIoU(load_FPN_resnet50(), dataset)", (network, dataset))
        (outcome,) = student.call("applyIoU", [case], stand_ins)
        expect_scores("applyIoU", outcome.value, student.expected["fpn_iou"], 0.01)

    return best_of("applyIoU", attempt, ("IoU", "load_FPN_resnet50"))
