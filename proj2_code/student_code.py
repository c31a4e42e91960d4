"""The project's functions, in the order of the notebook: TO-DO 1 to 6 and the extra credit.

Part 1 turns numbers into probabilities and colours an image by its mask. Part 2 loads the two FPNs. Part 3 measures
how good their masks are. The extra credit adds the PSPNet. Given code is in `utils.py`. Training is not in this
file.
"""

import sys
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
import torchinfo
from tqdm import tqdm

# Other packages have a module `utils` too: this folder goes first on the path, so that Python finds ours.
HERE = str(Path(__file__).resolve().parent)
if sys.path[0] != HERE:
    sys.path.insert(0, HERE)
import utils  # noqa: E402

if not hasattr(utils, "load_weights"):
    raise ImportError(
        f"student_code needs the utils.py in its own folder, but {utils.__file__} was imported before it. "
        "Restart Python and import student_code first."
    )


def create_vis_dataset():
    """Return the test frames as they are, with the masks of class car, for Part 1.

    These are CamVid's frames if they have been fetched, otherwise the rendered sample (one printed line says so).
    """
    return utils.Dataset(*utils.get_test_dirs(), classes=["car"])


def create_test_dataset(encoder_name="resnet50"):
    """Return the test frames prepared for a network with this encoder: 3×384×480 and 1×384×480, class car."""
    preprocessing = utils.get_preprocessing(utils.get_preprocessing_fn(encoder_name))
    return utils.Dataset(*utils.get_test_dirs(), ["car"], utils.get_validation_augmentation(), preprocessing)


# ---- Part 1: image segmentation --------------------------------------------------------------------------------------


def sigmoid(x):
    """Map each number to a probability: sigmoid(x) = 1 / (1 + e^-x) = e^x / (1 + e^x).

    Write it from the formula, not with a ready-made function such as `torch.sigmoid` or `torch.tanh`.

    Args:
        x: tensor of any shape.

    Returns:
        tensor of the same shape, device and floating dtype (of torch's default dtype for integers and bools), each
        value in 0..1: in (0, 1) on paper, but rounded to 0 or 1 far from zero. Value and gradient are right, and never
        NaN, for every x from -inf to inf. The gradient at 0 is 1/4. Mind that e^1000 is inf in floating point: one
        form then has the value inf / inf = NaN, the other a right value but the gradient 0 · inf = NaN.
    """
    # TO-DO 1: sigmoid
    ### BEGIN SOLUTION
    x = utils.as_floating(x).clamp(min=-1e4)  # finite, since -inf - (-inf) below is NaN; e^-1e4 is 0 in every dtype
    # 1 / (1 + e^-x) = e^m / (e^m + e^(m-x)) for every m. With m = min(x, 0), no exponent is positive and nothing
    # overflows, neither the value nor the gradient. The result does not depend on m, so m counts as a constant.
    m = x.detach().clamp(max=0)
    e = torch.exp(m)
    return e / (e + torch.exp(m - x))
    ### END SOLUTION


def softmax(x, dim=0):
    """Map C numbers to C probabilities: softmax(x)_i = e^(x_i) / (e^(x_1) + ... + e^(x_C)).

    Write it from the formula, not with a ready-made function such as `torch.softmax` or `torch.logsumexp`.

    Args:
        x: tensor of any shape.
        dim: the axis along which the C classes lie.

    Returns:
        tensor of the same shape, device and floating dtype (of torch's default dtype for integers and bools), each
        value in 0..1 and their sum 1 along `dim`. Large numbers (1e4) do no harm: adding a constant to all x_i leaves
        the probabilities as they are. A class of -inf gets probability 0 and gradient 0. Where all classes are -inf,
        or one is +inf or NaN, there is no such distribution, and the result along `dim` is NaN.
    """
    # TO-DO 2: softmax
    ### BEGIN SOLUTION
    x = utils.as_floating(x)
    # e^(x_i - m) / sum_j e^(x_j - m) = softmax(x)_i for every m, since e^-m cancels. With m the largest x_j, every
    # exponent is at most 0, so nothing overflows, and one of them is 0, so the sum is at least 1.
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # 16 bits would round the differences and the sum
    largest = wide.amax(dim, keepdim=True).detach()  # constant: the result, and so its gradient, does not depend on m
    e = torch.exp(wide - largest)
    return (e / e.sum(dim, keepdim=True)).to(x.dtype)
    ### END SOLUTION


def apply_mask_to_image(image, mask):
    """Colour the masked pixels of an image red: add 255 to their red channel, and clip to 0..255.

    Args:
        image: H×W×3 array or tensor, RGB, uint8 or any other real dtype with values in 0..255 (fractions are dropped).
        mask: H×W×1 or H×W array or tensor, 1 where the object is and 0 elsewhere.

    Returns:
        H×W×3 `torch.int64` tensor in 0..255. The arguments are not modified.

    Raises:
        ValueError: the shapes do not fit together, or the mask holds other values than 0 and 1.
    """
    # TO-DO 3: apply_mask_to_image
    ### BEGIN SOLUTION
    image, mask = utils.as_tensor(image), utils.as_tensor(mask)
    if mask.ndim == 2:
        mask = mask.unsqueeze(-1)  # H×W×1
    if image.ndim != 3 or image.shape[2] != 3 or mask.shape != (*image.shape[:2], 1):
        raise ValueError(f"The shapes must be H×W×3 and H×W×1, not {tuple(image.shape)} and {tuple(mask.shape)}.")
    masked = mask == 1
    if torch.count_nonzero(masked | (mask == 0)) < mask.numel():
        raise ValueError("The mask holds other values than 0 and 1: round a predicted mask first.")
    # A copy, so that the argument stays as it is. uint8 counts modulo 256: 200 + 255 would be 199.
    result = image.to(torch.int64, copy=True)
    result[..., :1].add_(masked.to(image.device), alpha=255)  # only red changes; computing 255 * masked is slower
    return result.clamp_(0, 255)
    ### END SOLUTION


# ---- Part 2: the networks --------------------------------------------------------------------------------------------


def load_FPN_vgg19():
    """Given: return the Feature Pyramid Network with a VGG-19 encoder, trained and in evaluation mode.

    One class, sigmoid output; weights from `models/vgg19_best_model_weights.pt`. Errors: see `utils.load_weights`.
    """
    # All weights come from the file. So smp must not download any (None), and none are made at random ("meta").
    with torch.device("meta"):
        model = smp.FPN(encoder_name="vgg19", encoder_weights=None, classes=1, activation="sigmoid")
    return utils.load_weights(model, "vgg19_best_model_weights.pt")


def load_FPN_resnet50():
    """Return the Feature Pyramid Network with a ResNet-50 encoder, trained and in evaluation mode.

    smp's encoder name is `resnet50`; one class, sigmoid output; weights from `models/resnet50_best_model_weights.pt`.
    No network access. Errors are those of `utils.load_weights`.
    """
    # TO-DO 4: load_FPN_resnet50
    ### BEGIN SOLUTION
    with torch.device("meta"):  # without random weights, since all come from the file
        model = smp.FPN(encoder_name="resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    return utils.load_weights(model, "resnet50_best_model_weights.pt")
    ### END SOLUTION


def print_model_summary(model, channels=3, H=384, W=480):
    """Print torchinfo's table for one input of channels×H×W: output shape and parameters of every layer. Returns None.

    Runs on the model's device and leaves its training flags as they were. Raises `ValueError` if the model does not
    take such an input (height and width must be multiples of 32 for the two FPNs, of 8 for the PSPNet).
    """
    device = next(model.parameters()).device
    rows = ("depth",) if utils.printable("├─") == "├─" else ("depth", "ascii_only")
    try:
        with utils.evaluation_mode(model):
            summary = torchinfo.summary(model, (1, channels, H, W), device=device, row_settings=rows, verbose=0)
    except RuntimeError as error:
        raise ValueError(f"The model takes no input of {channels}×{H}×{W}: {error.__cause__ or error}") from None
    table = str(summary)
    for unit in torchinfo.enums.Units:
        table = table.replace(str(unit), unit.value)  # Python 3.11 and later would print "Units.GIGABYTES" for "G"
    print(table)


# ---- Part 3: how good the masks are ----------------------------------------------------------------------------------


def IoU(predict, target):
    """Intersection over union of two masks: |A ∩ B| / |A ∪ B|, A and B being the pixels of the object in each.

    Args:
        predict, target: M×N tensors of any real dtype, probabilities or masks in 0..1. A pixel belongs to the object
            if its value is above 0.5; exactly 0.5 does not count (`round(0.5)` is 0).

    Returns:
        0-d float tensor in 0..1, and 1 if neither mask holds an object (they agree). Exact for any number of pixels.

    Raises:
        ValueError: the shapes differ, or a value is NaN or outside 0..1.
    """
    # TO-DO 5: IoU
    ### BEGIN SOLUTION
    predict, target = utils.as_floating(predict), utils.as_floating(target)
    if predict.shape != target.shape:
        raise ValueError(f"Masks of one shape are needed, not {tuple(predict.shape)} and {tuple(target.shape)}.")
    for name, mask in (("predict", predict), ("target", target)):
        low, high = torch.aminmax(mask) if mask.numel() else (0, 0)
        if not (low >= 0 and high <= 1):  # also if they are NaN
            raise ValueError(f"The values of {name} must lie in 0..1: apply sigmoid to the output of a network first.")
    a, b = predict > 0.5, target.to(predict.device) > 0.5  # M×N bool
    # Counted in integers and divided in Python: a float16 sum above 65504 is inf, and float32 miscounts above 2^24.
    intersection, union = torch.count_nonzero(a & b).item(), torch.count_nonzero(a | b).item()
    return torch.tensor(intersection / union if union else 1.0, device=predict.device)
    ### END SOLUTION


def applyIoU(model, dataset):
    """Return the IoU of the model's prediction for each pair of the data set, in its order.

    Args:
        model: network from 1×3×H×W to probabilities 1×1×H×W; it may be on any device.
        dataset: N pairs of image 3×H×W and mask 1×H×W, float32 arrays, such as `create_test_dataset()`.

    Returns:
        list of N 0-d float tensors.

    The model runs in evaluation mode without gradients. Afterwards its training flags are as they were, also when the
    data set raises an error: `utils.evaluation_mode` sees to that. (A progress bar is welcome, such as `tqdm`'s.)
    """
    # TO-DO 6: applyIoU
    ### BEGIN SOLUTION
    like = next(model.parameters(), torch.empty(0))  # the device and dtype the model computes on
    scores = []
    with utils.evaluation_mode(model):
        for i in tqdm(range(len(dataset)), desc="IoU", delay=10, leave=False):
            image, target = dataset[i]  # 3×H×W, 1×H×W
            if image.shape[-2:] != target.shape[-2:]:
                shapes = f"{tuple(image.shape)} and {tuple(target.shape)}, not 3×H×W and 1×H×W"
                raise ValueError(f"Pair {i} is {shapes}: give the data set a preprocessing.")
            x = utils.as_tensor(image).unsqueeze(0).to(like)  # 1×3×H×W
            with torch.inference_mode():
                # Channels-last stores the channels of a pixel together: the same result, but faster.
                prediction = model(x.clone(memory_format=torch.channels_last))  # 1×1×H×W
            scores.append(IoU(prediction[0].cpu(), target))
    return scores
    ### END SOLUTION


# ---- Extra credit: the Pyramid Scene Parsing Network -----------------------------------------------------------------


def load_PSP_resnet50():
    """Return the Pyramid Scene Parsing Network with a ResNet-50 encoder, trained and in evaluation mode.

    `smp.PSPNet`; smp's encoder name is `resnet50`; one class, sigmoid output; weights from
    `models/pspnet_resnet50_best_model_weights.pt`. No network access. Errors are those of `utils.load_weights`.
    """
    # TO-DO EC: load_PSP_resnet50
    ### BEGIN SOLUTION
    with torch.device("meta"):  # without random weights, since all come from the file
        model = smp.PSPNet(encoder_name="resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    return utils.load_weights(model, "pspnet_resnet50_best_model_weights.pt")
    ### END SOLUTION


def compare_psp_fpn(test_dataset):
    """Return `(psp_iou, fpn_iou)`: the scores of `applyIoU` for PSPNet and for FPN, both with a ResNet-50 encoder."""
    # TO-DO EC: compare_psp_fpn
    ### BEGIN SOLUTION
    return applyIoU(load_PSP_resnet50(), test_dataset), applyIoU(load_FPN_resnet50(), test_dataset)
    ### END SOLUTION
