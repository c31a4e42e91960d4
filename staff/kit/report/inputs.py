"""What the reference copy takes from a run of the notebook: the scores in build/iou.csv and the pictures."""

import csv
import json
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from staff.models import NETWORKS

# The course's own models; the report asks about no others.
FPN_VGG19, FPN_RESNET50, PSP_RESNET50 = MODELS = tuple(name for name, model in NETWORKS.items() if model.handout)

# A figure is stored as the one or the other, as the notebook asks for.
_KINDS = ("image/png", "image/jpeg")


class ReportError(Exception):
    """Something the report needs is missing or damaged; the message says what, and what to do."""


@dataclass(frozen=True)
class Scores:
    """The IoU of every model on every frame, as `applyIoU` gave it: values in 0..1, frames in data-set order."""

    frames: Sequence[str]
    table: dict[tuple[str, str], float]

    def values(self, model: str) -> list[float]:
        """Return the IoU of `model` on every frame."""
        return [self.table[model, frame] for frame in self.frames]

    def mean(self, model: str) -> float:
        """Return the mean IoU of `model` over the frames."""
        return sum(self.values(model)) / len(self.frames)


def read_scores(path: Path) -> Scores:
    """Read build/iou.csv: columns model, frame and iou, a row for each of MODELS on each of at least three frames.

    Raises:
        ReportError: the file is missing, or a row or score in it is not as described.
    """
    if not path.is_file():
        raise ReportError(f"There are no scores yet: {path} is missing. Run `make run` first, which writes it.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"model", "frame", "iou"} <= set(reader.fieldnames or ()):
            raise ReportError(f"{path} should have the columns model,frame,iou. Run `make run` to write it again.")
        table = {}
        for row in reader:
            try:
                value = float(row["iou"])
            except (TypeError, ValueError):
                value = float("nan")
            if not 0 <= value <= 1:
                raise ReportError(
                    f"{path}, line {reader.line_num}: the IoU should be a number in 0..1, got {row['iou']!r}. "
                    "Run `make run` to write it again."
                )
            table[row["model"], row["frame"]] = value
    frames = list(dict.fromkeys(frame for _, frame in table))
    missing = [f"{model} on {frame}" for model in MODELS for frame in frames if (model, frame) not in table]
    if len(frames) < 3 or missing:
        what = f"has no score of {missing[0]}" if missing else f"should have at least three frames, got {len(frames)}"
        raise ReportError(f"{path} {what}. Run `make run` to write it again.")
    return Scores(frames, table)


class NotebookPictures:
    """The pictures that an executed notebook holds, by the id or a tag of the cell that drew them.

    Args:
        paths: notebooks in order of preference; the first that exists is read.

    Raises:
        ReportError: none exists, or the file is not a notebook.
    """

    def __init__(self, paths: Sequence[Path]):
        self.path = next((path for path in paths if path.is_file()), None)
        if self.path is None:
            names = " or ".join(str(path) for path in paths)
            raise ReportError(f"There is no executed notebook at {names}. Run `make run` first.")
        try:
            cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
            self._pictures: dict[str, list[bytes]] = {}
            for cell in cells:
                data = [output.get("data", {}) for output in cell.get("outputs", ())]
                pictures = [b64decode("".join(d[kind])) for d in data for kind in _KINDS if kind in d]
                for name in (cell.get("id"), *cell["metadata"].get("tags", ())):
                    self._pictures.setdefault(name, []).extend(pictures)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReportError(
                f"{self.path} is not a notebook that can be read. Run `make run` to write it again."
            ) from error

    def get(self, cell: str, output: int = 0) -> bytes:
        """Return the file (PNG or JPEG) that is the `output`-th picture of the cell with this id or tag.

        Raises:
            ReportError: there is no such cell, or it has fewer pictures.
        """
        if cell not in self._pictures:
            raise ReportError(
                f"{self.path} has no cell with the id or tag {cell!r}. Run `make run` to execute it anew."
            )
        pictures = self._pictures[cell]
        if output >= len(pictures):
            raise ReportError(
                f"{self.path}: cell {cell!r} holds {len(pictures)} pictures, number {output + 1} is needed. "
                "Run `make run` first, which executes the notebook."
            )
        return pictures[output]
