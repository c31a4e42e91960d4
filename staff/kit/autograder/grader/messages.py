"""What students read of an exception in their code: its type, message and line, and a hint where that is not enough."""

import re

import numpy as np

from .values import Tensor

# What is wrong behind an exception that does not say so itself.
HINTS = (
    (
        r"LocalEntryNotFound|OfflineMode|HfHub|offline mode|urlopen|ConnectionError|Max retries|resolve host",
        "there is no network here, so pass encoder_weights=None instead of downloading ImageNet weights",
    ),
    (
        r"^(FileNotFoundError|PermissionError).*'(/|[A-Za-z]:)(?!.*/project/)",
        "an absolute path exists on your computer alone, so write it from the project's root, as in models/name.pt",
    ),
    (r"^FileNotFoundError", "paths start in the project's root, so write them from there, as in models/name.pt"),
    (
        r"NVIDIA|CUDA|cuda",
        "there is no GPU here, so move tensors to the model's own device, next(model.parameters()).device",
    ),
    (
        r"in loading state_dict",
        "the network must be built like that of the weight file, with its encoder and with classes=1",
    ),
    (
        r"numpy\.ndarray' and 'Parameter'|(must be Tensor|argument 'input'.*), not numpy|ndarray.*no attribute 'dim'",
        "a data set gives NumPy arrays, and a model takes a tensor with an axis for the batch: "
        "torch.from_numpy(image).unsqueeze(0)",
    ),
)
# Errors that are easy to understand once the shapes are known.
SHAPES = re.compile(r"must match|broadcast|did not match|shape|dimension|too many ind|size mismatch|axis|same size")


def describe_error(error: dict) -> str:
    """A student's exception: its type, message and line."""
    kind, message, line, file = (error.get(key) for key in ("type", "message", "line", "file"))
    short = " ".join(str(message).split())[:200].rstrip(".")
    where = f" (line {line} of {file})" if isinstance(line, int) and isinstance(file, str) else ""
    return f"{kind}: {short}{where}" if short else f"{kind}{where}"


def hint_for(error: dict, args: tuple = ()) -> str:
    """What to add to a student's exception, which a call with these arguments raised."""
    raised = f"{error['type']} {error['message']}"
    for pattern, hint in HINTS:
        if re.search(pattern, raised):
            return f": {hint}"
    arrays = [value.array if isinstance(value, Tensor) else value for value in args]
    shapes = [str(array.shape) for array in arrays if isinstance(array, np.ndarray)]
    if shapes and SHAPES.search(raised):
        return f"; it was called with the shape{'s' * (len(shapes) > 1)} {' and '.join(shapes)}"
    return ""
