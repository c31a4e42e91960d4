"""Typical mistakes of beginners; the message of each should say how to mend it."""

import segmentation_models_pytorch as smp
import torch


def sigmoid(x):
    for value in x.flatten():
        print("sigmoid of", value)
    return torch.exp(x) / (1 + torch.exp(x))


def softmax(x, dim=0):
    e = torch.exp(x - x.max())
    return e / e.sum(0, keepdim=True)


def apply_mask_to_image(image, mask):
    image = torch.as_tensor(image).clone()
    image[..., :1] += (255 * torch.as_tensor(mask)).to(image.dtype)
    return image.long()


def load_FPN_resnet50():
    return smp.FPN("resnet50", encoder_weights="imagenet", classes=1, activation="sigmoid")


def IoU(predict, target):
    a, b = predict > 0.5, target > 0.5
    return (a & b).sum() / (a | b).sum()


def applyIoU(model, dataset):
    model.train()
    return [
        IoU(model(torch.from_numpy(dataset[i][0])[None]).squeeze(), torch.from_numpy(dataset[i][1]).squeeze())
        for i in range(len(dataset))
    ]


def compare_psp_fpn(test_dataset):
    psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    psp.load_state_dict(torch.load("/Users/ana/proj2/models/pspnet_resnet50_best_model_weights.pt"))
    return applyIoU(psp.eval(), test_dataset), applyIoU(load_FPN_resnet50(), test_dataset)
