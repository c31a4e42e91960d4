"""Work that passes most tests: every function has the flaw that is most often made in it."""

import segmentation_models_pytorch as smp
import torch


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def softmax(x, dim=0):
    return torch.exp(x) / torch.exp(x).sum(dim, keepdim=True)


def apply_mask_to_image(image, mask):
    image, mask = torch.as_tensor(image), torch.as_tensor(mask)
    result = image.to(torch.int64)
    result[..., 0] = torch.where(mask[..., 0] == 1, 255, result[..., 0])
    return result


def load_FPN_resnet50():
    model = smp.FPN("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    model.load_state_dict(torch.load("models/resnet50_best_model_weights.pt"))
    return model


def IoU(predict, target):
    a, b = predict >= 0.5, target >= 0.5
    return (a & b).sum() / (a | b).sum()


def applyIoU(model, dataset):
    model.eval()
    scores = []
    for i in range(len(dataset)):
        image, mask = dataset[i]
        with torch.no_grad():
            prediction = model(torch.from_numpy(image)[None])
        scores.append(IoU(prediction.squeeze(), torch.from_numpy(mask).squeeze()))
    return scores


def compare_psp_fpn(test_dataset):
    psp = smp.PSPNet("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    psp.load_state_dict(torch.load("models/pspnet_resnet50_best_model_weights.pt"))
    return applyIoU(load_FPN_resnet50(), test_dataset), applyIoU(psp, test_dataset)
