"""Score the models on a folder of CamVid's format: `python -m staff.evaluate --images DIR --masks DIR`.

Without folders: the handout's test frames, or the rendered sample where CamVid has not been fetched. Leaves
`scores.csv` (per frame and, as frame "all", over the data set: IoU, precision, recall) and `worst_MODEL.png`, a contact
sheet of each model's worst frames, in `build/evaluation/`.

With `--classes`: the FPN-ResNet50 with the head for all twelve classes, the IoU of each class, their mean and the
confusion matrix (`confusion.csv`).
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryJaccardIndex, BinaryPrecision, BinaryRecall
from tqdm import tqdm

import student_code
import utils
from staff import ROOT, classes
from staff.files import csv_text, write_picture, write_text
from staff.models import NETWORKS


def build_metrics() -> MetricCollection:
    """Scores of one frame when called with its masks; of all frames, their pixels summed, from `compute`.

    IoU is 1 if both masks are empty, precision is 1 if the predicted one is, recall is 1 if the true one is.
    """
    kinds = {"iou": BinaryJaccardIndex, "precision": BinaryPrecision, "recall": BinaryRecall}
    return MetricCollection({name: kind(zero_division=1, validate_args=False) for name, kind in kinds.items()})


@torch.inference_mode()
def predictions(
    model: nn.Module, dataset: utils.Dataset, indices: Iterable[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(index, predicted mask, true mask) of these pairs, masks as H×W bool."""
    like = next(model.parameters())
    with utils.evaluation_mode(model):
        for index in indices:
            image, mask = dataset[index]
            x = torch.from_numpy(image)[None].to(like).clone(memory_format=torch.channels_last)
            yield index, model(x)[0, 0].cpu().numpy() > 0.5, mask[0] > 0.5


def build_dataset(images: Path, masks: Path) -> utils.Dataset:
    """The cars of a folder, normalised as in training: by ImageNet's mean and std, whatever the encoder."""
    return utils.Dataset(
        images,
        masks,
        classes=["car"],
        augmentation=utils.get_validation_augmentation(),
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )


def evaluate(model: nn.Module, dataset: utils.Dataset, label: str) -> tuple[list[dict], dict]:
    """IoU, precision and recall of every frame, in the order of the data set, and of all frames together."""
    metrics = build_metrics()
    pairs = predictions(model, dataset, tqdm(range(len(dataset)), desc=label))
    frames = [metrics(*map(torch.from_numpy, masks)) for _, *masks in pairs]
    return frames, metrics.compute()


def contact_sheet(model: nn.Module, dataset: utils.Dataset, indices: list[int], target: Path) -> None:
    """Error maps of some frames over the frames themselves, three in a row, each with its name."""
    plain = utils.Dataset(dataset.images_fps[0].parent, dataset.masks_fps[0].parent, ["car"], dataset.augmentation)
    tiles = []
    for i, predicted, true in predictions(model, dataset, indices):
        tile = utils.error_map(predicted, true, plain[i][0])
        cv2.putText(tile, dataset.names[i], (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    height, width = np.max([tile.shape[:2] for tile in tiles], axis=0)
    tiles = [
        cv2.copyMakeBorder(tile, 0, height - len(tile), 0, width - tile.shape[1], cv2.BORDER_CONSTANT) for tile in tiles
    ]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 3)
    sheet = np.vstack([np.hstack(tiles[i : i + 3]) for i in range(0, len(tiles), 3)])
    write_picture(target, sheet[..., ::-1])


def evaluate_all(images: Path, masks: Path, out: Path, worst: int = 6) -> list[dict]:
    """Evaluate all models, write the CSV and the contact sheets to ``out``, return the CSV's rows."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, network in NETWORKS.items():
        model, dataset = network.load(), build_dataset(images, masks)
        frames, together = evaluate(model, dataset, name)
        for frame, scores in zip([*dataset.names, "all"], [*frames, together], strict=True):
            rows.append({"model": name, "frame": frame} | {key: f"{value:.4f}" for key, value in scores.items()})
        worst_first = sorted(range(len(frames)), key=lambda i: frames[i]["iou"])
        contact_sheet(model, dataset, worst_first[:worst], out / f"worst_{name}.png")
    write_text(out / "scores.csv", csv_text(list(rows[0]), rows))
    return rows


def evaluate_classes(images: Path, masks: Path, out: Path) -> str:
    """Score the twelve classes, write the confusion matrix to ``out``, return the report."""
    matrix = classes.confusion_matrix(utils.with_street_classes(student_code.load_FPN_resnet50()), images, masks)
    out.mkdir(parents=True, exist_ok=True)
    classes.write_confusion(matrix, out / "confusion.csv")
    return classes.report(matrix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of frames")
    parser.add_argument("--masks", type=Path, help="folder of their label images")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "evaluation")
    parser.add_argument("--classes", action="store_true", help="score all twelve classes, not the cars")
    arguments = parser.parse_args()
    if (arguments.images is None) != (arguments.masks is None):
        parser.error("--images and --masks belong together: name both or neither.")
    images, masks = (arguments.images, arguments.masks) if arguments.images else utils.get_test_dirs()
    try:
        if arguments.classes:
            print(evaluate_classes(images, masks, arguments.out))
        else:
            print_scores(evaluate_all(images, masks, arguments.out))
            print(f"All frames: {arguments.out / 'scores.csv'}")
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def print_scores(rows: list[dict]) -> None:
    """Print the scores of every frame, or of all frames together where there are many."""
    widest = max(map(len, NETWORKS)) + 2
    print(f"\n{'model':{widest}}{'frame':24}{'IoU':>8}{'precision':>11}{'recall':>8}")
    for entry in rows:
        if entry["frame"] == "all" or len(rows) <= 30:
            print("{model:{widest}}{frame:24}{iou:>8}{precision:>11}{recall:>8}".format(widest=widest, **entry))


if __name__ == "__main__":
    main()
