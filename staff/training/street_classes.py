"""All twelve classes from the finished FPN-ResNet50: a 1×1 convolution on its decoder's 128 channels.

    python -m staff.training.street_classes models/resnet50_best_model_weights.pt

The network itself stays as it is. So its features are computed once for every frame and its mirror image, and the
head is trained on them: first with cross-entropy, then with the Lovász-softmax loss, which follows the mean IoU.
`train.py` does this as the last stage of the recipe; the command above does it for any finished FPN-ResNet50.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torchmetrics.classification import MulticlassConfusionMatrix

import utils
from staff import ROOT
from staff.classes import class_ious
from staff.training.callbacks import cpu_threads, provenance
from staff.training.data import DATA, UNLABELLED, Frame, WholeFrames, camvid, centre
from staff.training.recipes import HeadTraining, read_recipe
from staff.training.starts import build_teacher, read_state
from staff.training.task import NotFiniteError
from staff.training.weight_files import fingerprint, lineage_of, save_weights

MODEL = "fpn_resnet50"
CHANNELS, CLASSES = 128, len(utils.CLASSES)
NEVER = -1e4
"""Bias of "unlabelled": its probability is 0. Nothing teaches what such pixels look like."""


@dataclass(frozen=True)
class Features:
    """The decoder's output for some frames: N×128×h×w float16 maps, and their N×4h×4w uint8 labels."""

    maps: torch.Tensor
    labels: torch.Tensor


@torch.inference_mode()
def compute_features(network: nn.Module, frames: list[Frame], flips: bool) -> Features:
    """The frames' features, padded to a multiple of 32 by mirroring; with ``flips`` their mirror images' too.

    The padding has no label: published scores are computed without it.
    """
    network.eval()
    maps, labels = [], []
    for image, mask in frames:
        for flip in (False, True)[: 1 + flips]:
            pair = (image[:, ::-1].copy(), mask[:, ::-1].copy()) if flip else (image, mask)
            image_tensor, _ = WholeFrames([pair])[0]
            maps.append(network.decoder(network.encoder(image_tensor[None]))[0].half())
            labels.append(pad_unlabelled(pair[1], image_tensor.shape[1:]))
    return Features(torch.stack(maps), torch.stack(labels))


def pad_unlabelled(labels: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """The labels in the middle of an area of ``size``, the rest UNLABELLED."""
    padded = torch.full(size, UNLABELLED, dtype=torch.uint8)
    padded[centre(labels.shape, size)] = torch.from_numpy(labels)
    return padded


def decode(head: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """N×12×4h×4w logits of N×128×h×w maps, enlarged as the car network enlarges its own."""
    return nn.functional.interpolate(head(maps.float()), scale_factor=4, mode="bilinear", align_corners=True)


def train_head(features: Features, settings: HeadTraining, seed: int = 0) -> nn.Conv2d:
    """A 1×1 convolution trained on the features; pixels without a label are ignored.

    Raises NotFiniteError at the first loss that is not finite.
    """
    torch.manual_seed(seed)
    head = nn.Conv2d(CHANNELS, CLASSES, 1)
    entropy = nn.CrossEntropyLoss(class_weights(features.labels, settings.rare), ignore_index=UNLABELLED)
    lovasz = smp.losses.LovaszLoss("multiclass", ignore_index=UNLABELLED)
    batches = -(-len(features.maps) // settings.batch_size)
    optimizer = torch.optim.AdamW(head.parameters(), settings.lr, weight_decay=1e-4)
    epochs = settings.epochs + settings.lovasz_epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for epoch in range(epochs):
        loss_of = entropy if epoch < settings.epochs else lovasz
        for indices in torch.randperm(len(features.maps)).split(settings.batch_size):
            maps, labels = features.maps[indices], features.labels[indices]
            optimizer.zero_grad()
            # Every second pixel of every second row: four times as fast, and neighbours are alike.
            loss = loss_of(decode(head, maps)[:, :, ::2, ::2], labels[:, ::2, ::2].long())
            if not torch.isfinite(loss):
                raise NotFiniteError(f"The loss is {loss.item()} in epoch {epoch + 1} of street_classes: lower its lr.")
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        head.weight[UNLABELLED], head.bias[UNLABELLED] = 0, NEVER
    return head.eval()


def class_weights(labels: torch.Tensor, rare: float) -> torch.Tensor:
    """Share of the labelled pixels to the power of ``-rare``, one value a class; 0 for classes that are not there."""
    counts = torch.bincount(labels[labels != UNLABELLED].flatten(), minlength=CLASSES).double()
    share = counts / counts.sum().clamp(min=1)
    return torch.where(share > 0, share**-rare, 0.0).float()


@torch.inference_mode()
def confusion(head: nn.Module, features: Features) -> np.ndarray:
    """12×12 pixel counts, true class by row, predicted class by column; pixels without a label are left out."""
    matrix = MulticlassConfusionMatrix(CLASSES, ignore_index=UNLABELLED)
    for maps, labels in zip(features.maps, features.labels, strict=True):
        matrix.update(decode(head, maps[None]).argmax(1)[0], labels.long())
    return matrix.compute().numpy()


def run_street_classes(weights: Path, target: Path, settings: HeadTraining, data: Path, short: bool = False) -> Path:
    """Train the head on the network in ``weights`` and write it to ``target`` with its val score. short: two frames.

    Raises ValueError if ``weights`` are not those of an FPN-ResNet50.
    """
    began, few = time.monotonic(), slice(2 if short else None)
    network = build_teacher(read_state(weights), weights, every_output=False)
    train, val = (list(camvid(split, data).values())[few] for split in ("train", "val"))
    head = train_head(compute_features(network, train, settings.flips), settings)
    matrix = confusion(head, compute_features(network, val, flips=False))
    ious = class_ious(matrix)
    description = {
        "stage": "street_classes",
        "start": "random weights",
        "network": fingerprint(network.state_dict()),
        "settings": settings.model_dump(mode="json"),
        "frames": len(train) * (1 + settings.flips),
        "hours": round((time.monotonic() - began) / 3600, 2),
        "machine": cpu_threads(torch.get_num_threads()),
        "val_mean_iou": round(float(np.nanmean(ious)), 4),
        "val_frames": len(val),
        "provenance": provenance(),
    }
    save_weights(head, target, "street_classes", [*lineage_of(weights, MODEL), description])
    print(f"street_classes: mean IoU of the eleven classes on val {np.nanmean(ious):.4f}")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="a finished FPN-ResNet50")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    arguments = parser.parse_args()
    target = arguments.runs / MODEL / "street_classes" / "weights.pt"
    settings = read_recipe(MODEL).street_classes or HeadTraining()
    try:
        print(run_street_classes(arguments.weights, target, settings, arguments.data))
    except (OSError, ValueError, NotFiniteError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
