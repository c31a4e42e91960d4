"""Extra credit: compare_psp_fpn on two cut-outs of the rendered scenes, with the real weights."""

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torchmetrics.functional.classification import binary_jaccard_index

import student_code
import utils
from proj2_unit_tests.checks import check_tensor, without_download

ROOT = utils.ROOT
TOLERANCE = 0.02  # rounding depends on the memory layout: a pixel very near 0.5 may come out as 0 or 1
HEIGHT, WIDTH = 64, 96  # small, so that the models differ: PSPNet needs the surroundings, and sees little of them


def _cut_outs() -> list[tuple[np.ndarray, np.ndarray]]:
    """HEIGHT by WIDTH pixels around the cars of the first two rendered scenes, preprocessed."""
    scenes = utils.Dataset(
        ROOT / "data" / "sample" / "test",
        ROOT / "data" / "sample" / "testannot",
        classes=["car"],
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )
    pairs = []
    for i in range(2):
        image, mask = scenes[i]
        _, rows, columns = mask.nonzero()
        top = min(max(int(np.median(rows)) - HEIGHT // 2, 0), mask.shape[1] - HEIGHT)
        left = min(max(int(np.median(columns)) - WIDTH // 2, 0), mask.shape[2] - WIDTH)
        window = np.s_[:, top : top + HEIGHT, left : left + WIDTH]
        pairs.append((image[window], mask[window]))
    return pairs


def _expected_scores(architecture: type, weights: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    with torch.device("meta"):  # takes no time, and all weights are replaced
        model = architecture("resnet50", encoder_weights=None, classes=1, activation="sigmoid").eval()
    model.load_state_dict(torch.load(ROOT / "models" / weights, map_location="cpu", weights_only=True), assign=True)
    model.float()  # the file holds 16 bits a number
    return [_score(model, image, mask) for image, mask in pairs]


def _score(model: torch.nn.Module, image: np.ndarray, mask: np.ndarray) -> float:
    prediction = model.predict(torch.from_numpy(image)[None])[0]
    return binary_jaccard_index(prediction, torch.from_numpy(mask).int(), threshold=0.5).item()


def _describe(scores: object) -> str:
    return f"a list of {len(scores)}" if isinstance(scores, list) else type(scores).__name__


def test_compare_psp_fpn():
    pairs = _cut_outs()

    with without_download("compare_psp_fpn"):
        result = student_code.compare_psp_fpn(pairs)

    assert isinstance(result, tuple | list) and len(result) == 2, (
        f"compare_psp_fpn should return a pair, psp_iou and fpn_iou, got {type(result).__name__}."
    )
    psp = _expected_scores(smp.PSPNet, "pspnet_resnet50_best_model_weights.pt", pairs)
    fpn = _expected_scores(smp.FPN, "resnet50_best_model_weights.pt", pairs)
    for name, scores, expected, other in zip(("psp_iou", "fpn_iou"), result, (psp, fpn), (fpn, psp), strict=True):
        assert isinstance(scores, list) and len(scores) == 2, (
            f"compare_psp_fpn should return as {name} a list of 2 scores for 2 frames, got {_describe(scores)}."
        )
        for i in range(2):
            check_tensor(f"compare_psp_fpn's {name}[{i}]", scores[i], ())
        right, got = np.round(expected, 3).tolist(), [round(score.item(), 3) for score in scores]
        hint = ": are the two in the wrong order?" * np.allclose(got, other, rtol=0, atol=TOLERANCE)
        assert np.allclose(got, right, rtol=0, atol=TOLERANCE), (
            f"compare_psp_fpn should return as {name} {right}, got {got}{hint}."
        )
