"""What the unit tests have in common: every failure is one sentence that says what was expected and what came back."""

from unittest import mock

import torch


def check_tensor(call: str, result: object, shape: tuple[int, ...]) -> None:
    """Fail unless `result`, which `call` returned, is a tensor of this shape."""
    __tracebackhide__ = True  # pytest then shows the student's test, not this function
    assert isinstance(result, torch.Tensor), f"{call} should return a torch.Tensor, got {type(result).__name__}."
    assert tuple(result.shape) == tuple(shape), (
        f"{call} should have the shape {tuple(shape)}, got {tuple(result.shape)}."
    )


def check_values(
    call: str, result: object, expected: torch.Tensor, hint: str = "", dtype: torch.dtype | None = None
) -> None:
    """Fail unless `result` is a tensor that equals `expected` to five decimals; name the first entry that differs.

    `dtype` is the one that it has to have, if any.
    """
    __tracebackhide__ = True
    check_tensor(call, result, expected.shape)
    assert dtype in (None, result.dtype), f"{call} should have the dtype {dtype}, got {result.dtype}."
    close = torch.isclose(result.detach().cpu().double(), expected.double(), rtol=0, atol=1e-5)
    if not close.all():
        index = tuple((~close).nonzero()[0].tolist())
        where = f" at index {list(index)}" if index else ""
        right, wrong = f"{expected[index].item():.6g}", f"{result[index].item():.6g}"
        raise AssertionError(f"{call} should be {right}{where}, got {wrong}{hint}.")


def without_download(call: str) -> mock._patch:
    """Inside this context, asking smp for ImageNet weights fails with a message that names `call`."""
    refusal = AssertionError(f"{call} should not download ImageNet weights: pass encoder_weights=None.")
    return mock.patch("segmentation_models_pytorch.encoders.hf_hub_download", side_effect=refusal)
