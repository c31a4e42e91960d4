"""The students' unit tests: each wrong solution fails the right test, with the one sentence that helps its author."""

import textwrap

import pytest
import torch

import student_code
from proj2_unit_tests import (
    test_apply_iou,
    test_apply_mask,
    test_compare_psp_fpn,
    test_iou,
    test_model,
    test_softmax_sigmoid,
)

GRADIENT = "the gradient of sigmoid at [-200, 0, 200] should be {}."
NAN_GRADIENT = GRADIENT.format(
    "0 at index [0], got nan: where an exponential is inf, autograd multiplies it by 0, even if torch.where then drops "
    "the value, so give torch.exp no number above 0"
)
WRONG_SIGMOIDS = {
    "return None": "sigmoid([-2, -1, 0, 1, 2]) should return a torch.Tensor, got NoneType.",
    "return 1 / (1 + torch.exp(x))": "sigmoid([-2, -1, 0, 1, 2]) should be 0.119203 at index [0], got 0.880797.",
    "return right(x).double()": "sigmoid([-2, -1, 0, 1, 2]) should have the dtype torch.float32, got torch.float64.",
    "return 1 / (1 + torch.exp(-x[0]))": "sigmoid([-2, -1, 0, 1, 2]) should have the shape (5,), got ().",
    "return (1 / (1 + torch.exp(-x))).squeeze()": "sigmoid of a 5×1 tensor should have the shape (5, 1), got (5,).",
    "return torch.exp(x) / (1 + torch.exp(x))": (
        "sigmoid([-200, 200]) should be 1 at index [1], got nan: e^200 is inf in float32, and inf / inf is nan."
    ),
    "return (1 / (1 + torch.exp(-x))).detach()": (
        "sigmoid should pass gradients on, got a result that is cut off from x."
    ),
    "return torch.where(x >= 0, 1 / (1 + torch.exp(-x)), torch.exp(x) / (1 + torch.exp(x)))": NAN_GRADIENT,
    "e = torch.exp(-x.abs()); return torch.where(x >= 0, 1, e) / (1 + e)": GRADIENT.format(
        "0.25 at index [1], got 0: the gradient of abs and of relu at 0 is 0 in PyTorch"
    ),
    "y = right(x); return (y / 2).detach() + y / 2": GRADIENT.format("0.25 at index [1], got 0.125"),
}

WRONG_SOFTMAXES = {
    "return right(x.double(), dim)": (
        "softmax([0, 1, 2, 3, -1]) should have the dtype torch.float32, got torch.float64."
    ),
    "return right(x, dim).detach()": "softmax should pass gradients on, got a result that is cut off from x.",
    "y = right(x, dim); return (y - y.sum(dim, keepdim=True)).detach() + y.sum(dim, keepdim=True)": (
        "the gradient of the second entry of softmax([0, 1, -200]) should be -0.196612 at index [0], got "
    ),
    "return torch.exp(x)": "softmax([0, 1, 2, 3, -1]) should be 0.031685 at index [0], got 1.",
    "return torch.exp(x).sum()": "softmax([0, 1, 2, 3, -1]) should have the shape (5,), got ().",
    "return torch.exp(x) / torch.exp(x).sum(dim, keepdim=True)": (
        "softmax([200, 201, 202, 203, 199]) should be 0.031685 at index [0], got nan: no exponential may overflow, so "
        "subtract the largest entry from all of them first."
    ),
    "e = torch.exp(x - x.max()); return e / e.sum()": (
        "softmax of a 5×2 tensor, along dim 0, should be 0.031685 at index [0, 0], got 0.0273517: normalise "
        "along `dim`."
    ),
    "e = torch.exp(x - x.amax(0)); return e / e.sum(0)": (
        "softmax of a 2×5 tensor, along dim 1, should be 0.031685 at index [0, 0], got 0.5: normalise along `dim`."
    ),
}

IMAGE_TO_TENSOR = "image = torch.tensor(image).long(); mask = torch.tensor(mask).long(); "
WRONG_RANGES = {
    "return image": "apply_mask_to_image(image, mask) should return a torch.Tensor, got ndarray.",
    "return torch.tensor(image)": "apply_mask_to_image should return the dtype torch.int64, got torch.uint8.",
    IMAGE_TO_TENSOR + "return image.permute(2, 0, 1)": (
        "apply_mask_to_image(image, mask) should have the shape (2, 3, 3), got (3, 2, 3)."
    ),
    IMAGE_TO_TENSOR + "image[..., 0] += 255 * mask[..., 0]; return image": (
        "apply_mask_to_image should return values from 0 to 255, got values from 0 to 510: clip them."
    ),
    IMAGE_TO_TENSOR + "image[..., 0] -= 255 * mask[..., 0]; return image": (
        "apply_mask_to_image should return values from 0 to 255, got values from -255 to 255: clip them."
    ),
}
MASKED = "apply_mask_to_image should turn a masked pixel [10, 20, 30] into [255, 20, 30], got {}."
WRONG_VALUES = {
    "image[mask[..., 0] == 1, 0] = 255; return torch.from_numpy(image).long()": (
        "apply_mask_to_image should leave its arguments as they were, got others: change a copy."
    ),
    IMAGE_TO_TENSOR + "return (image + 255 * mask).clamp(0, 255)": MASKED.format("[255, 255, 255]"),
    IMAGE_TO_TENSOR + "image[..., 2] += 255 * mask[..., 0]; return image.clamp(0, 255)": MASKED.format("[10, 20, 255]"),
    IMAGE_TO_TENSOR + "image[..., 0] += 255 * mask[..., 0]; return image % 256": MASKED.format(
        "[9, 20, 30]: after 255, uint8 starts again at 0, so convert the image to a wider type first"
    ),
    IMAGE_TO_TENSOR + "image[..., 0] = 255; return image": (
        "apply_mask_to_image should turn an unmasked pixel [200, 100, 50] into [200, 100, 50], got [255, 100, 50]."
    ),
}

FPN = 'smp.FPN("{}", encoder_weights={}, classes={}, activation={})'
LOAD = 'torch.load(test_model.WEIGHTS, map_location="cpu", weights_only=True)'
WRONG_MODELS = {
    "return None": "load_FPN_resnet50 should return an smp.FPN, got NoneType.",
    "return smp.Unet('resnet18', encoder_weights=None)": "load_FPN_resnet50 should return an smp.FPN, got Unet.",
    "return " + FPN.format("resnet50", "'imagenet'", 1, "'sigmoid'"): (
        "load_FPN_resnet50 should not download ImageNet weights: pass encoder_weights=None."
    ),
    "return " + FPN.format("resnet18", None, 1, "'sigmoid'"): (
        "load_FPN_resnet50 should build its FPN on the encoder resnet50, got resnet18."
    ),
    "return " + FPN.format("resnet50", None, 2, "'sigmoid'"): (
        "load_FPN_resnet50 should build a network with 1 class, got 2."
    ),
    f"model = {FPN.format('resnet50', None, 1, None)}; model.load_state_dict({LOAD}); return model": (
        "load_FPN_resnet50 should build a network with the activation sigmoid, got Identity."
    ),
    f"return {FPN.format('resnet50', None, 1, repr('sigmoid'))}.eval()": (
        "load_FPN_resnet50 should fill the network from models/resnet50_best_model_weights.pt, got other values in "
    ),
    f"m = {FPN.format('resnet50', None, 1, repr('sigmoid'))}; m.load_state_dict({LOAD}, assign=True); return m": (
        "load_FPN_resnet50 should return a network in torch.float32, got torch.float16: load the weights without "
        "assign=True."
    ),
    f"model = {FPN.format('resnet50', None, 1, repr('sigmoid'))}; model.load_state_dict({LOAD}); return model": (
        "load_FPN_resnet50 should return the model in eval mode, got training mode: call .eval()."
    ),
}

COUNTS = "p, t = predict > 0.5, target > 0.5; inter, union = (p & t).sum(), (p | t).sum(); "
TWO_OF_FIVE = "IoU of two masks with 2 pixels in common and 5 in all should {}."
WRONG_IOU1 = {
    "return 0.4": TWO_OF_FIVE.format("return a torch.Tensor, got float"),
    COUNTS + "return (inter / union)[None]": TWO_OF_FIVE.format("have the shape (), got (1,)"),
    COUNTS + "return 2 * inter / (p.sum() + t.sum())": TWO_OF_FIVE.format("be 0.4, got 0.571429"),
    COUNTS + "return (p == t).float().mean()": TWO_OF_FIVE.format("be 0.4, got 0.625"),
    COUNTS + "return (inter + 1) / (union + 1)": TWO_OF_FIVE.format("be 0.4, got 0.5"),
    "return torch.tensor(0.4)": "IoU of a mask with itself should be 1, got 0.4.",
    COUNTS + "return (inter / union).clamp(0.1)": "IoU of two masks without a common pixel should be 0, got 0.1.",
}
PROBABILITIES = (
    "IoU of the probabilities [[0.9, 0.6, 0.51], [0.4, 0.5, 0.1]] with the mask [[1, 0, 1], [1, 1, 0]] should be 0.4, "
    "got {}: a pixel is car where its probability is above 0.5, so not where it is exactly "
    "0.5."
)
WRONG_IOU2 = {
    "return (predict * target).sum() / torch.maximum(predict, target).sum()": PROBABILITIES.format("0.491489"),
    COUNTS + "return ((predict >= 0.5) & t).sum() / ((predict >= 0.5) | t).sum()": PROBABILITIES.format("0.6"),
    COUNTS + "return ((predict > 0) & t).sum() / ((predict > 0) | t).sum()": PROBABILITIES.format("0.666667"),
    "t = target.bool(); p = predict > 0.5; return (p & t).sum() / (p | t).sum()": (
        "IoU of that mask with those probabilities should be 0.4, got 0.666667: a pixel is car where its probability "
        "is above 0.5, so not where it is exactly 0.5."
    ),
    COUNTS + "return inter / union": (
        "IoU of two empty masks should be 1, got nan: where neither mask has a car they agree, so IoU is 1."
    ),
    COUNTS + "return inter / union.clamp(1)": (
        "IoU of two empty masks should be 1, got 0: where neither mask has a car they agree, so IoU is 1."
    ),
    COUNTS + "return inter / union if union else torch.tensor(1.0)": (
        "IoU of masks of the shapes (2, 3) and (1, 3) should raise a ValueError, got a score."
    ),
    "assert predict.shape == target.shape; return right(predict, target)": (
        "IoU of masks of the shapes (2, 3) and (1, 3) should raise a ValueError, got AssertionError."
    ),
}

SCORES = "[IoU(model.predict(torch.tensor(x)[None])[0, 0], torch.tensor(m)[0]) for x, m in dataset]"
FLAGS = "applyIoU should leave the training flag of each module as it was, got others: use utils.evaluation_mode."
WRONG_APPLIES = {
    f"return torch.stack({SCORES})": "applyIoU should return a list, got Tensor.",
    f"return {SCORES}[:-1]": "applyIoU should return one score for each of the 4 frames, got 3.",
    f"return [score.item() for score in {SCORES}]": (
        "applyIoU's score of frame 0 should return a torch.Tensor, got float."
    ),
    f"return {SCORES}[::-1]": "applyIoU's score of frame 0 should be 0.333333, got 0.8.",
    f"return [sum({SCORES}) / 4] * 4": "applyIoU's score of frame 0 should be 0.333333, got 0.533333.",
    "return [model.predict(torch.tensor(x)) for x, m in dataset]": (
        "applyIoU should give the model a batch of the shape 1×3×H×W, got (3, 32, 64)."
    ),
    "return [IoU(model(torch.tensor(x)[None])[0, 0], torch.tensor(m)[0]).detach() for x, m in dataset]": (
        "applyIoU should run the model in eval mode, got training mode."
    ),
    "model.eval(); return [IoU(model(torch.tensor(x)[None])[0, 0], torch.tensor(m)[0]) for x, m in dataset]": (
        "applyIoU should run the model without gradients, got a run that tracks them: use torch.inference_mode()."
    ),
    f"return {SCORES}": FLAGS,
    f"scores = {SCORES}; model.train(); return scores": FLAGS,
    f"scores = {SCORES}; model.train(); model.frozen.eval(); return scores": (
        "applyIoU should leave the training flags as they were when it fails on a frame too, got others: use "
        "utils.evaluation_mode."
    ),
}

WRONG_COMPARISONS = {
    "return None": "compare_psp_fpn should return a pair, psp_iou and fpn_iou, got NoneType.",
    "return torch.tensor(1.0), torch.tensor(1.0)": (
        "compare_psp_fpn should return as psp_iou a list of 2 scores for 2 frames, got Tensor."
    ),
    "psp, fpn = right(test_dataset); return psp, fpn[:1]": (
        "compare_psp_fpn should return as fpn_iou a list of 2 scores for 2 frames, got a list of 1."
    ),
    "psp, fpn = right(test_dataset); return [s.item() for s in psp], fpn": (
        "compare_psp_fpn's psp_iou[0] should return a torch.Tensor, got float."
    ),
    "psp, fpn = right(test_dataset); return fpn, psp": (
        "compare_psp_fpn should return as psp_iou [0.25, 0.25], got [0.75, 0.75]: are the two in the wrong order?."
    ),
    "psp, fpn = right(test_dataset); return psp, psp": "compare_psp_fpn should return as fpn_iou [",
    "return smp.PSPNet('resnet50'), None": (
        "compare_psp_fpn should not download ImageNet weights: pass encoder_weights=None."
    ),
}

WRONG = [
    (test_softmax_sigmoid.test_sigmoid, "sigmoid(x)", WRONG_SIGMOIDS),
    (test_softmax_sigmoid.test_softmax, "softmax(x, dim=0)", WRONG_SOFTMAXES),
    (test_apply_mask.test_final_seg_range, "apply_mask_to_image(image, mask)", WRONG_RANGES),
    (test_apply_mask.test_final_seg_values, "apply_mask_to_image(image, mask)", WRONG_VALUES),
    (test_model.test_load_FPN_resnet50, "load_FPN_resnet50()", WRONG_MODELS),
    (test_iou.test_IoU1, "IoU(predict, target)", WRONG_IOU1),
    (test_iou.test_IoU2, "IoU(predict, target)", WRONG_IOU2),
    (test_apply_iou.test_applyIoU, "applyIoU(model, dataset)", WRONG_APPLIES),
    (test_compare_psp_fpn.test_compare_psp_fpn, "compare_psp_fpn(test_dataset)", WRONG_COMPARISONS),
]


@pytest.mark.parametrize(
    ("unit_test", "signature", "body", "sentence"),
    [
        pytest.param(
            unit_test,
            signature,
            body,
            sentence,
            id=f"{unit_test.__name__}-{body}",
            marks=[pytest.mark.slow] if bodies is WRONG_MODELS else [],
        )
        for unit_test, signature, bodies in WRONG
        for body, sentence in bodies.items()
    ],
)
def test_wrong_solution_gets_its_sentence(monkeypatch, unit_test, signature, body, sentence):
    name = signature.partition("(")[0]
    scope = {"test_model": test_model, "right": getattr(student_code, name)}
    if name == "compare_psp_fpn":  # without the real networks
        known = {"pspnet_resnet50_best_model_weights.pt": [0.25] * 2, "resnet50_best_model_weights.pt": [0.75] * 2}
        monkeypatch.setattr(test_compare_psp_fpn, "_expected_scores", lambda _, weights, __: known[weights])
        scope["right"] = lambda _: tuple(list(map(torch.tensor, scores)) for scores in known.values())
    exec("import segmentation_models_pytorch as smp\nimport torch\nfrom student_code import IoU", scope)
    exec(f"def {signature}:\n{textwrap.indent(body, '    ')}", scope)
    monkeypatch.setattr(student_code, name, scope[name])

    with pytest.raises(AssertionError) as failure:
        unit_test()
    message = str(failure.value).splitlines()[0]  # pytest adds the values below it
    assert message.startswith(sentence)
    assert message.endswith(".") and ". " not in message
