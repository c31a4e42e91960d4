"""The IoU of each of CamVid's classes, their mean, and the confusion matrix: `python -m staff.evaluate --classes`.

As published scores are computed: over the frames of 360×480 without any padding, pixels that nobody labelled left out,
intersections and unions summed over all frames, the mean taken over the eleven classes.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchmetrics.classification import MulticlassConfusionMatrix
from tqdm import tqdm

import utils
from staff.files import csv_text, write_text

UNLABELLED = utils.CLASSES.index("unlabelled")
NAMES = utils.CLASSES[:UNLABELLED]


@torch.inference_mode()
def predict_classes(model: nn.Module, image: np.ndarray) -> torch.Tensor:
    """H×W class ids of a normalised 3×H×W image. It is padded to a multiple of 32 by mirroring, and cropped again."""
    height, width = image.shape[1:]
    top, left = (-height % 32) // 2, (-width % 32) // 2
    padding = ((0, 0), (top, -height % 32 - top), (left, -width % 32 - left))
    padded = np.pad(image, padding, mode="reflect")  # torch's refuses to add more than the image has
    logits = model(torch.from_numpy(padded)[None].to(next(model.parameters())))
    return logits[0, :, top : top + height, left : left + width].argmax(0).cpu()


def confusion_matrix(model: nn.Module, images: Path, masks: Path) -> np.ndarray:
    """12×12 counts of pixels, true class by row, predicted class by column. Pixels that are unlabelled are left out."""
    prepare = utils.get_preprocessing(utils.get_preprocessing_fn("resnet50"))
    dataset = utils.Dataset(images, masks, preprocessing=prepare)
    matrix = MulticlassConfusionMatrix(len(utils.CLASSES), ignore_index=UNLABELLED)
    with utils.evaluation_mode(model):
        for image, mask in tqdm(dataset, desc="twelve classes"):
            matrix.update(predict_classes(model, image), torch.from_numpy(mask.argmax(0)))
    return matrix.compute().numpy()


def class_ious(matrix: np.ndarray) -> np.ndarray:
    """IoU of each of the eleven classes from a confusion matrix; NaN for a class neither present nor predicted."""
    hit = np.diag(matrix).astype(float)
    union = matrix.sum(0) + matrix.sum(1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)[:UNLABELLED]


def report(matrix: np.ndarray) -> str:
    """A table: each class with its IoU, then for each true class the share of its pixels that each class got."""
    ious = class_ious(matrix)
    lines = [f"{'class':12}{'IoU':>7}   of its pixels, seen as (%)", " " * 22 + "".join(f"{n[:6]:>7}" for n in NAMES)]
    for name, iou, row in zip(NAMES, ious, matrix, strict=False):
        shares = "".join(f"{100 * count / max(row.sum(), 1):7.1f}" for count in row[:UNLABELLED])
        lines.append(f"{name:12}{iou:7.3f}   {shares}")
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    lines.append(
        f"{'mean':12}{np.nanmean(ious):7.3f}   of {np.isfinite(ious).sum()} classes; pixel accuracy {accuracy:.3f}"
    )
    return "\n".join(lines)


def write_confusion(matrix: np.ndarray, target: Path) -> None:
    """The matrix as a CSV with the names of the classes, and each class's IoU in the last column."""
    ious = [*(f"{iou:.4f}" for iou in class_ious(matrix)), ""]
    rows = [
        {"true class": name, **dict(zip(utils.CLASSES, counts, strict=True)), "iou": iou}
        for name, counts, iou in zip(utils.CLASSES, matrix.tolist(), ious, strict=True)
    ]
    write_text(target, csv_text(list(rows[0]), rows))
