"""TO-DO 6: applyIoU with a network whose predictions, and so whose scores, are known beforehand."""

import contextlib

import numpy as np
import torch

import student_code
from proj2_unit_tests.checks import check_values


class RedIsCar(torch.nn.Module):
    """Takes an image's first channel for the car probability, and keeps note of how it was run."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.frozen = torch.nn.Identity()  # in evaluation mode while the rest is in training mode
        self.ran_in_training_mode = self.ran_with_gradients = False

    def forward(self, x):
        assert x.ndim == 4, f"applyIoU should give the model a batch of the shape 1×3×H×W, got {tuple(x.shape)}."
        self.ran_in_training_mode |= self.training
        self.ran_with_gradients |= torch.is_grad_enabled()
        return x[:, :1] * self.weight

    @torch.inference_mode()
    def predict(self, x):
        """As smp's models have it."""
        return self.eval()(x)


def _frame(predicted: slice, true: slice) -> tuple[np.ndarray, np.ndarray]:
    """A preprocessed pair like those of utils.Dataset, both 32 by 64; cars are whole columns."""
    image, mask = np.full((3, 32, 64), 0.2, dtype=np.float32), np.zeros((1, 32, 64), dtype=np.float32)
    image[0, :, predicted] = 0.8
    mask[0, :, true] = 1
    return image, mask


def test_applyIoU():
    dataset = [
        _frame(slice(0, 20), slice(10, 30)),
        _frame(slice(0, 20), slice(0, 20)),
        _frame(slice(0, 20), slice(40, 60)),
        _frame(slice(0, 20), slice(0, 25)),
    ]
    model = RedIsCar().train()
    model.frozen.eval()

    scores = student_code.applyIoU(model, dataset)

    assert isinstance(scores, list), f"applyIoU should return a list, got {type(scores).__name__}."
    assert len(scores) == 4, f"applyIoU should return one score for each of the 4 frames, got {len(scores)}."
    for i, expected in enumerate([1 / 3, 1.0, 0.0, 0.8]):
        check_values(f"applyIoU's score of frame {i}", scores[i], torch.tensor(expected))
    assert not model.ran_in_training_mode, "applyIoU should run the model in eval mode, got training mode."
    assert not model.ran_with_gradients, (
        "applyIoU should run the model without gradients, got a run that tracks them: use torch.inference_mode()."
    )
    assert model.training and not model.frozen.training, (
        "applyIoU should leave the training flag of each module as it was, got others: use utils.evaluation_mode."
    )

    with contextlib.suppress(Exception):
        student_code.applyIoU(model, [dataset[0], None])
    assert model.training and not model.frozen.training, (
        "applyIoU should leave the training flags as they were when it fails on a frame too, got others: use "
        "utils.evaluation_mode."
    )
