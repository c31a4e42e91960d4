"""The tests of every TO-DO, visible and hidden; the visible ones carry the names and inputs of proj2_unit_tests.

Each sends inputs to the student's function and compares what comes back here, where the student's code never runs.
"""

from tests import apply_iou, apply_mask, compare, iou, load_fpn, sigmoid, softmax

TESTS = [
    *sigmoid.TESTS,
    *softmax.TESTS,
    *apply_mask.TESTS,
    *load_fpn.TESTS,
    *iou.TESTS,
    *apply_iou.TESTS,
    *compare.TESTS,
]
