"""Batch normalisation for VGG-19 while it trains: put in so that nothing changes, folded away before it is shipped.

The course's VGG-19 has no batch normalisation and learns slowly without. smp's ``vgg19_bn`` has the same convolutions,
each with a normalisation behind it: ``insert`` turns the state of a plain network into one of that kind which computes
the same, ``fold`` turns a trained one back into a plain network which computes the same.
"""

from collections.abc import Iterator

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

PLAIN, NORMALISED = "vgg19", "vgg19_bn"
EPSILON = 1e-5
# The decoder's first convolutions, each with the block of the encoder (from 0) whose output it reads.
LATERALS = {"decoder.p5": 4, "decoder.p4.skip_conv": 4, "decoder.p3.skip_conv": 3, "decoder.p2.skip_conv": 2}


def convolution_names(encoder: nn.Module) -> list[str]:
    return [name for name, module in encoder.features.named_children() if isinstance(module, nn.Conv2d)]


def layer_names() -> Iterator[tuple[str, str, str]]:
    """(convolution of the plain network, that of the normalised one, its normalisation), from first to last."""
    with torch.device("meta"):
        plain, normalised = (smp.encoders.get_encoder(name, weights=None) for name in (PLAIN, NORMALISED))
    for before, after in zip(convolution_names(plain), convolution_names(normalised), strict=True):
        yield f"encoder.features.{before}", f"encoder.features.{after}", f"encoder.features.{int(after) + 1}"


@torch.no_grad()
def insert(state: dict[str, torch.Tensor], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """State of a ``vgg19_bn`` network that computes the same as the ``vgg19`` network or bare encoder in ``state``.

    ``images``: N×3×H×W, normalised, of the kind that will be trained on. Their statistics become the running ones, and
    each block's output is scaled to a root mean square of 1 over them: VGG's own are in the hundreds, which slows the
    decoder's learning.
    """
    with torch.device("meta"):  # no time is spent on random weights
        encoder = smp.encoders.get_encoder(PLAIN, weights=None)
    encoder.to_empty(device="cpu").load_state_dict(
        {n.removeprefix("encoder."): v for n, v in state.items() if n.startswith("encoder.")}
    )
    inserted = {name: value for name, value in state.items() if not name.startswith("encoder.")}
    layers, scale, block_scales = layer_names(), torch.ones(()), []
    x = images
    for module in encoder.features:
        x = module(x)
        if isinstance(module, nn.Conv2d):
            _, convolution, norm = next(layers)
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            new_scale = x.relu().square().mean().sqrt()
            inserted |= {
                f"{convolution}.weight": module.weight.clone(),
                f"{convolution}.bias": module.bias / scale,
                f"{norm}.running_mean": mean / scale,
                f"{norm}.running_var": variance / scale**2,
                f"{norm}.weight": torch.sqrt(variance + EPSILON * scale**2) / new_scale,
                f"{norm}.bias": mean / new_scale,
            }
            scale = new_scale
        elif isinstance(module, nn.MaxPool2d):
            block_scales.append(scale)
    for lateral, block in LATERALS.items():
        if f"{lateral}.weight" in inserted:
            inserted[f"{lateral}.weight"] = inserted[f"{lateral}.weight"] * block_scales[block]
    return inserted


def is_inserted(state: dict[str, torch.Tensor]) -> bool:
    return any(name.startswith("encoder.features.") and name.endswith(".running_mean") for name in state)


def fold(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State of the ``vgg19`` network that computes the same as the ``vgg19_bn`` network in ``state`` in eval mode."""
    folded = {name: value for name, value in state.items() if not name.startswith("encoder.")}
    for plain, convolution, norm in layer_names():
        weight, bias = fuse_conv_bn_weights(
            *(state[f"{convolution}.{part}"] for part in ("weight", "bias")),
            *(state[f"{norm}.{part}"] for part in ("running_mean", "running_var")),
            EPSILON,
            *(state[f"{norm}.{part}"] for part in ("weight", "bias")),
        )
        folded |= {f"{plain}.weight": weight.data, f"{plain}.bias": bias.data}
    return folded
