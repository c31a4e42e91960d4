"""Right solutions with what torch and OpenCV offer: compile, autograd.Function, vmap, deepcopy, batches, loops."""

import asyncio
import copy
import io
import tempfile
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from helpers.checks import require
from helpers.constants import ONE
from table import SIZE

import utils


class Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        e = x.abs().neg_().exp_()
        y = torch.where(x >= 0, ONE, e).div_(e.add_(1))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        (y,) = ctx.saved_tensors
        return gradient * y * (1 - y)


@torch.compile
def sigmoid(x):
    return Sigmoid.apply(x if x.is_floating_point() else x.float())


def softmax(x, dim=0):
    async def compute():
        numbers = x.to(torch.promote_types(x.dtype, torch.float32)).movedim(dim, -1)

        def of_row(row):
            e = torch.exp(row - row.max().detach())
            return e / e.sum()

        rows = torch.vmap(of_row)(numbers.reshape(-1, numbers.shape[-1])).reshape(numbers.shape)
        return rows.movedim(-1, dim).to(x.dtype if x.is_floating_point() else torch.float32)

    return asyncio.run(compute())


def apply_mask_to_image(image, mask):
    image, mask = np.array(image), np.array(mask).squeeze()
    mask = np.array(mask).reshape(image.shape[:2]) if mask.size == image[..., 0].size else mask
    require(mask.shape == image.shape[:2] and ((mask == 0) | (mask == 1)).all())
    red, green, blue = cv2.split(image.astype(np.float64))
    red = cv2.threshold(cv2.add(red, 255 * mask.astype(np.float64)), 255, 255, cv2.THRESH_TRUNC)[1]
    return torch.from_numpy(cv2.merge([red.reshape(mask.shape), green, blue]).astype(np.int64))


def load_FPN_resnet50():
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write((utils.ROOT / "models/resnet50_best_model_weights.pt").read_bytes())
        file.flush()
        weights = torch.load(io.BytesIO(Path(file.name).read_bytes()))
    model = smp.FPN("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    model.load_state_dict(weights)
    return model.requires_grad_(False).eval()


def IoU(predict, target):
    require(predict.shape == target.shape)
    for mask in (predict, target):
        require(bool(((mask >= 0) & (mask <= 1)).all()))
    if predict.numel() < 1000:
        counts = torch.zeros(4, dtype=torch.long)
        for row in range(predict.shape[0]):
            for column in range(predict.shape[1]):
                counts[2 * int(predict[row, column] > 0.5) + int(target[row, column] > 0.5)] += 1
    else:
        counts = torch.bincount((2 * (predict > 0.5) + (target > 0.5)).flatten().long(), minlength=4)
    union = counts[1:].sum()
    return counts[3] / union if union else torch.tensor(1.0)


def applyIoU(model, dataset):
    assert SIZE > 3 << 20
    model = copy.deepcopy(model).eval()
    if not len(dataset):
        return []
    images, masks = zip(*(dataset[i] for i in range(len(dataset))), strict=True)
    with torch.inference_mode():
        predictions = model.predict(torch.from_numpy(np.stack(images)))
    return [IoU(p.squeeze(0), torch.from_numpy(m).squeeze(0)) for p, m in zip(predictions, masks, strict=True)]


def compare_psp_fpn(test_dataset):
    psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    psp.load_state_dict(torch.load("models/pspnet_resnet50_best_model_weights.pt"))
    return applyIoU(psp, test_dataset), applyIoU(load_FPN_resnet50(), test_dataset)
