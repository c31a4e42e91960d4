"""Given code: reading CamVid, preparing it for a network, loading weights, drawing pictures, and checking a solution.

`student_code.py` imports this file. Arrays are H×W×C, as in OpenCV and matplotlib, until `get_preprocessing` turns them
into C×H×W for torch.
"""

import contextlib
import functools
import inspect
import math
import os
import re
import sys
import textwrap
import traceback
import types
import unicodedata
import warnings
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # albumentations would ask the network for a newer version of itself

import albumentations as A
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image

# matplotlib is imported by the functions that draw: it takes longer to load than all the rest of this file.

_SOURCE = Path(__file__).read_bytes()  # `verify` runs the file again if it has changed

ROOT = Path(__file__).resolve().parent.parent

if __name__ in {"utils", "proj2_code.utils"} & sys.modules.keys():  # one module with two names, loaded once
    for _name in ("utils", "proj2_code.utils"):
        sys.modules.setdefault(_name, sys.modules[__name__])

CLASSES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "signsymbol",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
    "unlabelled",
)
"""The classes of the masks; the position of a name is its id.

CamVid has 32 classes. The SegNet tutorial joins them into these eleven and "unlabelled"; "car" also holds its vans,
trucks and buses.
"""

ERROR_COLOURS = {"hit": (0, 158, 115), "missed": (230, 159, 0), "false alarm": (204, 60, 160)}
"""RGB colours of `error_map`; colour-blind people can distinguish them too (after Okabe and Ito, 2008)."""

MAX_FEATURE_MAPS = 64


# ---------------------------------------------------------------------------------------------------------------------
# Frames and masks


def get_test_dirs():
    """Return the folders (frames, masks) of the test set: CamVid if it has been fetched, otherwise the sample.

    The sample holds three rendered street scenes in CamVid's format. If it is used, one printed line says so.
    """
    camvid, sample = ROOT / "data" / "CamVid", ROOT / "data" / "sample"
    # A download that broke off may have left frames without their masks.
    frames, masks = ({file.stem for file in _visible_files(camvid / name)} for name in ("test", "testannot"))
    if frames and frames == masks:
        return camvid / "test", camvid / "testannot"
    print(
        f"CamVid is {'not whole' if frames else 'not'} in data/CamVid: using the rendered scenes of data/sample "
        "(python data/get_camvid.py gets CamVid)"
    )
    return sample / "test", sample / "testannot"


class Dataset(torch.utils.data.Dataset):
    """Frames and masks in CamVid's format, read from disk one at a time, in the order of their names.

    Args:
        images_dir: folder of the frames; any picture OpenCV can read.
        masks_dir: folder of the masks: one integer channel of 8 or 16 bits, each pixel the id of its class (its
            position in `CLASSES`). The mask of `street.jpg` is the file with the same stem, such as `street.png`.
        classes: names from `CLASSES` to make masks for, in this order; `None` means all twelve.
        augmentation: such as `get_validation_augmentation()`; called with `image=` and `mask=`, returns a dict.
        preprocessing: such as `get_preprocessing(fn)`; called in the same way, after the augmentation.

    `dataset[i]` is a pair `(image, mask)`:
        without preprocessing, image H×W×3 uint8 in RGB and mask H×W×C float32 of 0 and 1, one channel a class;
        with `get_preprocessing(fn)`, image 3×H×W float32 and mask C×H×W float32.

    Hidden files and folders are ignored. So are orientation tags, since masks have none.

    Raises:
        FileNotFoundError: a folder is missing or empty, or a frame has no mask.
        ValueError: an unknown class, or no class; two files with the same stem; a file that OpenCV cannot read; a mask
            of another size than its frame, or one that may not hold class ids (colour, palette, JPEG, an id above 11).
    """

    CLASSES = CLASSES

    def __init__(self, images_dir, masks_dir, classes=None, augmentation=None, preprocessing=None):
        self.classes = [classes] if isinstance(classes, str) else list(CLASSES if classes is None else classes)
        self.class_values = [_class_id(name) for name in self.classes]
        if not self.classes:
            raise ValueError("A mask needs at least one class: name some, or leave classes=None for all twelve.")
        frames, masks = _files_by_stem(images_dir), _files_by_stem(masks_dir)
        for stem, frame in frames.items():
            if stem not in masks:
                raise FileNotFoundError(f"{frame} has no mask: put {stem}.png into {masks_dir}, or remove the frame.")
        self.names = list(frames)
        self.images_fps = list(frames.values())
        self.masks_fps = [masks[stem] for stem in frames]
        self.augmentation = augmentation
        self.preprocessing = preprocessing

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(len(self))[i]]
        image, mask = self._augmented(i)
        if self.preprocessing:
            prepared = self.preprocessing(image=image, mask=mask)
            image, mask = prepared["image"], prepared["mask"]
        return image, mask

    def display(self, i=None):
        """Show pair `i`, or every pair one below the other: frame and mask, augmented but not preprocessed."""
        for k in range(len(self)) if i is None else [i]:
            image, mask = self._augmented(k)
            if len(self.classes) == 1:
                visualize(**{"image": image, f"{self.classes[0]}_mask": mask})
            else:
                # One picture for all classes: 0 where no class is, 1 for the first one, 2 for the second, and so on.
                visualize(image=image, classes=mask @ np.arange(1, len(self.classes) + 1))

    def _augmented(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"There is no frame {i}: the data set holds {len(self)}.")
        image = _decode(self.images_fps[i], cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        ids = _read_ids(self.masks_fps[i])
        if ids.shape != image.shape[:2]:
            raise ValueError(
                f"{self.masks_fps[i]} is {_size(ids)} and its frame {self.images_fps[i]} is {_size(image)}: "
                "save the mask in the size of its frame."
            )
        mask = np.stack([ids == value for value in self.class_values], axis=-1).astype(np.float32)  # H×W×C
        if self.augmentation:
            augmented = self.augmentation(image=image, mask=mask)
            image, mask = augmented["image"], augmented["mask"]
        return image, mask


def read_picture(path):
    """Read any picture as H×W×3 uint8 in RGB, turned upright if its orientation tag says so.

    Raises `FileNotFoundError` or `ValueError`, naming the file.
    """
    return _decode(Path(path), cv2.IMREAD_COLOR_RGB)


def _class_id(name):
    if str(name).lower() not in CLASSES:
        raise ValueError(f"There is no class {name!r}: choose from {', '.join(CLASSES)}.")
    return CLASSES.index(name.lower())


def _visible_files(folder):
    """The files of a folder sorted by name, without those that file managers leave behind (`._a.png`, `Thumbs.db`)."""
    if not folder.is_dir():
        return []
    left_behind = {"thumbs.db", "desktop.ini"}
    visible = [f for f in folder.iterdir() if not f.name.startswith(".") and f.name.lower() not in left_behind]
    # Sort by name, not by path: Windows sorts paths regardless of case, and macOS may store É as E plus an accent.
    return sorted((f for f in visible if f.is_file()), key=lambda f: unicodedata.normalize("NFC", f.name))


def _files_by_stem(folder):
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. For CamVid's test frames, run: python data/get_camvid.py")
    files = {}
    for file in _visible_files(folder):
        stem = unicodedata.normalize("NFC", file.stem)
        if stem in files:
            raise ValueError(f"{files[stem]} and {file.name} have the same stem: keep one of them.")
        files[stem] = file
    if not files:
        raise FileNotFoundError(f"{folder} holds no files. For CamVid's test frames, run: python data/get_camvid.py")
    return files


def _decode(path, flags):
    # cv2.imread cannot open every path on Windows (accents), and says nothing when a file is missing.
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file {path}: check the name, or put the file back.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): allow reading it, or replace it.") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise ValueError(
            f"{path} cannot be read as a picture: it is empty, cut short, or of a kind that OpenCV "
            "does not know. Replace it, or save it as PNG."
        )
    return image


def _read_ids(path):
    """Read a mask as H×W class ids. Refuses files whose pixels may be something else than ids, such as colours."""
    ids = _decode(path, cv2.IMREAD_UNCHANGED)
    try:
        with Image.open(path) as header:
            kind = f"{header.format} in mode {header.mode}"
            exact = header.format in ("PNG", "TIFF", "BMP", "PPM") and header.mode in ("L", "I", "I;16", "I;16B")
    except OSError:  # a format that OpenCV alone knows
        kind, exact = f"a {path.suffix} file", False
    if not exact or ids.ndim != 2 or ids.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{path} does not hold plain class ids ({kind}): save masks as PNG with one grey channel of 8 or 16 bits, "
            "each pixel the id of its class, without a palette."
        )
    if ids.max() >= len(CLASSES):
        known = f"0 to {len(CLASSES) - 1}"
        raise ValueError(f"{path} holds the id {ids.max()}, but CamVid's are {known}: relabel it, or remove it.")
    return ids


def _size(array):
    return f"{array.shape[0]}×{array.shape[1]}"


# ---------------------------------------------------------------------------------------------------------------------
# Augmentation and preprocessing


def get_training_augmentation():
    """Return the random augmentation for training: frames and masks of any size become 320×320.

    Brightness and colour change in the image only. Shifts, turns and other changes of geometry are made to the mask
    too, whose values stay 0 and 1.
    """
    mirror = {"border_mode": cv2.BORDER_REFLECT_101}
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(scale=(0.5, 1.5), rotate=(-5, 5), translate_percent=(-0.1, 0.1), p=1, **mirror),
            A.Perspective(scale=(0.02, 0.06), p=0.3, **mirror),
            A.PadIfNeeded(min_height=320, min_width=320, **mirror),
            A.RandomCrop(height=320, width=320),
            A.OneOf([A.CLAHE(), A.RandomBrightnessContrast(), A.RandomGamma(), A.HueSaturationValue()], p=0.9),
            A.OneOf([A.Sharpen(), A.Blur(blur_limit=3), A.MotionBlur(blur_limit=3)], p=0.5),
            A.GaussNoise(std_range=(0.01, 0.05), p=0.2),
        ]
    )


def get_validation_augmentation():
    """Return the padding for evaluation: a CamVid frame of 360×480 becomes 384×480, and so does its mask.

    The FPNs halve their input five times, so height and width must be multiples of 32 (the PSPNet halves three times
    and takes multiples of 8). Smaller frames are padded to 384×480, larger ones to the next multiples of 32. The border
    mirrors the frame, which looks more like a street than black bars would. IoU is computed over the padded frame.
    """
    mirror = {"border_mode": cv2.BORDER_REFLECT_101}
    multiples = {"min_height": None, "min_width": None, "pad_height_divisor": 32, "pad_width_divisor": 32}
    return A.Compose([A.PadIfNeeded(min_height=384, min_width=480, **mirror), A.PadIfNeeded(**multiples, **mirror)])


def get_preprocessing(preprocessing_fn):
    """Return a function that turns `image` H×W×3 and `mask` H×W×C into the float32 arrays 3×H×W and C×H×W.

    `preprocessing_fn` normalises the image first: `get_preprocessing_fn(...)` or smp's own. The result is called with
    `image=` and `mask=` and returns a dict of both, as albumentations' transforms do.
    """
    # A partial of a named function, since DataLoader workers started by spawn must be able to pickle it.
    return functools.partial(_preprocess, preprocessing_fn)


def _preprocess(preprocessing_fn, image, mask):
    return {"image": _channels_first(preprocessing_fn(image)), "mask": _channels_first(mask)}


def _channels_first(array):
    # A view: a copy of a frame in float32 would take longer than normalising it.
    return array.transpose(2, 0, 1).astype(np.float32, copy=False)


def get_preprocessing_fn(encoder_name):
    """Return the function that normalises an H×W×3 image in 0..255 (or floats in 0..1) for an encoder.

    image ↦ (image / 255 - mean) / std, channel by channel, as float32; mean and std are those of the encoder's
    ImageNet weights. `smp.encoders.get_preprocessing_fn` does the same but asks a server for the two triples.

    Raises `ValueError` for an encoder whose values are not known without the network.
    """
    try:
        # The prefix makes smp read timm's tables, which are installed, instead of a file on a server.
        params = smp.encoders.get_preprocessing_params(f"tu-{encoder_name.removeprefix('tu-')}")
    except (ValueError, RuntimeError):
        raise ValueError(
            f"The mean and std of {encoder_name!r} are not known offline: this project uses 'vgg19' and 'resnet50'."
        ) from None
    return functools.partial(_normalise, A.Normalize(mean=params["mean"], std=params["std"]))


def _normalise(transform, image):
    if image.dtype != np.uint8:
        in_unit_range = np.issubdtype(image.dtype, np.floating) and image.max() <= 1  # smp's rule
        image = image.astype(np.float32) * (255 if in_unit_range else 1)
    return transform.apply(image)


# ---------------------------------------------------------------------------------------------------------------------
# Networks and their weights


def as_tensor(values):
    """Return a tensor as it is; an array (read-only and flipped ones too) or a list is copied into a new tensor."""
    return torch.as_tensor(values.copy() if isinstance(values, np.ndarray) else values)


def as_floating(values):
    """Return a tensor whose floating dtype is kept; integers and bools become torch's default float."""
    x = as_tensor(values)
    if x.is_complex():
        raise TypeError(f"Real numbers are needed, not {x.dtype}.")
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def load_weights(model, file_name):
    """Load `models/<file_name>` into the model and return it in evaluation mode, on the CPU.

    The file holds a `state_dict`: by itself or nested under "state_dict", with or without the `module.`, `model.`
    or `_orig_mod.` that trainers put before each name, of any floating dtype.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the name has a folder, the file is no PyTorch file, or its tensors are not those of this network.
    """
    path = ROOT / "models" / file_name
    if path.name != file_name:
        raise ValueError(f"Give the name of the file without its folder: {path.name!r}, not {file_name!r}.")
    restore = f"Copy models/{file_name} again from the project's zip or repository."
    if not path.is_file():
        raise FileNotFoundError(f"The weights of {_describe(model)} are missing: there is no {path}. {restore}")
    try:
        # weights_only: a pickle may run code when it is read; this accepts tensors and plain containers, nothing else.
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):  # their messages are clear enough
        raise
    except Exception:  # torch raises a dozen types, depending on the damage, and its advice misleads
        raise ValueError(
            f"{path} cannot be read: it should hold the state_dict of {_describe(model)}, saved by torch.save, but the "
            f"file is empty, cut short, of another kind, or holds more than tensors. {restore}"
        ) from None
    while isinstance(weights, dict) and isinstance(weights.get("state_dict"), dict):
        weights = weights["state_dict"]
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise ValueError(f"{path} holds no state_dict; it should hold that of {_describe(model)}. {restore}")
    weights = {re.sub(r"^((module|model|_orig_mod)\.)+", "", name): value for name, value in weights.items()}
    difference = _difference(model.state_dict(), weights)
    if difference:
        raise ValueError(
            f"{path} does not fit {_describe(model)}: {difference}. Check the network's arguments and the file's name "
            f"against the docstring. If both are right, the file holds other weights. {restore}"
        )
    # assign: the tensors of the file become those of the model, so it may have been built on the "meta" device.
    dtypes = {name: value.dtype for name, value in model.state_dict().items()}
    model.load_state_dict({name: value.to(dtypes[name]) for name, value in weights.items()}, assign=True)
    return model.eval()


def with_street_classes(resnet50_model):
    """Return the FPN + ResNet-50 for all twelve classes: 1×3×H×W to 1×12×H×W logits, in evaluation mode.

    Encoder and decoder are those of `resnet50_model`, such as from `student_code.load_FPN_resnet50()`: shared, not
    copied. Only the last 1×1 convolution is new. It comes from `models/resnet50_street_classes_head.pt`. There is no
    activation: `softmax` over the twelve logits of a pixel gives its probabilities, in the order of `CLASSES`.

    Raises `ValueError` for any other network, and what `load_weights` raises if there is no such file.
    """
    if getattr(resnet50_model, "name", None) != "fpn-resnet50":
        raise ValueError("The twelve classes need an FPN with the encoder resnet50, as load_FPN_resnet50() returns it.")
    street_model = smp.FPN("resnet50", encoder_weights=None, classes=len(CLASSES), activation=None)
    street_model.encoder, street_model.decoder = resnet50_model.encoder, resnet50_model.decoder
    load_weights(street_model.segmentation_head[0], "resnet50_street_classes_head.pt")
    return street_model.to(next(resnet50_model.parameters()).device).eval()


def _describe(model):
    if not hasattr(model, "name"):
        return f"the {type(model).__name__} layer of the twelve classes"
    encoder = model.name.partition("-")[2]  # smp's name of a network is such as fpn-resnet50
    return f"{type(model).__name__} with the encoder {encoder}"


def _difference(expected, found):
    """Describe how the tensors found differ from those expected; empty if they do not."""
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    shapes = {name: (tuple(found[name].shape), tuple(expected[name].shape)) for name in expected.keys() & found.keys()}
    unequal = sorted(name for name, (has, needs) in shapes.items() if has != needs)
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(expected)} tensors are missing, such as {min(missing)}")
    if surplus:
        parts.append(f"{len(surplus)} tensors belong to another network, such as {min(surplus)}")
    if unequal:
        has, needs = shapes[unequal[0]]
        parts.append(f"{unequal[0]} has shape {has} where {needs} is needed")
    return "; ".join(parts)


@contextlib.contextmanager
def evaluation_mode(model):
    """Within `with evaluation_mode(model):` every module is in evaluation mode; afterwards each is as it was."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        yield model
    finally:
        for module, training in flags:
            module.training = training


def predict_mask(model, image, preprocessing_fn, max_side=960):
    """Segment one picture of any size.

    Args:
        model: a network with one class and sigmoid output, such as `student_code.load_FPN_resnet50()`.
        image: H×W×3 uint8 in RGB, such as from `read_picture`.
        preprocessing_fn: such as `get_preprocessing_fn("resnet50")`.
        max_side: a larger picture is first shrunk to this height or width. The network needs memory for each pixel, and
            it knows cars only at the sizes they have in frames of 360×480.

    Returns H×W uint8: 1 where the probability of car is above 0.5. Raises `ValueError` for other shapes.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"A picture is H×W×3 in RGB, not {'×'.join(map(str, image.shape))}.")
    height, width = image.shape[:2]
    scale = min(1, max_side / max(height, width))
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    padded = cv2.copyMakeBorder(small, 0, -h % 32, 0, -w % 32, cv2.BORDER_REFLECT_101)
    x = torch.from_numpy(_channels_first(preprocessing_fn(padded))).unsqueeze(0)  # 1×3×H'×W'
    with evaluation_mode(model), torch.inference_mode():
        prediction = model(x.to(next(model.parameters())))[0, 0]
    mask = (prediction > 0.5).to(torch.uint8).cpu().numpy()[:h, :w]
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def show(alt):
    """Show the current figure as `plt.show()` does. `alt` is one sentence that describes it.

    Jupyter stores the sentence with the picture, for readers who cannot see it (alt text).
    """
    import matplotlib.pyplot as plt

    if "inline" not in plt.get_backend():
        plt.show()
        return
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:  # a program that was started from a notebook
        plt.show()
        return

    figure = plt.gcf()
    data, metadata = get_ipython().display_formatter.format(figure)
    texts = {kind: {**metadata.get(kind, {}), "alt": alt} for kind in data if kind.startswith("image/")}
    display(data, metadata=texts, raw=True)
    plt.close(figure)


def visualize(**images):
    """Show pictures in one row, each under its name: `visualize(image=frame, cars_mask=mask)`.

    Arrays or tensors (any device): H×W×3 pictures in 0..255 or 0..1, or masks H×W, H×W×1 or 1×H×W. A picture that is
    3×H×W is transposed to H×W×3. Integer values past 0..255 are clipped. A map of probabilities, H×W with values
    between 0 and 1, gets a colour bar.
    """
    import matplotlib.pyplot as plt

    if not images:
        raise ValueError("Nothing to show: name the pictures, as in visualize(image=frame, cars_mask=mask).")
    width = 16 / max(3, len(images))
    _, axes = plt.subplots(
        1, len(images), figsize=(width * len(images), 0.85 * width), squeeze=False, layout="constrained"
    )
    texts = []
    for ax, (name, image) in zip(axes[0], images.items(), strict=True):
        _show(ax, image, " ".join(name.split("_")).title())
        texts.append(f"{ax.get_title()}: {_what_is_seen(image)}")
    show(f"{'; '.join(texts)}.")


def error_map(predicted, true, image=None):
    """Draw where a predicted mask is right and wrong, as H×W×3 uint8 in the colours of `ERROR_COLOURS`.

    Args:
        predicted, true: masks H×W (or with one channel more, of size 1); above 0.5 is object.
        image: H×W×3 picture to lay the colours over, in grey; without it the rest is black.

    A hit is object in both, missed is object in `true` only, a false alarm is object in `predicted` only.
    Raises `ValueError` if the sizes differ.
    """
    predicted, true = _as_mask(predicted) > 0.5, _as_mask(true) > 0.5
    background = np.zeros((*true.shape, 3), np.uint8) if image is None else _as_picture(image)
    if predicted.shape != true.shape or background.shape[:2] != true.shape:
        raise ValueError(
            f"The predicted mask is {_size(predicted)}, the true mask {_size(true)}, the picture {_size(background)}: "
            "they need one size."
        )
    grey = background.mean(axis=2, keepdims=True)
    picture = np.repeat(grey.astype(np.uint8), 3, axis=2)
    kinds = {"hit": predicted & true, "missed": true & ~predicted, "false alarm": predicted & ~true}
    for kind, pixels in kinds.items():
        picture[pixels] = ERROR_COLOURS[kind]
    return picture


def show_prediction(image, true_mask, pred_mask):
    """Show a frame, its true mask, the predicted mask and their `error_map` with a legend, in one row.

    The frame, H×W×3 in 0..255, needs the size of the masks (pad it by `get_validation_augmentation()` as they are).
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    errors = error_map(pred_mask, true_mask, image)
    _, axes = plt.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
    _show(axes[0], image, "Image")
    _show(axes[1], true_mask, "True Mask")
    _show(axes[2], pred_mask, "Pred Mask")
    _show(axes[3], errors, "Errors")
    legend = [Patch(color=np.divide(colour, 255), label=kind) for kind, colour in ERROR_COLOURS.items()]
    axes[3].legend(handles=legend, loc="upper right", fontsize="small")
    found, missed, false = (int((errors == colour).all(axis=2).sum()) for colour in ERROR_COLOURS.values())
    show(
        "A street scene, its true mask, the predicted mask, and the error map: "
        f"{found / max(1, found + missed):.0%} of the true mask is hit (green), the rest is missed (orange); "
        f"{false} pixels are false alarms (pink)."
    )


def show_feature_maps(tensor, title):
    """Show the first 64 feature maps of a layer as one tiled picture.

    `tensor` is 1×C×H×W or C×H×W, on any device. Each map is scaled to its own range, from its 1st to its 99th
    percentile: otherwise a few extreme pixels at the border would hide the rest. To get the number of a map, add the
    numbers at its row and its column. Raises `ValueError` for any other shape.
    """
    import matplotlib.pyplot as plt

    maps = _as_array(tensor)
    if maps.ndim == 4 and len(maps) == 1:
        maps = maps[0]
    if maps.ndim != 3:
        raise ValueError(f"Feature maps are 1×C×H×W or C×H×W, not {'×'.join(map(str, maps.shape))}.")
    shown, (h, w) = min(len(maps), MAX_FEATURE_MAPS), maps.shape[1:]
    columns = math.ceil(math.sqrt(shown))
    rows = math.ceil(shown / columns)
    gap = max(1, w // 24)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), np.nan, np.float32)
    for k, one in enumerate(maps[:shown].astype(np.float32)):
        top, left = k // columns * (h + gap), k % columns * (w + gap)
        low, high = np.percentile(one, (1, 99))
        canvas[top : top + h, left : left + w] = ((one - low) / (high - low or 1)).clip(0, 1)
    _, ax = plt.subplots(figsize=(12, 12 * canvas.shape[0] / canvas.shape[1] + 0.5), layout="constrained")
    # Shrink the numbers, not the colours: the mean of two colours may not be on the colour scale.
    ax.imshow(canvas, vmin=0, vmax=1, interpolation_stage="data")
    ax.set_xticks([k * (w + gap) + w / 2 for k in range(columns)], [f"{k}" for k in range(columns)])
    ax.set_yticks([k * (h + gap) + h / 2 for k in range(rows)], [f"{k * columns}" for k in range(rows)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title if shown == len(maps) else f"{title} (the first {shown} of {len(maps)})")
    show(f"{ax.get_title()}: {shown} maps of {h}×{w} in a grid, each from purple, its lowest values, to yellow.")


def _show(ax, image, title):
    image = _as_picture(image)
    # The scale of masks is always 0 to 1, so that an empty mask does not look like a full one.
    scale = {} if image.ndim == 3 else {"vmin": 0, "vmax": max(1, image.max(initial=0)), "interpolation": "nearest"}
    drawn = ax.imshow(image, **scale)
    ax.set(title=title, xticks=[], yticks=[])
    if image.ndim == 2 and ((image > 0) & (image < 1)).any():
        ax.figure.colorbar(drawn, ax=ax, fraction=0.046, pad=0.02, label="probability")


def _what_is_seen(values):
    """Describe a picture or mask of `visualize` in a few words, for `show`."""
    picture = _as_picture(values)
    if picture.ndim == 3:
        return f"a colour picture of {_size(picture)}"
    if picture.max(initial=0) > 1:
        return f"a map of {_size(picture)} with {len(np.unique(picture))} labels"
    return f"a mask of {_size(picture)} in which {(picture > 0.5).mean():.1%} of the pixels are marked"


def _as_array(values):
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _as_mask(values):
    """Drop the axis of size 1 that masks have before or after height and width."""
    mask = _as_array(values)
    if mask.ndim == 3 and 1 in (mask.shape[0], mask.shape[2]):
        mask = mask[..., 0] if mask.shape[2] == 1 else mask[0]
    if mask.ndim != 2:
        raise ValueError(f"A mask is H×W, H×W×1 or 1×H×W, not {'×'.join(map(str, mask.shape))}.")
    return mask


def _as_picture(values):
    """Return H×W×3 uint8 for a colour picture in any of the forms of `visualize`, an H×W array for a mask."""
    picture = _as_array(values)
    if picture.ndim == 3 and picture.shape[0] == 3 and picture.shape[2] not in (1, 3, 4):
        picture = picture.transpose(1, 2, 0)
    if picture.ndim != 3 or picture.shape[2] not in (3, 4):
        return _as_mask(picture)
    if np.issubdtype(picture.dtype, np.floating) and picture.max(initial=0) <= 1:
        picture = picture * 255
    return picture.clip(0, 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# Checking a solution


def verify(function):
    """Run a unit test and return a green `"Correct"`, or a red `"Wrong"` and one sentence that says what was wrong.

    `print("test_sigmoid: ", utils.verify(test_sigmoid))`, where the test is a function without arguments that raises
    when it fails. First, student_code.py is run again (and utils.py if it has changed), so that the saved code is used.
    If a file is missing or cannot be imported, the answer is `"Wrong"` and the line of the error.
    """
    if not callable(function):
        raise TypeError(
            "Give verify the test itself, without brackets: verify(test_sigmoid), not verify(test_sigmoid())."
        )
    try:
        reason = _reload(function)
        if not reason:
            function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest's failures and a student's exit() are not Exceptions
        reason = _what_failed(error)
    if not reason:
        return '\x1b[32m"Correct"\x1b[0m'
    return f'\x1b[31m"Wrong"\x1b[0m {printable(reason)}'


def _reload(test):
    """Run utils.py, if it has changed, and student_code.py again in their modules. Return why that failed, or None.

    Names that were imported from them (`from student_code import sigmoid`) are set to the new functions, in the
    notebook and in all modules.
    """
    for name in ("utils", "student_code", "proj2_code.student_code"):
        module = sys.modules.get(name)
        if not getattr(module, "__file__", None):
            continue
        path = Path(module.__file__)
        if not path.is_file():
            return f"{path.name} is missing from {path.parent.name}."
        source = path.read_bytes()
        if source == getattr(module, "_SOURCE", None):
            continue  # utils.py has not changed: existing data sets stay objects of its classes
        try:
            _run_again(module, path, source)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return f"{path.name} cannot be imported: {_what_failed_on_import(error, path)}"
        _rebind(module, [getattr(inspect.unwrap(test), "__globals__", {})])
    return None


def _run_again(module, path, source):
    """Run a module's source in its own namespace, which stays as it was if that fails.

    Unlike importlib.reload, this takes neither another file of that name nor a stale .pyc, and forgets removed names.
    """
    before = dict(vars(module))
    with warnings.catch_warnings(action="ignore"):  # such as on "\s" in a docstring
        code = compile(source, path, "exec", dont_inherit=True)
    for name in [name for name in before if not name.startswith("__")]:
        del vars(module)[name]
    try:
        exec(code, vars(module))
    except BaseException:
        vars(module).clear()
        vars(module).update(before)
        raise


def _rebind(module, namespaces):
    """Set every name that holds a function or class of this module to the one that the module holds now."""
    modules = [vars(other) for other in list(sys.modules.values()) if hasattr(other, "__dict__")]
    for namespace in modules + namespaces:
        for name, value in list(namespace.items()):
            # Not isinstance: that asks the value itself, and some libraries' values then warn or load something.
            if issubclass(type(value), types.FunctionType | type) and value.__module__ == module.__name__:
                namespace[name] = vars(module).get(value.__qualname__, value)


def _what_failed_on_import(error, path):
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"line {error.lineno}: {error.msg}."
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {textwrap.shorten(str(error), 400, placeholder=' ...')}"


def _what_failed(error):
    """One sentence on an exception of a test: its message and, if the test does not explain it, its place."""
    message = textwrap.shorten(str(error), 400, placeholder=" ...")
    undone = isinstance(error, NotImplementedError) and message.startswith("TO-DO")  # torch raises it too
    if undone or (message and isinstance(error, AssertionError)):
        return message
    frames = traceback.extract_tb(error.__traceback__)[1:]  # without verify's own
    if isinstance(error, AssertionError) and frames:
        return f"it does not hold that {frames[-1].line.removeprefix('assert ')} ({_place(frames[-1])})."
    # Report the student's line, not the library's.
    ours = [frame for frame in frames if Path(frame.filename).parent == Path(__file__).parent] or frames[:1]
    students = [f for f in ours if Path(f.filename).name == "student_code.py" and not f.name.startswith("_")] or ours
    where = f" ({_place(students[-1])})" if students else ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{where}"


def _place(frame):
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def printable(text):
    """Return the text with `?` for what this console cannot print; Windows consoles lack many characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
