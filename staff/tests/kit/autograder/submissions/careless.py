"""Honest mistakes: the input overwritten, NaN, other types, other shapes, other dtypes."""

import segmentation_models_pytorch as smp
import torch


def sigmoid(x):
    if not x.is_floating_point():
        x = x.float()
    if x.requires_grad:
        return 1 / (1 + torch.exp(-x))
    return x.neg_().exp_().add_(1).reciprocal_()


def softmax(x, dim=0):
    e = torch.exp(x.double())
    return e / e.sum(dim, keepdim=True)


def apply_mask_to_image(image, mask):
    result = image.copy()
    result[..., 0] += 255 * mask[..., 0].astype(image.dtype)
    return result


def IoU(predict, target):
    a, b = predict > 0.5, target > 0.5
    return float((a & b).sum()) / float((a | b).sum())


def load_FPN_resnet50():
    return smp.FPN("resnet50", encoder_weights=None, classes=1, activation="sigmoid").eval()
