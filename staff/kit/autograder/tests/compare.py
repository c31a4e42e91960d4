"""Extra credit: compare_psp_fpn, on small cut-outs of the rendered scenes."""

from grader.testing import Case, Failed, best_of, describe, group
from grader.values import OpaqueValue

from tests.apply_iou import expect_scores

TESTS, test = group("TO-DO EC: compare_psp_fpn")


def _run(student, which):
    """Compare both lists of scores on the chosen frames with those of the reference."""
    expected = student.expected

    def attempt(stand_ins):
        dataset = OpaqueValue("dataset", {"items": [expected["frames"][i] for i in which]})
        (outcome,) = student.call("compare_psp_fpn", [Case("compare_psp_fpn(dataset)", (dataset,))], stand_ins)
        pair = outcome.value
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Failed(f"compare_psp_fpn should return psp_iou and fpn_iou, got {describe(pair)}.")
        for name, its_scores in zip(("psp_iou", "fpn_iou"), pair, strict=True):
            expect_scores(f"compare_psp_fpn's {name}", its_scores, [expected[name][i] for i in which], 0.01)

    return best_of("compare_psp_fpn", attempt, ("IoU", "applyIoU", "load_FPN_resnet50"))


@test("test_compare_psp_fpn", 5, visible=True)
def scores(student):
    return _run(student, (0, 1))


@test("other frames, in another order", 5)
def others(student):
    return _run(student, (2, 1, 0))
