"""TO-DO 4: load_FPN_resnet50 builds the right network and fills it with the right weights."""

from pathlib import Path

import segmentation_models_pytorch as smp
import torch

import student_code
from proj2_unit_tests.checks import without_download

WEIGHTS = Path(__file__).resolve().parents[1] / "models" / "resnet50_best_model_weights.pt"


def test_load_FPN_resnet50():
    with without_download("load_FPN_resnet50"):
        model = student_code.load_FPN_resnet50()

    assert isinstance(model, smp.FPN), f"load_FPN_resnet50 should return an smp.FPN, got {type(model).__name__}."
    assert model.name == "fpn-resnet50", (
        f"load_FPN_resnet50 should build its FPN on the encoder resnet50, got {model.name.removeprefix('fpn-')}."
    )
    classes = model.segmentation_head[0].out_channels
    assert classes == 1, f"load_FPN_resnet50 should build a network with 1 class, got {classes}."
    activation = model.segmentation_head[-1].activation
    assert isinstance(activation, torch.nn.Sigmoid), (
        f"load_FPN_resnet50 should build a network with the activation sigmoid, got {type(activation).__name__}."
    )
    expected, got = torch.load(WEIGHTS, map_location="cpu", weights_only=True), model.state_dict()
    others = [name for name in expected if not torch.equal(got[name].cpu().float(), expected[name].float())]
    assert not others, (
        f"load_FPN_resnet50 should fill the network from models/{WEIGHTS.name}, "
        f"got other values in {len(others)} of its {len(expected)} tensors, the first of them {others[0]}."
    )
    dtype = next(model.parameters()).dtype
    assert dtype == torch.float32, (
        f"load_FPN_resnet50 should return a network in torch.float32, got {dtype}: load the weights without "
        "assign=True."
    )
    assert not model.training, (
        "load_FPN_resnet50 should return the model in eval mode, got training mode: call .eval()."
    )
