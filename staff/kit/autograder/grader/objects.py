"""What passes between the grader's plain values and the objects that a student's function takes and returns.

Part of the worker, and so within reach of the student's code.
"""

import numpy as np
import torch

from .values import OpaqueValue, Tensor

LARGEST_ARRAY = 8 << 20
MOST_ITEMS = 10_000


class Notes(list):
    """A list that copies of a model share with it: the grader reads the original's, whichever of them was run."""

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class RedIsCar(torch.nn.Module):
    """A model that takes an image's first channel for the car probability and keeps note of how it was run."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.frozen = torch.nn.BatchNorm2d(1).eval()
        self.trained, self.tracked = Notes(), Notes()

    def forward(self, x):
        self.trained.append(self.training)
        self.tracked.append(torch.is_grad_enabled())
        return x[:, :1] * self.scale

    @torch.no_grad()
    def predict(self, x):
        """As smp's models have it."""
        if self.training:
            self.eval()
        return self.forward(x)


def to_native(value, student):
    """Return the object that a value of the grader stands for."""
    if isinstance(value, Tensor):
        return torch.from_numpy(value.array.copy()).to(getattr(torch, value.dtype))
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple):
        return type(value)(to_native(item, student) for item in value)
    if isinstance(value, OpaqueValue) and value.kind == "model":
        return RedIsCar()
    if isinstance(value, OpaqueValue) and value.kind == "dataset":
        return to_native(value.metadata["items"], student)  # a plain list also reaches the processes of a DataLoader
    if isinstance(value, OpaqueValue):
        return getattr(student, value.metadata["function"])()
    return value


def from_native(value, probe=()):
    """Return what the grader should know of an object; a network is also run on each input in `probe`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return (int if isinstance(value, int) else float)(value)
    if isinstance(value, str):
        return value[:1000]
    if isinstance(value, torch.Tensor):
        return _from_tensor(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc" and value.size <= LARGEST_ARRAY:
        return np.asarray(value)
    if isinstance(value, RedIsCar):
        return _describe_model(value)
    if isinstance(value, list | tuple):
        items = [from_native(item) for item in value[:MOST_ITEMS]]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, torch.nn.Module):
        return _describe_network(value, probe)
    return OpaqueValue("object", {"type": type(value).__name__})


def fingerprint(tensor):
    """Shape, sum and sum of magnitudes: enough to distinguish trained tensors."""
    values = tensor.detach().cpu()
    sums = (numbers.sum(dtype=torch.float64).item() for numbers in (values, values.abs()))
    return [list(values.shape), *sums]


def _from_tensor(value):
    plain = value.detach().cpu().to_dense() if value.layout != torch.strided else value.detach().cpu()
    if plain.numel() > LARGEST_ARRAY:
        return OpaqueValue("object", {"type": f"tensor of {plain.numel():,} elements"})
    plain = plain.resolve_conj().resolve_neg()
    name = str(value.dtype).removeprefix("torch.")
    return Tensor((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), name)


def _describe_model(model):
    metadata = {"trained": list(model.trained), "tracked": list(model.tracked)}
    return OpaqueValue("model", metadata | {"training": [model.training, model.frozen.training]})


def _describe_network(network, probe):
    names = [f"{base.__module__}.{base.__qualname__}" for base in type(network).__mro__]
    training = [name or "the model itself" for name, module in network.named_modules() if module.training]
    state = {name: fingerprint(tensor) for name, tensor in network.state_dict().items()}
    network.eval()  # its mode is noted: a forgotten eval() need not cost the test of its outputs as well
    outputs = [_output(network, x) for x in probe]
    return OpaqueValue("network", {"classes": names, "training": training[:3], "state": state, "outputs": outputs})


def _output(network, x):
    try:
        with torch.inference_mode():
            return from_native(network(torch.from_numpy(x.copy())))
    except Exception as error:
        return OpaqueValue("error", {"type": type(error).__name__, "message": str(error)[:1000]})
