"""Steps of training, against the loop of smp's CamVid example: the same network, batch, crop and precision."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import albumentations as A
import cv2
import lightning
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader, Dataset

from staff import ROOT
from staff.benchmarks.harness import Comparison, Rival
from staff.training.data import StreetData
from staff.training.recipes import Sampling, TaskSettings
from staff.training.task import SegmentationTask, build_network

STEPS, BATCH, CROP, CLASSES = 6, 4, (256, 352), 13
SAMPLE = ROOT / "data" / "sample"


class ExampleFrames(Dataset):
    """As the example has it: read from disk each time, augmented, channels first."""

    def __init__(self):
        self.files = sorted((SAMPLE / "test").glob("*.png"))
        self.transform = A.Compose(
            [
                A.HorizontalFlip(p=0.5),
                A.ShiftScaleRotate(scale_limit=0.5, rotate_limit=0, shift_limit=0.1, p=1, border_mode=0),
                A.PadIfNeeded(*CROP),
                A.RandomCrop(*CROP),
                A.GaussNoise(p=0.2),
                A.Perspective(p=0.5),
                A.OneOf([A.CLAHE(), A.RandomBrightnessContrast(), A.RandomGamma()], p=0.9),
                A.OneOf([A.Sharpen(), A.Blur(3), A.MotionBlur(3)], p=0.9),
                A.OneOf([A.RandomBrightnessContrast(), A.HueSaturationValue()], p=0.9),
            ]
        )

    def __len__(self) -> int:
        return STEPS * BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        file = self.files[index % len(self.files)]
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        labels = cv2.imread(str(SAMPLE / "testannot" / file.name), cv2.IMREAD_GRAYSCALE)
        crop = self.transform(image=image, mask=labels)
        return crop["image"].transpose(2, 0, 1), crop["mask"].astype(np.int64)


class ExampleTask(lightning.LightningModule):
    """Normalise in the network, Dice loss, counts for the IoU of every step, Adam."""

    def __init__(self):
        super().__init__()
        self.model = smp.FPN("resnet50", encoder_weights=None, classes=CLASSES)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.loss = smp.losses.DiceLoss("multiclass", from_logits=True)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        images, labels = batch
        logits = self.model((images.float() / 255 - self.mean) / self.std)
        counts = smp.metrics.get_stats(logits.argmax(dim=1), labels, mode="multiclass", num_classes=CLASSES)
        self.log("iou", smp.metrics.iou_score(*counts, reduction="micro"))
        return self.loss(logits, labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=2e-4)


def fit(task: lightning.LightningModule, data: object) -> None:
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings(action="ignore"):
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            default_root_dir=Path(place),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            logger=False,
        )
        trainer.fit(task, data)


def training() -> Iterator[Comparison]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    task = SegmentationTask(build_network("fpn", "resnet50"), STEPS, TaskSettings(encoder_lr=1e-4, lr=1e-3))
    data = StreetData(Sampling(crop=CROP, mix={"rendered": 1.0}), BATCH, STEPS, seed=0)
    example, loader = ExampleTask(), DataLoader(ExampleFrames(), BATCH)
    yield Comparison(
        "training",
        f"FPN-ResNet50, {STEPS} steps of {BATCH} crops of {CROP[0]}×{CROP[1]}",
        lambda: fit(task, data),
        (Rival("the loop of smp's CamVid example", lambda: fit(example, loader), 1.2),),
    )
