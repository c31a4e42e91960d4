"""How the cost of scoring grows with the number and with the size of the frames, beside a straight line."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.utils.benchmark import Timer

import student_code
from staff.benchmarks.networks import bare_passes, frames
from staff.models import NETWORKS

NUMBERS = (1, 4, 16, 64, 256)
SIZES = ((192, 240), (384, 480), (768, 960), (1440, 1920))


def seconds(call: Callable[[], object]) -> float:
    return Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads()).timeit(1).mean


def draw(target: Path) -> None:
    """Measure both for the three models and draw them, each with the line through its first point."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    by_number, by_size = figure.subplots(1, 2)
    models = {name: network.load() for name, network in NETWORKS.items()}
    # One model is enough for the number of frames: the loop around all three is the same.
    name = "PSPNet-ResNet50"
    pairs = frames(NETWORKS[name].encoder, max(NUMBERS))
    scoring = partial(student_code.applyIoU, models[name])
    scoring(pairs[:1])  # warms up
    curve(by_number, NUMBERS, [seconds(partial(scoring, pairs[:n])) for n in NUMBERS], name)
    images = [np.zeros((3, *size), np.float32) for size in SIZES]
    megapixels = [height * width / 1e6 for height, width in SIZES]
    for name, model in models.items():
        curve(by_size, megapixels, [seconds(partial(bare_passes, model, [(image, None)])) for image in images], name)
    by_number.set(title="applyIoU", xlabel="frames of 384×480", ylabel="seconds")
    by_size.set(title="One forward pass", xlabel="megapixels", ylabel="seconds")
    for axes in (by_number, by_size):
        axes.set(xscale="log", yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(target, dpi=120)


def curve(axes: Axes, sizes: Sequence[float], times: Sequence[float], name: str) -> None:
    (line,) = axes.plot(sizes, times, marker="o", label=name)
    straight = [times[0] * size / sizes[0] for size in sizes]
    axes.plot(sizes, straight, linestyle="--", linewidth=1, color=line.get_color(), label=f"{name}, straight line")
