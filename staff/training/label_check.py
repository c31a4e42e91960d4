"""Ignore hand-drawn car labels that a trained network contradicts: some polygons cover road, some cars have none."""

import torch
from torch import nn

from staff.training.data import CAR, IGNORED, Frame, WholeFrames, centre
from staff.training.task import CAR_OUTPUT

CERTAIN = 0.75


@torch.inference_mode()
def ignore_doubtful(frames: list[Frame], network: nn.Module) -> list[Frame]:
    """The frames, with IGNORED where the network is CERTAIN that the label is wrong about "car or not"."""
    network.eval()
    checked = []
    for (image, labels), (padded, _) in zip(frames, WholeFrames(frames), strict=True):
        car = network(padded[None])[0, CAR_OUTPUT].sigmoid().numpy()[centre(labels.shape, padded.shape[1:])]
        wrong = ((labels == CAR) & (car < 1 - CERTAIN)) | ((labels != CAR) & (car > CERTAIN))
        checked.append((image, labels.copy()))
        checked[-1][1][wrong] = IGNORED
    return checked
