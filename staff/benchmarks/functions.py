"""The functions that a student writes, against how they are usually written and against the libraries."""

from collections.abc import Callable, Iterator
from functools import partial
from operator import call

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torchmetrics.functional.classification import binary_jaccard_index

import student_code
from staff.benchmarks.harness import Comparison, Rival

SIZES = {"10^6 floats": 10**6, "10^7 floats": 10**7}


def textbook_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


def textbook_softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x) / torch.exp(x).sum(dim=0)


def sigmoid() -> Iterator[Comparison]:
    """The textbook's line is not stable: its gradient is NaN for very negative numbers."""
    yield from activation("sigmoid", student_code.sigmoid, textbook_sigmoid, torch.sigmoid, 1 / 3)


def softmax() -> Iterator[Comparison]:
    """The textbook's line is not stable: it overflows above 88. Twelve classes, as in CamVid."""
    yield from activation("softmax", student_code.softmax, textbook_softmax, partial(torch.softmax, dim=0), 1 / 2)


def activation(row: str, ours: Callable, textbook: Callable, library: Callable, goal: float) -> Iterator[Comparison]:
    generator = torch.Generator().manual_seed(0)
    ways: dict[str, Callable] = {"forward": call, "forward and backward": gradient}
    for size, number in SIZES.items():
        x = torch.randn(12, number // 12, generator=generator)
        for way, run in ways.items():
            rivals = (
                Rival("the textbook's line", partial(run, textbook, x), goal),
                Rival("torch", partial(run, library, x)),
            )
            yield Comparison(row, f"{size}, {way}", partial(run, ours, x), rivals)


def gradient(function: Callable, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(function(x).square().sum(), x)[0]


def four_steps(image: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """The handout's four steps as students write them: three channels of the mask, its red, the sum, the clipping."""
    image, mask = torch.from_numpy(image).to(torch.int64), torch.from_numpy(mask).to(torch.int64)
    tint = torch.cat([mask, mask, mask], dim=2)
    tint = tint * torch.tensor([255, 0, 0])
    return torch.clamp(image + tint, 0, 255)


def with_opencv(image: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """cv2.add clips by itself; the result is the int64 tensor that is asked for."""
    tinted = image.copy()
    tinted[..., 0] = cv2.add(image[..., 0], mask[..., 0] * np.uint8(255))
    return torch.from_numpy(tinted).to(torch.int64)


def mask() -> Iterator[Comparison]:
    rng = np.random.default_rng(0)
    for height, width in ((360, 480), (1080, 1920)):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        car = (rng.random((height, width, 1)) < 0.2).astype(np.uint8)
        yield Comparison(
            "apply_mask_to_image",
            f"{height}×{width}",
            lambda image=image, car=car: student_code.apply_mask_to_image(image, car),
            (
                Rival("the handout's four steps", lambda image=image, car=car: four_steps(image, car), 2),
                Rival("OpenCV", lambda image=image, car=car: with_opencv(image, car)),
            ),
        )


def smp_iou(predict: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    counts = smp.metrics.get_stats(predict[None, None], target[None, None].int(), mode="binary", threshold=0.5)
    return smp.metrics.iou_score(*counts, reduction="micro")


def sklearn_iou(predict: torch.Tensor, target: torch.Tensor) -> float:
    from sklearn.metrics import jaccard_score  # takes seconds to import, and only this line needs it

    return jaccard_score(target.numpy().ravel() > 0.5, predict.numpy().ravel() > 0.5)


def iou() -> Iterator[Comparison]:
    generator = torch.Generator().manual_seed(0)
    predict, target = torch.rand(384, 480, generator=generator), torch.rand(384, 480, generator=generator).round()
    yield Comparison(
        "IoU",
        "384×480",
        lambda: student_code.IoU(predict, target),
        (
            Rival("torchmetrics", lambda: binary_jaccard_index(predict, target.int()), 3),
            Rival("smp.metrics", lambda: smp_iou(predict, target), 3),
            Rival("scikit-learn", lambda: sklearn_iou(predict, target), 3),
        ),
    )
