"""TO-DO 1 and 2: sigmoid and softmax against values worked out by hand."""

import torch

import student_code
from proj2_unit_tests.checks import check_values


def test_sigmoid():
    row = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    expected = torch.tensor([0.119203, 0.268941, 0.5, 0.731059, 0.880797])
    check_values("sigmoid([-2, -1, 0, 1, 2])", student_code.sigmoid(row), expected, dtype=row.dtype)

    column = row.reshape(5, 1)
    check_values("sigmoid of a 5×1 tensor", student_code.sigmoid(column), expected.reshape(5, 1))

    far = torch.tensor([-200.0, 200.0])
    hint = ": e^200 is inf in float32, and inf / inf is nan"
    check_values("sigmoid([-200, 200])", student_code.sigmoid(far), torch.tensor([0.0, 1.0]), hint)

    x = torch.tensor([-200.0, 0.0, 200.0], requires_grad=True)
    y = student_code.sigmoid(x)
    assert y.requires_grad, "sigmoid should pass gradients on, got a result that is cut off from x."
    y.sum().backward()
    hint = ""
    if x.grad.isnan().any():
        hint = (
            ": where an exponential is inf, autograd multiplies it by 0, even if torch.where then drops the value, "
            "so give torch.exp no number above 0"
        )
    elif x.grad[1] == 0:
        hint = ": the gradient of abs and of relu at 0 is 0 in PyTorch"
    check_values("the gradient of sigmoid at [-200, 0, 200]", x.grad, torch.tensor([0.0, 0.25, 0.0]), hint)


def test_softmax():
    row = torch.tensor([0.0, 1.0, 2.0, 3.0, -1.0])
    expected = torch.tensor([0.031685, 0.086129, 0.234122, 0.636409, 0.011656])
    check_values("softmax([0, 1, 2, 3, -1])", student_code.softmax(row), expected, dtype=row.dtype)

    hint = ": no exponential may overflow, so subtract the largest entry from all of them first"
    check_values("softmax([200, 201, 202, 203, 199])", student_code.softmax(row + 200), expected, hint)

    scores = torch.stack([row, torch.zeros(5)], dim=1)
    columns = torch.stack([expected, torch.full((5,), 0.2)], dim=1)
    hint = ": normalise along `dim`"
    check_values("softmax of a 5×2 tensor, along dim 0,", student_code.softmax(scores), columns, hint)
    check_values("softmax of a 2×5 tensor, along dim 1,", student_code.softmax(scores.T, dim=1), columns.T, hint)

    x = torch.tensor([0.0, 1.0, -200.0], requires_grad=True)
    y = student_code.softmax(x)
    assert y.requires_grad, "softmax should pass gradients on, got a result that is cut off from x."
    y[1].backward()
    expected = torch.tensor([-0.196612, 0.196612, 0.0])
    check_values("the gradient of the second entry of softmax([0, 1, -200])", x.grad, expected)
