"""TO-DO 5: IoU on masks small enough to count."""

import torch

import student_code
from proj2_unit_tests.checks import check_values


def test_IoU1():
    predict = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    target = torch.tensor([[0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    check_values(
        "IoU of two masks with 2 pixels in common and 5 in all", student_code.IoU(predict, target), torch.tensor(0.4)
    )
    check_values("IoU of a mask with itself", student_code.IoU(target, target), torch.tensor(1.0))
    check_values("IoU of two masks without a common pixel", student_code.IoU(target, 1 - target), torch.tensor(0.0))


def test_IoU2():
    predict = torch.tensor([[0.9, 0.6, 0.51], [0.4, 0.5, 0.1]])
    target = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    hint = ": a pixel is car where its probability is above 0.5, so not where it is exactly 0.5"
    call = "IoU of the probabilities [[0.9, 0.6, 0.51], [0.4, 0.5, 0.1]] with the mask [[1, 0, 1], [1, 1, 0]]"
    check_values(call, student_code.IoU(predict, target), torch.tensor(0.4), hint)
    check_values(
        "IoU of that mask with those probabilities", student_code.IoU(target, predict), torch.tensor(0.4), hint
    )

    empty = torch.zeros(2, 3)
    hint = ": where neither mask has a car they agree, so IoU is 1"
    check_values("IoU of two empty masks", student_code.IoU(empty, empty), torch.tensor(1.0), hint)

    try:
        student_code.IoU(predict, target[:1])
        got = "a score"
    except ValueError:
        return
    except Exception as error:
        got = type(error).__name__
    raise AssertionError(f"IoU of masks of the shapes (2, 3) and (1, 3) should raise a ValueError, got {got}.")
