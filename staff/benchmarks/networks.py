"""The three networks: scoring a data set, one forward pass, folded batch norms, loading, reading a frame."""

import copy
from collections.abc import Iterator
from itertools import pairwise

import cv2
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchinfo import summary

import student_code
import utils
from staff.benchmarks.harness import Comparison, Rival
from staff.models import MODELS, NETWORKS

FRAMES = 32
SIDE = 2048
"""Rows of the square matrices whose product shows what the machine can do."""


def frames(number: int = FRAMES) -> list[tuple]:
    """The test frames as the network takes them, repeated until there are ``number`` of them, in memory."""
    dataset = student_code.create_test_dataset("resnet50")  # normalised as for all encoders
    pairs = [dataset[i] for i in range(len(dataset))]
    return [pairs[i % len(pairs)] for i in range(number)]


def handout_loop(model: nn.Module, pairs: list[tuple]) -> list[torch.Tensor]:
    """The handout's loop: `model.predict` frame by frame, rounded, and IoU as students write it."""
    scores = []
    for image, mask in pairs:
        predicted = model.predict(torch.from_numpy(image).unsqueeze(0)).squeeze().cpu().round()
        target = torch.from_numpy(mask).squeeze()
        union = torch.logical_or(predicted, target).sum()
        scores.append(torch.logical_and(predicted, target).sum() / union)
    return scores


@torch.inference_mode()
def bare_passes(model: nn.Module, pairs: list[tuple]) -> None:
    for image, _ in pairs:
        model(torch.from_numpy(image)[None].clone(memory_format=torch.channels_last))


def apply_iou(number: int = FRAMES) -> Iterator[Comparison]:
    goals = {"FPN-VGG19": 1.10, "FPN-ResNet50": 1.0, "PSPNet-ResNet50": 1.2}
    for name, network in NETWORKS.items():
        model, pairs = network.load(), frames(number)
        bare_passes(model, pairs[:1])  # warms up
        yield Comparison(
            "applyIoU",
            f"{name}, {number} frames",
            lambda model=model, pairs=pairs: student_code.applyIoU(model, pairs),
            (
                Rival(
                    "the handout's loop", lambda model=model, pairs=pairs: handout_loop(model, pairs), goals.get(name)
                ),
                # 3 % of the time may be spent outside the model.
                Rival("the forward passes alone", lambda model=model, pairs=pairs: bare_passes(model, pairs), 0.97),
            ),
        )


def fold(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose batch norms are folded into the convolutions in front of them."""
    folded = copy.deepcopy(model).eval()
    for parent in folded.modules():
        for (before, convolution), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, before, fuse_conv_bn_eval(convolution, norm))
                setattr(parent, name, nn.Identity())
    return folded


def forward() -> Iterator[Comparison]:
    """The rival does as many multiply-adds in one large matrix product: the rate that this machine reaches at best."""
    goals = {"FPN-VGG19": 1.0, "FPN-ResNet50": 0.8, "PSPNet-ResNet50": 0.8}
    square = torch.rand(SIDE, SIDE)
    for name, network in NETWORKS.items():
        model = network.load()
        image = torch.rand(1, 3, 384, 480).contiguous(memory_format=torch.channels_last)
        work = summary(model, input_data=image, verbose=0).total_mult_adds / SIDE**3
        product = Rival("the machine's matrix product", lambda: torch.mm(square, square), goals.get(name), work)
        eager = Rival("eager", lambda model=model, image=image: forward_pass(model, image))
        yield Comparison("forward pass", f"{name}, eager", eager.call, (product,))
        if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            folded = fold(model)
            yield Comparison(
                "forward pass",
                f"{name}, batch norms folded",
                lambda folded=folded, image=image: forward_pass(folded, image),
                (product, eager),
            )


@torch.inference_mode()
def forward_pass(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return model(image)


def loading() -> Iterator[Comparison]:
    for name, network in NETWORKS.items():
        architecture = type(network.load())

        def parts(architecture=architecture, network=network) -> tuple:
            """What cannot be saved: reading the file, and building the network."""
            state = torch.load(MODELS / network.file, map_location="cpu", weights_only=True)
            return state, architecture(network.encoder, encoder_weights=None, classes=1, activation="sigmoid")

        yield Comparison("loading a model", name, network.load, (Rival("torch.load and smp's model", parts, 1 / 1.3),))


def reading() -> Iterator[Comparison]:
    """Measured after a network has run, as in use: before, the C library asks for new memory for every frame."""
    student_code.load_PSP_resnet50()(torch.zeros(1, 3, 384, 480))
    dataset = student_code.create_test_dataset("resnet50")
    image, mask = (str(paths[0]) for paths in (dataset.images_fps, dataset.masks_fps))

    def bare() -> tuple:
        frame, labels = cv2.imread(image), cv2.imread(mask, cv2.IMREAD_GRAYSCALE)
        padding = ((384 - len(labels)) // 2, 384 - len(labels) - (384 - len(labels)) // 2, 0, 0)
        return tuple(cv2.copyMakeBorder(a, *padding, cv2.BORDER_REFLECT_101) for a in (frame, labels))

    rival = Rival("cv2.imread and padding", bare, 1 / 1.3)
    yield Comparison("reading a frame", "as create_test_dataset does", lambda: dataset[0], (rival,))
    plain = utils.Dataset(
        dataset.images_fps[0].parent, dataset.masks_fps[0].parent, ["car"], utils.get_validation_augmentation()
    )
    yield Comparison("reading a frame", "without normalising it", lambda: plain[0], (rival,))
