"""Right solutions in unusual Python: lambda, callable class, NumPy, cache, loops over pixels, DataLoader, threads."""

import functools
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader

from proj2_code import utils
from proj2_code.utils import evaluation_mode

warnings.simplefilter("error")
time.sleep(0.1)  # a slow import

_floating = lambda x: x if x.is_floating_point() else x.float()  # noqa: E731
sigmoid = lambda x: (torch.tanh(_floating(x).double() / 2) / 2 + 0.5).to(_floating(x).dtype)  # noqa: E731


class Softmax:
    def __call__(self, x, dim=0):
        print("softmax of", x)
        x = _floating(x)
        entries = x.movedim(dim, 0)
        largest = functools.reduce(torch.maximum, entries).detach()
        powers = [torch.exp(entry.float() if x.dtype.itemsize < 4 else entry) for entry in entries - largest]
        total = sum(powers)
        return torch.stack([power / total for power in powers]).movedim(0, dim).to(x.dtype)


softmax = Softmax()


def apply_mask_to_image(image, mask):
    image, mask = (np.array(torch.as_tensor(values).tolist()) for values in (image, mask))
    if mask.size != image[..., 0].size or not np.isin(mask, (0, 1)).all():
        raise ValueError("no mask of this image")
    red = np.where(mask.reshape(image.shape[:2]) == 1, np.int64(255), image[..., 0].astype(np.int64))
    return torch.from_numpy(np.dstack([red, image[..., 1].astype(np.int64), image[..., 2].astype(np.int64)]))


@functools.lru_cache
def load_FPN_resnet50():
    model = smp.FPN("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    model.load_state_dict(torch.load("models/resnet50_best_model_weights.pt"))
    return model.eval()


def IoU(predict, target):
    if predict.shape != target.shape:
        raise ValueError("two shapes")
    both = either = 0
    for p_row, t_row in zip(predict.tolist(), target.tolist(), strict=True):
        for p, t in zip(p_row, t_row, strict=True):
            if not 0 <= p <= 1 or not 0 <= t <= 1:
                raise ValueError("no mask")
            both += p > 0.5 and t > 0.5
            either += p > 0.5 or t > 0.5
    return torch.tensor(float(np.clip(both / either, 0, 1)) if either else 1.0)


def applyIoU(model, dataset):
    scores = []
    with evaluation_mode(model), torch.no_grad():
        for image, mask in DataLoader(dataset, num_workers=2) if len(dataset) else ():
            scores.append(IoU(model(image).squeeze(), mask.squeeze()))
    return scores


def compare_psp_fpn(test_dataset):
    def load_psp():
        psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
        psp.load_state_dict(torch.load(utils.ROOT / "models" / "pspnet_resnet50_best_model_weights.pt"))
        return psp.eval()

    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda load: load(), (load_psp, load_FPN_resnet50)))
    return tuple(applyIoU(model, test_dataset) for model in models)
