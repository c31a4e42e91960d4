"""20 GB in torch, and 20 GB in Python."""

import torch


def softmax(x, dim=0):
    return torch.ones(20 << 30, dtype=torch.uint8).sum() + x


def load_FPN_resnet50():
    return bytearray(20 << 30)
