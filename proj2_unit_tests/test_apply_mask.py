"""TO-DO 3: apply_mask_to_image on a picture of two by three pixels."""

import numpy as np
import torch

import student_code
from proj2_unit_tests.checks import check_tensor

IMAGE = np.array(
    [
        [[10, 20, 30], [200, 100, 50], [255, 255, 255]],
        [[0, 0, 0], [90, 180, 240], [130, 5, 250]],
    ],
    dtype=np.uint8,
)
MASK = np.array([[[1], [0], [1]], [[1], [0], [1]]], dtype=np.float32)


def test_final_seg_range():
    final_seg = student_code.apply_mask_to_image(IMAGE.copy(), MASK.copy())

    check_tensor("apply_mask_to_image(image, mask)", final_seg, IMAGE.shape)
    assert final_seg.dtype == torch.int64, (
        f"apply_mask_to_image should return the dtype torch.int64, got {final_seg.dtype}."
    )
    low, high = final_seg.min().item(), final_seg.max().item()
    assert low >= 0 and high <= 255, (
        f"apply_mask_to_image should return values from 0 to 255, got values from {low} to {high}: clip them."
    )


def test_final_seg_values():
    image, mask = IMAGE.copy(), MASK.copy()
    final_seg = student_code.apply_mask_to_image(image, mask)

    assert np.array_equal(image, IMAGE) and np.array_equal(mask, MASK), (
        "apply_mask_to_image should leave its arguments as they were, got others: change a copy."
    )
    expected = torch.from_numpy(IMAGE.astype(np.int64))
    expected[..., 0] = torch.where(torch.from_numpy(MASK[..., 0]) == 1, 255, expected[..., 0])
    check_tensor("apply_mask_to_image(image, mask)", final_seg, IMAGE.shape)
    for row, column in np.ndindex(MASK.shape[:2]):
        right, got = expected[row, column].tolist(), final_seg[row, column].tolist()
        kind = "a masked" if MASK[row, column, 0] else "an unmasked"
        wrapped = got[0] == (int(IMAGE[row, column, 0]) + 255) % 256 != right[0]
        hint = ": after 255, uint8 starts again at 0, so convert the image to a wider type first" * wrapped
        assert got == right, (
            f"apply_mask_to_image should turn {kind} pixel {IMAGE[row, column].tolist()} into {right}, got {got}{hint}."
        )
