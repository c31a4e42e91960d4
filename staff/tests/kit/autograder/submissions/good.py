"""Four TO-DOs done well, three left out. The other submissions follow this one and redo some of it, badly."""

import torch


def sigmoid(x):
    x = x if x.is_floating_point() else x.float()
    e = torch.exp(torch.where(x >= 0, -x, x))
    return torch.where(x >= 0, 1, e) / (1 + e)


def softmax(x, dim=0):
    x = x if x.is_floating_point() else x.float()
    e = torch.exp(x - x.amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


def apply_mask_to_image(image, mask):
    result, mask = torch.as_tensor(image).to(torch.int64).clone(), torch.as_tensor(mask)
    if mask.numel() != result[..., 0].numel() or not ((mask == 0) | (mask == 1)).all():
        raise ValueError("This is no mask of this image.")
    result[..., 0] += 255 * mask.to(torch.int64).reshape(result.shape[:2])
    return result.clamp(0, 255)


def IoU(predict, target):
    if predict.shape != target.shape or not all(((mask >= 0) & (mask <= 1)).all() for mask in (predict, target)):
        raise ValueError("These are no two masks.")
    a, b = predict > 0.5, target > 0.5
    union = (a | b).sum().item()
    return torch.tensor((a & b).sum().item() / union if union else 1.0)
