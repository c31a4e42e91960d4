"""Statements of the notebook and the docstrings that code can check: sizes, layers, receptive fields, roundings."""

import re

import pytest
import segmentation_models_pytorch as smp
import torch
import torchinfo
from torch import nn

from staff import ROOT
from staff.tests.proj2_code.notebook_cells import cell_of


def fpn(encoder):
    """The network on the meta device: layers and sizes without numbers, in no time."""
    with torch.device("meta"):
        return smp.FPN(encoder, encoder_weights=None, classes=1, activation="sigmoid").eval()


@pytest.fixture
def answer(stored):
    """The notebook's answer to Question 2."""
    return cell_of(stored, "answer-2").source


@pytest.mark.parametrize("encoder", ["vgg19", "resnet50"])
def test_receptive_fields_in_the_answer(answer, encoder):
    """From the kernels and strides on the main path: each layer adds (kernel - 1) × the step of its input."""
    field = step = 1
    for name, layer in fpn(encoder).encoder.named_modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            kernel, stride = (v[0] if isinstance(v, tuple) else v for v in (layer.kernel_size, layer.stride))
            field, step = field + (kernel - 1) * step, step * stride
    assert step == 32 and f"{field}×{field}" in answer


def test_sizes_in_the_answer(answer):
    tables = {
        name: torchinfo.summary(fpn(name), (1, 3, 384, 480), device="meta", verbose=0) for name in ("vgg19", "resnet50")
    }
    sizes = {}
    for name, table in tables.items():
        leaves = [layer for layer in table.summary_list if layer.is_leaf_layer and layer.num_params > 0]
        # The foot of the summary: the outputs of layers with parameters, twice.
        assert table.total_output_bytes == sum(2 * layer.output_bytes for layer in leaves)
        sizes[name] = {
            kind: sum(2 * layer.output_bytes for layer in leaves if layer.class_name == kind) / 1e6
            for kind in ("Conv2d", "GroupNorm", "BatchNorm2d")
        }
        for number in (f"{table.total_params / 1e6:.1f}", f"{table.total_mult_adds / 1e9:.1f}"):
            assert f"{number} " in answer
        assert f"{sum(sizes[name].values()):.0f} MB" in answer
    assert f"({sizes['resnet50'].pop('BatchNorm2d'):.0f} MB)" in answer
    assert sum(sizes["resnet50"].values()) < sum(sizes["vgg19"].values())


def test_the_pspnet_takes_multiples_of_eight():
    with torch.device("meta"):
        psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1).eval()
        assert psp(torch.empty(1, 3, 40, 56)).shape == (1, 1, 40, 56) and psp.encoder.output_stride == 8


def test_sources_and_terms_are_named_where_the_data_is():
    for file in ("README.md", "models/README.md", "proj2.ipynb"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert "CC BY-NC 4.0" in text and "SegNet tutorial" in text, file
    assert re.search(r"VGG.*?\(?CC BY 4\.0", (ROOT / "models/README.md").read_text(encoding="utf-8"), re.S)
