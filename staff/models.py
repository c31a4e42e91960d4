"""The three shipped networks and what is known of each, once."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

import student_code
from staff import ROOT

MODELS = ROOT / "models"


@dataclass(frozen=True)
class Model:
    """One shipped network: its loader, encoder, weight file in `models/`, and the course's IoU of 2021 a test frame."""

    load: Callable[[], nn.Module]
    encoder: str
    recipe: str
    file: str
    handout: tuple[float, float, float]


NETWORKS = {
    "FPN-VGG19": Model(
        student_code.load_FPN_vgg19, "vgg19", "fpn_vgg19", "vgg19_best_model_weights.pt", (0.9223, 0.9312, 0.9415)
    ),
    "FPN-ResNet50": Model(
        student_code.load_FPN_resnet50,
        "resnet50",
        "fpn_resnet50",
        "resnet50_best_model_weights.pt",
        (0.8864, 0.9095, 0.9393),
    ),
    "PSPNet-ResNet50": Model(
        student_code.load_PSP_resnet50,
        "resnet50",
        "pspnet_resnet50",
        "pspnet_resnet50_best_model_weights.pt",
        (0.8106, 0.9054, 0.9005),
    ),
}
FILES = {model.recipe: model.file for model in NETWORKS.values()}
