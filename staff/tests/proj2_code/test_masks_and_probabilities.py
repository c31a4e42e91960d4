"""TO-DO 1 to 3 of student_code.py against their contracts: sigmoid, softmax, apply_mask_to_image."""

import copy

import numpy as np
import pytest
import torch

import student_code

INF, NAN = float("inf"), float("nan")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
EXTREMES = (-INF, -1e4, -800.0, -88.0, -20.0, -1.0, -0.0, 0.0, 0.5, 17.0, 89.0, 1e4, INF)


@pytest.fixture
def ready_made(monkeypatch):
    """torch's own sigmoid and softmax, taken before they and their kin are made to fail."""
    kept = copy.copy(torch.sigmoid), copy.copy(torch.softmax)

    def forbidden(*args, **kwargs):
        raise AssertionError("a ready-made function was called")

    for module, names in {
        torch: "sigmoid sigmoid_ softmax log_softmax logsumexp tanh",
        torch.special: "expit softmax log_softmax logsumexp",
        torch.nn.functional: "sigmoid logsigmoid softmax log_softmax softmin tanh",
        torch.Tensor: "sigmoid sigmoid_ softmax log_softmax logsumexp tanh",
    }.items():
        for name in names.split():
            monkeypatch.setattr(module, name, forbidden)
    return kept


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (13,), (13, 1), (0, 3), (2, 3, 4, 5)])
def test_sigmoid_is_the_ready_made_one(ready_made, dtype, shape):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 6).to(dtype)
    before = x.clone()
    y = student_code.sigmoid(x)
    assert y.dtype == dtype and y.shape == shape
    torch.testing.assert_close(y, ready_made[0](x), rtol=3 * torch.finfo(dtype).eps, atol=0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_at_the_extremes_in_value_and_gradient(ready_made, dtype):
    x = torch.tensor(EXTREMES, dtype=dtype, requires_grad=True)
    y = student_code.sigmoid(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    with np.errstate(over="ignore"):
        true = 1 / (1 + np.exp(-x.detach().double().numpy()))
    close = {"rtol": 4 * torch.finfo(dtype).eps, "atol": torch.finfo(dtype).tiny}
    torch.testing.assert_close(y.detach().double(), torch.from_numpy(true), **close)
    # y (1 - y) in double, from the smaller of both, so that 1 - y loses nothing.
    with np.errstate(over="ignore"):
        small = 1 / (1 + np.exp(x.detach().double().abs().numpy()))
    slope = torch.from_numpy(small * (1 - small))
    torch.testing.assert_close(
        gradient.double(), slope, rtol=8 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).tiny
    )
    assert gradient[6] == gradient[7] == 0.25


def test_sigmoid_keeps_nan_and_passes_gradcheck():
    assert student_code.sigmoid(torch.tensor(NAN)).isnan()
    x = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(student_code.sigmoid, x)
    assert torch.autograd.gradcheck(student_code.softmax, x)


@pytest.mark.parametrize("function", [student_code.sigmoid, student_code.softmax])
def test_integers_bools_arrays_and_lists_are_computed_in_floats(function):
    expected = function(torch.tensor([0.0, 1.0, 1.0]))
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool):
        assert torch.equal(function(torch.tensor([0, 1, 1]).to(dtype)), expected)
    assert torch.equal(function(np.array([1, 1, 0], np.int64)[::-1]), expected)
    assert torch.equal(function([0, 1, 1]), expected)
    with pytest.raises(TypeError, match="complex64"):
        function(torch.tensor([1j]))


@pytest.mark.parametrize("function", [student_code.sigmoid, student_code.softmax])
def test_the_result_stays_on_the_device(function):
    x = torch.empty(2, 3, device="meta")  # a device every machine has; it refuses to be mixed with the CPU's tensors
    assert function(x).device == x.device and function(x).shape == x.shape


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((5,), 0), ((5, 1), 0), ((5, 7), 1), ((2, 3, 4), -2), ((3, 0), 0)])
def test_softmax_is_the_ready_made_one(ready_made, dtype, shape, dim):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 6).to(dtype)
    before = x.clone()
    y = student_code.softmax(x, dim)
    assert y.dtype == dtype and y.shape == shape
    torch.testing.assert_close(y, ready_made[1](x, dim), rtol=2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).tiny)
    torch.testing.assert_close(y.sum(dim).double(), torch.ones_like(x.sum(dim)).double(), rtol=0, atol=0.01)
    assert torch.equal(x, before)


def test_softmax_runs_along_the_first_axis_by_default():
    x = torch.tensor([[0.0, 5.0], [3.0, 5.0]])
    torch.testing.assert_close(student_code.softmax(x).sum(0), torch.ones(2))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1e4, 0, -1e4], [1, 0, 0]),
        ([1e4, 1e4], [0.5, 0.5]),
        ([-1e4, -1e4, -1e4, -1e4], [0.25] * 4),
        ([-INF, 0, 0], [0, 0.5, 0.5]),
        ([3e38, -3e38], [1, 0]),
        ([-INF, -INF], [NAN, NAN]),
        ([INF, 0], [NAN, NAN]),
        ([NAN, 0], [NAN, NAN]),
    ],
)
def test_softmax_at_the_extremes_in_value_and_gradient(x, y):
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y, dtype=torch.float32)
    result = student_code.softmax(x)
    torch.testing.assert_close(result, y, equal_nan=True, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(result[-1], x)
    expected = y[-1] * (torch.eye(len(y))[-1] - y)
    torch.testing.assert_close(gradient, expected, equal_nan=True, rtol=1e-6, atol=0)


IMAGE = np.array([[[10, 20, 30], [200, 0, 255]], [[0, 0, 0], [255, 255, 255]], [[1, 2, 3], [4, 5, 6]]])  # 3×2×3
MASK = np.array([[1, 0], [0, 1], [1, 1]])
SEGMENTED = [[[255, 20, 30], [200, 0, 255]], [[0, 0, 0], [255, 255, 255]], [[255, 2, 3], [255, 5, 6]]]


@pytest.mark.parametrize("image_type", ["uint8", "uint16", "int16", "int64", "float32", "float64"])
@pytest.mark.parametrize("mask_type", ["uint8", "bool", "int64", "float32", "float64"])
@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["array", "tensor"])
def test_mask_turns_pixels_red(image_type, mask_type, make):
    image, mask = make(IMAGE.astype(image_type)), make(MASK.astype(mask_type))
    for shape in ((3, 2), (3, 2, 1)):
        result = student_code.apply_mask_to_image(image, mask.reshape(shape))
        assert result.dtype == torch.int64 and result.tolist() == SEGMENTED
    assert image.tolist() == IMAGE.tolist() and mask.tolist() == MASK.tolist()
    assert str(image.dtype).endswith(image_type) and str(mask.dtype).endswith(mask_type)


def test_mask_on_flipped_read_only_and_out_of_range_images():
    flipped = IMAGE.astype(np.uint8)[::-1]
    assert student_code.apply_mask_to_image(flipped, MASK[::-1]).tolist() == SEGMENTED[::-1]
    read_only = IMAGE.copy()
    read_only.setflags(write=False)
    assert student_code.apply_mask_to_image(read_only, MASK).tolist() == SEGMENTED
    beyond = student_code.apply_mask_to_image(IMAGE * 3 - 100, np.zeros((3, 2)))
    assert beyond.tolist() == (IMAGE * 3 - 100).clip(0, 255).tolist()
    assert student_code.apply_mask_to_image(IMAGE + 0.9, MASK * 0).tolist() == IMAGE.tolist()


@pytest.mark.parametrize(
    ("image", "mask", "named"),
    [
        (IMAGE, MASK.T, r"\(3, 2, 3\) and \(2, 3, 1\)"),
        (IMAGE, np.ones((3, 2, 2)), r"\(3, 2, 2\)"),
        (IMAGE.transpose(2, 0, 1), MASK, r"\(3, 3, 2\)"),
        (IMAGE[..., 0], MASK, r"\(3, 2\)"),
        (IMAGE, MASK * 255, "0 and 1"),
        (IMAGE, MASK * 0.5, "0 and 1"),
        (IMAGE, MASK * NAN, "0 and 1"),
    ],
)
def test_mask_refuses_what_does_not_fit(image, mask, named):
    with pytest.raises(ValueError, match=named):
        student_code.apply_mask_to_image(image, mask)
