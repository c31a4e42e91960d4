"""Tiny training data, and a VGG-19 whose activations are like a trained one's."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from staff.training.data import CAR
from staff.training.task import build_network


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four frames a split, in CamVid's format: a grey road, a red car on it, the rest unlabelled."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in (root / "CamVid" / split, root / "CamVid" / f"{split}annot"):
            folder.mkdir(parents=True)
        for number in range(4):
            image = rng.integers(90, 110, (80, 96, 3), dtype=np.uint8)
            labels = np.full((80, 96), 3, np.uint8)
            image[30:60, 20:60], labels[30:60, 20:60] = (200, 30, 30), CAR
            labels[:10] = 11
            name = f"{'drive' if number % 2 else 'other'}_{number}.png"
            cv2.imwrite(str(root / "CamVid" / split / name), image[..., ::-1])
            cv2.imwrite(str(root / "CamVid" / f"{split}annot" / name), labels)
    return root


@pytest.fixture(scope="session")
def plain_vgg() -> nn.Module:
    """FPN + VGG-19 with biases and with activations in the hundreds, as trained ones have them."""
    torch.manual_seed(0)
    network = build_network("fpn", "vgg19").eval()
    for module in network.encoder.features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=20.0)
    return network
