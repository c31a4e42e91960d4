"""TO-DO 5, 6 and the extra credit of student_code.py against their contracts: IoU, applyIoU, compare_psp_fpn."""

import numpy as np
import pytest
import torch
import torchmetrics

import student_code
import utils

NAN = float("nan")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 9), (24, 32), (1, 12, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_iou_is_torchmetrics(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    predict, target = torch.rand(shape, generator=generator), (torch.rand(shape, generator=generator) > 0.4)
    target[..., 0] = True  # torchmetrics has another convention for an empty union
    score = student_code.IoU(predict, target)
    assert score.shape == () and score.dtype == torch.float32
    torch.testing.assert_close(score, torchmetrics.functional.jaccard_index(predict, target.long(), task="binary"))
    assert student_code.IoU(target, predict) == score


REAL = [torch.bool, torch.uint8, torch.uint16, torch.int8, torch.int32, torch.int64, *FLOATS]


@pytest.mark.parametrize("dtype", REAL)
def test_iou_takes_every_real_dtype(dtype):
    predict, target = torch.tensor([[1, 1], [0, 1], [0, 0]]).to(dtype), torch.tensor([[1, 0], [1, 1], [0, 0]])
    for a, b in ((predict, target), (target, predict)):
        assert student_code.IoU(a, b) == 0.5


@pytest.mark.parametrize(
    ("predict", "target", "score"),
    [
        ([[0, 0]], [[0, 0]], 1),
        ([[1, 1]], [[1, 1]], 1),
        ([[0, 1]], [[1, 0]], 0),
        ([[0, 0]], [[1, 0]], 0),
        ([[1, 1]], [[0, 1]], 0.5),
        ([[0.5, 0.9]], [[0, 1]], 1),
        ([[0.5000001, 0.9]], [[0, 1]], 0.5),
        ([[0.49, 0.51]], [[1, 0.5]], 0),
        ([], [], 1),
    ],
)
def test_iou_by_hand(predict, target, score):
    result = student_code.IoU(torch.tensor(predict), torch.tensor(target))
    assert result == score and result.shape == () and result.is_floating_point()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_iou_counts_more_pixels_than_its_dtype_can(dtype):
    predict, target = torch.ones(600, 400, dtype=dtype), torch.ones(600, 400, dtype=dtype)
    target[0, 0] = 0
    torch.testing.assert_close(student_code.IoU(predict, target).item(), 239999 / 240000, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("predict", "target", "named"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"\(2, 3\) and \(3, 2\)"),
        (torch.zeros(1, 2, 3), torch.zeros(2, 3), r"\(1, 2, 3\) and \(2, 3\)"),
        (torch.tensor([NAN, 1]), torch.zeros(2), "predict"),
        (torch.zeros(2), torch.tensor([NAN, 1]), "target"),
        (torch.tensor([-3.0, 1]), torch.zeros(2), "predict.*sigmoid"),
        (torch.zeros(2), torch.tensor([0, 255]), "target"),
    ],
)
def test_iou_refuses_what_is_no_pair_of_masks(predict, target, named):
    with pytest.raises(ValueError, match=named):
        student_code.IoU(predict, target)


class Threshold(torch.nn.Module):
    """A network that says how bright a pixel is, and keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.dropout = torch.nn.Dropout(0.9)
        self.calls = []

    def forward(self, x):
        self.calls.append((x, self.training, torch.is_inference_mode_enabled()))
        return self.dropout((x * self.scale).mean(1, keepdim=True))


class Pairs(torch.utils.data.Dataset):
    """Images whose upper half is bright; the mask of pair k has its upper 8 and k more rows."""

    def __init__(self, n=4, fails_at=None):
        self.n, self.fails_at = n, fails_at

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        if k == self.fails_at:
            raise RuntimeError("unreadable")
        image, mask = np.zeros((16, 8, 3), np.float32), np.zeros((16, 8, 1), np.float32)
        image[:8], mask[: 8 + k] = 1, 1
        # A tensor of such a view passes for channels-last, but its first stride is not that of a batch.
        return torch.from_numpy(image.transpose(2, 0, 1)), torch.from_numpy(mask.transpose(2, 0, 1))


SCORES = [1.0, 8 / 9, 8 / 10, 8 / 11]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_applyiou_scores_each_pair_in_order(dtype):
    model = Threshold().to(dtype)
    scores = student_code.applyIoU(model, Pairs())
    assert isinstance(scores, list) and all(isinstance(s, torch.Tensor) and s.shape == () for s in scores)
    torch.testing.assert_close([s.item() for s in scores], SCORES)
    assert not any(s.is_inference() or s.requires_grad for s in scores)
    for x, training, inference in model.calls:
        assert x.shape == (1, 3, 16, 8) and x.dtype == dtype
        assert x.stride() == (3 * 16 * 8, 1, 3 * 8, 3), "channels-last"
        assert not training and inference
    assert student_code.applyIoU(model, Pairs(0)) == []
    with pytest.raises(RuntimeError, match="unreadable"):
        student_code.applyIoU(model, Pairs(fails_at=2))


@pytest.mark.parametrize("wrap", [torch.Tensor.clone, torch.Tensor.numpy], ids=["tensors", "arrays"])
def test_applyiou_takes_tensors_subsets_and_networks_without_parameters(wrap):
    class Wrapped(Pairs):
        def __getitem__(self, k):
            return tuple(wrap(a) for a in super().__getitem__(k))

    class Bare(torch.nn.Module):
        def forward(self, x):
            return x[:, :1]

    scores = student_code.applyIoU(Bare(), torch.utils.data.Subset(Wrapped(), [2, 0]))
    torch.testing.assert_close([s.item() for s in scores], [SCORES[2], SCORES[0]])


def test_applyiou_says_when_the_data_set_is_not_preprocessed(sample_dirs):
    with pytest.raises(ValueError, match=r"Pair 0 is \(360, 480, 3\) and \(360, 480, 1\)"):
        student_code.applyIoU(Threshold(), utils.Dataset(*sample_dirs, classes=["car"]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_everything_follows_the_device():
    model = Threshold().cuda()
    torch.testing.assert_close([s.item() for s in student_code.applyIoU(model, Pairs())], SCORES)
    x = torch.tensor([-1e4, 0.0, 1e4], device="cuda")
    assert student_code.sigmoid(x).tolist() == [0, 0.5, 1] and student_code.sigmoid(x).device == x.device
    assert student_code.softmax(x).tolist() == [0, 0, 1] and student_code.softmax(x).device == x.device
    image = torch.zeros(1, 1, 3, device="cuda")
    assert student_code.apply_mask_to_image(image, torch.ones(1, 1)).tolist() == [[[255, 0, 0]]]
    assert student_code.IoU(x > 0, (x > 0).cpu()) == 1
