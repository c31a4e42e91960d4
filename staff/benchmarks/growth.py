"""How the cost of scoring grows with the number and with the size of the frames, beside a straight line."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import student_code
from staff.benchmarks.networks import bare_passes, frames
from staff.files import replace
from staff.models import NETWORKS

NUMBERS = (1, 4, 16, 64, 256)
SIZES = ((192, 256), (384, 480), (768, 960), (1440, 1920))


def draw(target: Path) -> None:
    """Measure both for the three models and draw them, each with the line through its first point."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    by_number, by_size = figure.subplots(1, 2)
    models = {name: network.load() for name, network in NETWORKS.items()}
    # One model is enough for the number of frames: the loop around all three is the same.
    name = "PSPNet-ResNet50"
    pairs = frames(max(NUMBERS))
    scoring = partial(student_code.applyIoU, models[name])
    scoring(pairs[:1])  # warms up
    curve(by_number, NUMBERS, [timeit(partial(scoring, pairs[:n]), number=1) for n in NUMBERS], name)
    images = [np.zeros((3, *size), np.float32) for size in SIZES]
    megapixels = [height * width / 1e6 for height, width in SIZES]
    for name, model in models.items():
        bare_passes(model, [(images[0], None)])  # warms up
        times = [timeit(partial(bare_passes, model, [(image, None)]), number=1) for image in images]
        curve(by_size, megapixels, times, name)
    by_number.set(title="applyIoU", xlabel="frames of 384×480", ylabel="seconds")
    by_size.set(title="One forward pass", xlabel="megapixels", ylabel="seconds")
    for axes in (by_number, by_size):
        axes.set(xscale="log", yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
    replace(target, lambda part: figure.savefig(part, format="png", dpi=120))


def curve(axes: Axes, sizes: Sequence[float], times: Sequence[float], name: str) -> None:
    (line,) = axes.plot(sizes, times, marker="o", label=name)
    straight = [times[0] * size / sizes[0] for size in sizes]
    axes.plot(sizes, straight, linestyle="--", linewidth=1, color=line.get_color(), label=f"{name}, straight line")
