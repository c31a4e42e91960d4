"""The shipped networks and what is known of each. Evaluation, export, model card and benchmarks take them from here.

A network that is not the course's own is added here too: its loader (smp's network and `utils.load_weights`, as in
`student_code.py`) stands in this file, and it has no `handout`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

import student_code
from staff import ROOT

MODELS = ROOT / "models"


@dataclass(frozen=True)
class Model:
    """One shipped network."""

    load: Callable[[], nn.Module]
    encoder: str
    """smp's name of the encoder."""
    recipe: str
    """The recipe's name, which is ARCHITECTURE_ENCODER as smp names them."""
    file: str
    """The weight file in `models/`."""
    handout: tuple[float, float, float] | None = None
    """IoU of the course's weights of 2021 on the three test frames."""
    parameters: int | None = None
    """Their number, as `print_model_summary` prints it. The report quotes this and `mult_adds_g`."""
    mult_adds_g: float | None = None
    """Billions of multiply-adds for an input of 1×3×384×480."""


NETWORKS = {
    "FPN-VGG19": Model(
        student_code.load_FPN_vgg19,
        "vgg19",
        "fpn_vgg19",
        "vgg19_best_model_weights.pt",
        (0.9223, 0.9312, 0.9415),
        parameters=22_108_097,
        mult_adds_g=78.44,
    ),
    "FPN-ResNet50": Model(
        student_code.load_FPN_resnet50,
        "resnet50",
        "fpn_resnet50",
        "resnet50_best_model_weights.pt",
        (0.8864, 0.9095, 0.9393),
        parameters=26_116_033,
        mult_adds_g=21.90,
    ),
    "PSPNet-ResNet50": Model(
        student_code.load_PSP_resnet50,
        "resnet50",
        "pspnet_resnet50",
        "pspnet_resnet50_best_model_weights.pt",
        (0.8106, 0.9054, 0.9005),
        parameters=24_300_993,
        mult_adds_g=8.19,
    ),
}
STREET_CLASSES_FILE = "resnet50_street_classes_head.pt"
FILES = {model.recipe: model.file for model in NETWORKS.values()}
