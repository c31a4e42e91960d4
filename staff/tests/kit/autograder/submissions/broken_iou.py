"""applyIoU and compare_psp_fpn are right, but IoU and load_FPN_resnet50, which they call, are not written."""

import segmentation_models_pytorch as smp
import torch

import utils


def IoU(predict, target):
    raise NotImplementedError("TO-DO 5: IoU")


def load_FPN_resnet50():
    raise NotImplementedError("TO-DO 4: load_FPN_resnet50")


def applyIoU(model, dataset):
    scores = []
    with utils.evaluation_mode(model), torch.inference_mode():
        for i in range(len(dataset)):
            image, mask = dataset[i]
            scores.append(IoU(model(torch.from_numpy(image)[None]).squeeze(), torch.from_numpy(mask).squeeze()))
    return scores


def compare_psp_fpn(test_dataset):
    psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    psp.load_state_dict(torch.load("./models/pspnet_resnet50_best_model_weights.pt"))
    return applyIoU(psp, test_dataset), applyIoU(load_FPN_resnet50(), test_dataset)
