"""Write the sample scenes to ``data/sample``: ``python -m data.render_street`` from the project's root."""

import os
from pathlib import Path

import cv2
import numpy as np

from data.render_street import SAMPLE_SEEDS, render


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a PNG completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_sample(folder: Path) -> None:
    """Write the sample scenes as ``test/*.png`` and their labels as ``testannot/*.png``."""
    for name, seed in SAMPLE_SEEDS.items():
        image, labels = render(seed)
        write_png(folder / "test" / f"{name}.png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_png(folder / "testannot" / f"{name}.png", labels)


if __name__ == "__main__":
    write_sample(Path(__file__).resolve().parents[1] / "sample")
