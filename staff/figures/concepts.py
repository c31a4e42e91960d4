"""The figures that explain an idea with numbers or a scene: sigmoid, segmentation, convolution, IoU."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.signal import correlate2d

from data.render_street import render
from staff.figures.style import (
    CAR,
    CLASS_COLOURS,
    CONV,
    FALSE_ALARM,
    HIT,
    INK,
    MISSED,
    MUTED,
    NOT_CAR,
    RULE,
    SHRINK,
    SMALL,
    TITLE,
    WIDTH,
    car_mask,
    page,
    picture,
    text,
    tint,
)

STREET_SEED = 126

# From the farthest car to the nearest. No class has one of these colours, and neighbours also differ in lightness.
CAR_COLOURS = ["#E0006C", "#FFB199", "#AABA28", "#5A0016", "#FF5A5A", "#5F6B00", "#40E0D0", "#C1002F", "#B9A7FF"]

KERNEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
CONVOLUTION_INPUT = np.array(
    [
        [1, 2, 1, 7, 8, 8],
        [0, 1, 2, 8, 9, 8],
        [2, 1, 0, 7, 9, 9],
        [1, 0, 1, 2, 8, 8],
        [1, 1, 0, 1, 7, 9],
        [0, 2, 1, 0, 6, 8],
    ]
)


def sigmoid() -> Figure:
    """Return the curve of the sigmoid with its asymptotes and the threshold between car and not car."""
    fig = Figure(figsize=(WIDTH / 10, 4.4))
    ax = fig.add_axes((0.085, 0.145, 0.89, 0.825), xlim=(-8, 8), ylim=(-0.12, 1.12))
    z = np.linspace(-8, 8, 641)
    ax.axvspan(-8, 0, color=tint(NOT_CAR, 0.1), lw=0)
    ax.axvspan(0, 8, color=tint(CAR, 0.12), lw=0)
    for level in (0, 1):
        ax.axhline(level, color=MUTED, lw=1.2, ls=(0, (5, 4)))
    ax.plot([-8, 0, 0], [0.5, 0.5, -0.12], color=MUTED, lw=1.2, ls=(0, (1, 2)))
    ax.plot(z, 1 / (1 + np.exp(-z)), color=CONV, lw=3.2, solid_capstyle="round")
    for at, shift, side in ((-2, -0.35, "right"), (0, 0.4, "left"), (2, 0.4, "left")):
        value = 1 / (1 + np.exp(-at))
        ax.plot(at, value, "o", ms=8, mfc="white", mec=CONV, mew=2.2)
        words = f"σ({at}) = {value:.2f}".replace("-", "−")
        ax.text(at + shift, value - 0.01, words, ha=side, va="bottom" if side == "right" else "top")
    ax.text(-7.6, 0.53, "threshold 0.5", color=MUTED, va="bottom")
    ax.text(-7.6, 1.02, "never reaches 1", color=MUTED, va="bottom")
    ax.text(7.6, -0.02, "never reaches 0", color=MUTED, va="top", ha="right")
    ax.text(-4.6, 0.76, "not car", size=TITLE + 3, weight="bold", color=NOT_CAR, ha="center", va="center")
    ax.text(5.2, 0.32, "car", size=TITLE + 3, weight="bold", color=CAR, ha="center", va="center")
    ax.text(5.2, 0.62, r"$\sigma(z) = \dfrac{1}{1 + e^{-z}}$", size=TITLE + 3, ha="center", va="center")
    ax.set(xlabel="z, the model's output for one pixel before the sigmoid", ylabel="σ(z), the probability of a car")
    ax.set(xticks=range(-8, 9, 2), yticks=(0, 0.25, 0.5, 0.75, 1))
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def semantic_segmentation() -> Figure:
    """Return a rendered street scene, its semantic classes with a legend, and its cars as instances."""
    fig, ax = page(77)
    image, labels, cars = render(STREET_SEED, instances=True)
    names = list(CLASS_COLOURS)
    w, h = 43.4, 43.4 * 0.75
    left, right, upper, lower = 1, 45.6, 40.3, 1
    for x, y, words in (
        (left, upper, "image"),
        (right, upper, "semantic: one class per pixel"),
        (left, lower, "instance: every car its own label"),
        (right, lower, "semantic classes"),
    ):
        text(ax, x + w / 2, y + h + 2.2, words, weight="bold")
    picture(ax, left, upper, w, h, image)
    picture(ax, right, upper, w, h, labels, cmap=ListedColormap(CLASS_COLOURS.values()), vmin=0, vmax=len(names) - 1)
    colours = ["#DDE2E7", *CAR_COLOURS[-int(cars.max()) :]]
    picture(ax, left, lower, w, h, cars, cmap=ListedColormap(colours), vmin=0, vmax=len(colours) - 1)
    for i, identity in enumerate(np.unique(labels)):
        x, y = right + 4 + 21 * (i % 2), lower + h - 4.6 - 4.6 * (i // 2)
        ax.add_patch(Rectangle((x, y - 1.3), 3.6, 2.6, fc=CLASS_COLOURS[names[identity]], ec=RULE, lw=1))
        text(ax, x + 5, y, names[identity], ha="left")
    return fig


def convolution() -> Figure:
    """Return a 3 × 3 kernel on a 6 × 6 input, the window at one place, and its number in the 4 × 4 feature map."""
    fig, ax = page(43)
    output = correlate2d(CONVOLUTION_INPUT, KERNEL, mode="valid")  # as in a CNN, where the kernel is not flipped
    row, column, cell, middle = 1, 1, 4.6, 23.5
    _numbers(ax, 3, middle, cell, CONVOLUTION_INPUT, lambda v: tint(MUTED, 0.06 + 0.05 * v))
    _numbers(ax, 42, middle, cell, KERNEL, lambda v: tint(SHRINK, 0.3))
    _numbers(ax, 67.5, middle, cell, output, lambda v: tint(CONV, 0.02 + 0.02 * max(v, 0)))
    following = (3 + (column + 1) * cell, middle - row * cell)
    ax.add_patch(Rectangle(following, 3 * cell, 3 * cell, fill=False, ec=SHRINK, lw=2, ls=(0, (3, 2)), zorder=5))
    for x, y, n in ((3 + column * cell, middle + (3 - row) * cell, 3), (42, middle + 1.5 * cell, 3)):
        ax.add_patch(Rectangle((x, y - n * cell), n * cell, n * cell, fill=False, ec=SHRINK, lw=3.5, zorder=6))
    corner = (67.5 + column * cell, middle + (1 - row) * cell)
    ax.add_patch(Rectangle(corner, cell, cell, fill=False, ec=SHRINK, lw=3.5, zorder=6))
    for x, words in ((16.8, "input, 6 × 6"), (48.9, "kernel, 3 × 3"), (76.7, "feature map, 4 × 4")):
        text(ax, x, 41, words, weight="bold")
    text(ax, 36.3, middle, "∗", 24)
    text(ax, 61.6, middle, "=", 24)
    window = CONVOLUTION_INPUT[row : row + 3, column : column + 3]
    products = " + ".join(f"({k})·{v}" if k < 0 else f"{k}·{v}" for k, v in zip(KERNEL.flat, window.flat, strict=True))
    caption = "stride 1, no padding: the window moves on by one column (dashed), then by one row"
    text(ax, WIDTH / 2, 1.8, caption, SMALL, color=MUTED)
    text(ax, WIDTH / 2, 5.3, f"{products} = {output[row, column]}".replace("-", "−"), TITLE)
    return fig


def _numbers(ax, left, middle, cell, values, colour):
    for (i, j), value in np.ndenumerate(values):
        x, y = left + j * cell, middle + (len(values) / 2 - i - 1) * cell
        ax.add_patch(Rectangle((x, y), cell, cell, facecolor=colour(value), edgecolor="white", lw=1.2, zorder=3))
        text(ax, x + cell / 2, y + cell / 2, str(value).replace("-", "−"), TITLE)


IOU_TRUTH = car_mask(20, 36, left=4, bottom=2, w=24, h=13)
IOU_PREDICTION = car_mask(20, 36, left=7, bottom=3, w=24, h=13)


def iou() -> Figure:
    """Return a true and a predicted mask on a pixel grid, and their intersection over their union, counted."""
    fig, ax = page(38.5)
    both, either = IOU_TRUTH & IOU_PREDICTION, IOU_TRUTH | IOU_PREDICTION
    colours = ["white", HIT, MISSED, FALSE_ALARM]
    kinds = np.select([both, IOU_TRUTH, IOU_PREDICTION], [1, 2, 3], 0)
    _pixels(ax, 1.5, 7, 54, kinds, colours)
    legend = (
        (HIT, "hit: in both"),
        (MISSED, "missed: in the truth only"),
        (FALSE_ALARM, "false alarm: in the prediction only"),
    )
    for x, (colour, words) in zip((1.5, 15, 36.7), legend, strict=True):
        ax.add_patch(Rectangle((x, 2), 2.4, 2.4, fc=colour, ec=RULE, lw=1))
        text(ax, x + 3.2, 3.2, words, SMALL, ha="left")

    text(ax, 62, 22, "IoU  =", TITLE)
    ax.plot([66.5, 87.5], [22, 22], color=INK, lw=2)
    _pixels(ax, 68, 23.5, 18, both.astype(int), colours)
    _pixels(ax, 68, 10.5, 18, kinds, colours)
    text(ax, 77, 35.5, f"intersection, {both.sum()} pixels")
    text(ax, 77, 8.3, f"union, {either.sum()} pixels")
    text(ax, 77, 3.2, f"= {both.sum()} / {either.sum()} = {both.sum() / either.sum():.2f}", TITLE, weight="bold")
    return fig


def _pixels(ax, x, y, w, values, colours):
    """Show class numbers as coloured pixels with a grid between them."""
    rows, columns = values.shape
    h = w * rows / columns
    picture(ax, x, y, w, h, values, cmap=ListedColormap(colours), vmin=0, vmax=len(colours) - 1)
    for column in range(1, columns):
        ax.plot([x + column * w / columns] * 2, [y, y + h], color=RULE, lw=0.5, zorder=5)
    for row in range(1, rows):
        ax.plot([x, x + w], [y + row * h / rows] * 2, color=RULE, lw=0.5, zorder=5)


def question_masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Question 3's three 96 × 120 bool masks: the truth, Pred Mask1, and Pred Mask2 with one region too many."""
    truth = car_mask(96, 120, left=14, bottom=16, w=70, h=36)
    first = car_mask(96, 120, left=20, bottom=19, w=70, h=36)
    extra = car_mask(96, 120, left=78, bottom=66, w=32, h=17)
    return truth, first, first | extra


def iou_question() -> Figure:
    """Return the picture of Question 3."""
    fig, ax = page(31)
    masks = question_masks()
    for x, name, mask in zip((1.5, 31, 60.5), ("True mask", "Pred Mask1", "Pred Mask2"), masks, strict=True):
        text(ax, x + 14, 28.7, name, TITLE, weight="bold")
        picture(ax, x, 4.3, 28, 22.4, mask, cmap=ListedColormap([NOT_CAR, CAR]))
        if mask is not masks[0]:
            look = {"colors": "white", "linestyles": "--", "linewidths": 2, "zorder": 7}
            ax.contour(masks[0], [0.5], extent=(x, x + 28, 4.3, 26.7), origin="upper", **look)
    text(ax, 59.75, 1.8, "dashed: outline of the true mask", SMALL, color=MUTED)
    return fig
