"""The diagrams of networks: FCN, FPN, VGG-19, ResNet-50 and PSPNet's pyramid pooling."""

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from scipy.ndimage import zoom

from staff.figures import architectures as sizes
from staff.figures.architectures import shape
from staff.figures.style import (
    CONV,
    GROW,
    INK,
    MUTED,
    NOT_CAR,
    PANEL,
    POINTWISE,
    RULE,
    SEGMENT,
    SHRINK,
    SMALL,
    arrow,
    box,
    bracket,
    page,
    picture,
    plus,
    slab,
    street,
    text,
    tint,
)


def fcn() -> Figure:
    """Return the FCN-32s of Long et al. on VGG-16: maps that shrink, convolutions instead of FC layers, upsampling."""
    fig, ax = page(35)
    middle = 17
    columns = [  # x, thickness, height, channels, size, colour
        (26.5, 0.9, 12.5, "64", "1/2", CONV),
        (32.5, 1.2, 10.5, "128", "1/4", CONV),
        (38, 1.6, 8.8, "256", "1/8", CONV),
        (43.2, 2.1, 7.2, "512", "1/16", CONV),
        (48.6, 2.1, 5.8, "512", "1/32", CONV),
        (55.3, 3.4, 5.8, "4096", "1/32", POINTWISE),
        (63.2, 3.4, 5.8, "4096", "1/32", POINTWISE),
        (70.6, 0.7, 5.8, "21", "1/32", POINTWISE),
    ]
    for x, thick, high, channels, size, colour in columns:
        slab(ax, x, middle, thick, high, colour)
        _under(ax, x + thick / 2 + 0.11 * high, channels, size)
    for x, classes in ((9.5, "3"), (76.7, "21")):
        street(ax, x, middle - 5, 12.5, mask=classes == "21")
        _under(ax, x + 6.25, classes, "1")
    text(ax, 0.8, 6.4, "channels", SMALL, ha="left", color=MUTED)
    text(ax, 0.8, 3.4, "height, width", SMALL, ha="left", color=MUTED)

    arrow(ax, (22.4, middle), (26.2, middle))
    for (x, thick, high, *_), (following, *_) in pairwise(columns):
        arrow(ax, (x + thick + 0.22 * high + 0.1, middle), (following - 0.2, middle))
    arrow(ax, (72.9, middle), (76.4, middle), colour=GROW)
    for x, words in ((53, "7×7"), (61.3, "1×1"), (69, "1×1")):
        text(ax, x, middle + 5.2, words, SMALL, color=MUTED)
    text(ax, 74.3, middle + 5.2, "×32", SMALL, color=MUTED)

    text(ax, 0.8, 30.55, "FCN-32s on VGG-16", ha="left", weight="bold")
    text(ax, 0.8, 28.3, "for 21 classes", SMALL, ha="left", color=MUTED)
    bracket(ax, 26.5, 52, 26.3, "convolution and pooling:\nsmaller maps, more channels")
    bracket(ax, 54.4, 72.8, 26.3, "convolutions instead of\nfully connected layers")
    bracket(ax, 75.8, 89.1, 26.3, "upsampling: one\nclass per pixel")
    return fig


def _under(ax: Axes, x: float, channels: str, size: str) -> None:
    text(ax, x, 6.4, channels, SMALL)
    text(ax, x, 3.4, size, SMALL, color=MUTED)


def fpn() -> Figure:
    """Return the FPN of this project with the shapes of its maps for a 384 × 480 input and a ResNet-50 encoder."""
    fig, ax = page(68.5)
    rows = {2: 25, 3: 36, 4: 47, 5: 58}
    for x, words, more in (
        (9.5, "encoder", "bottom-up"),
        (36, "pyramid", "top-down"),
        (59, "segmentation blocks", "all to one size"),
        (82.6, "sum and head", "to the mask"),
    ):
        text(ax, x, 65.8, words, weight="bold")
        text(ax, x, 63.4, more, SMALL, color=MUTED)

    for level, y in rows.items():
        box(ax, 9.5, y, 16, 6.4, CONV, shape(sizes.RESNET50_LAYERS[level - 2]), head=f"c{level}")
        arrow(ax, (17.5, y), (24.3 if level < 5 else 29, y))
        box(ax, 20.6, y, 4, 2.6, POINTWISE, "1×1")
        box(ax, 36, y, 14, 6.4, GROW, shape(sizes.FPN_PYRAMID[level - 2]), head=f"p{level}")
        arrow(ax, (43, y), (50.5, y))
        box(ax, 59, y, 17, 6.4, SEGMENT, shape(sizes.FPN_SUM), head=_steps(sizes.FPN_UPSAMPLINGS[level - 2]))
        ax.plot([67.5, 69, 69], [y, y, rows[5]], color=MUTED, lw=1.6, zorder=2)
        if level < 5:
            plus(ax, 25.8, y)
            arrow(ax, (27.3, y), (29, y))
            arrow(ax, (36, y + 7.8), (36, y + 5.5), (25.8, y + 5.5), (25.8, y + 1.5), colour=GROW)
            box(ax, 31, y + 5.5, 4, 2.6, GROW, "×2")
            arrow(ax, (9.5, y + 3.2), (9.5, y + 7.8), colour=SHRINK)
            text(ax, 10.6, y + 5.4, "÷2", SMALL, ha="left", color=MUTED)

    plus(ax, 72.6, rows[5])
    arrow(ax, (67.5, rows[5]), (71.1, rows[5]))
    arrow(ax, (74.1, rows[5]), (76.1, rows[5]))
    box(ax, 82.6, rows[5], 13, 6.4, SEGMENT, shape(sizes.FPN_SUM), head="sum")
    scoring = f"conv {sizes.FPN_HEAD_KERNEL}×{sizes.FPN_HEAD_KERNEL}"
    box(ax, 82.6, rows[4], 13, 6.4, POINTWISE, shape((1, *sizes.FPN_SUM[1:])), head=scoring)
    enlarging = f"×{sizes.FPN_HEAD_UPSAMPLING}, {sizes.FPN_HEAD_MODE}"
    box(ax, 82.6, rows[3], 13, 6.4, GROW, shape(sizes.OUTPUT), head=enlarging)
    box(ax, 82.6, rows[2], 13, 6.4, SEGMENT, shape(sizes.OUTPUT), head="sigmoid")
    for level in (5, 4, 3):
        arrow(ax, (82.6, rows[level] - 3.2), (82.6, rows[level - 1] + 3.2))

    street(ax, 3, 5.4, 13)
    text(ax, 9.5, 3, f"input, {shape(sizes.INPUT)}", SMALL)
    arrow(ax, (9.5, 15.8), (9.5, 21.8), colour=SHRINK)
    text(ax, 10.6, 19, "÷4", SMALL, ha="left", color=MUTED)
    street(ax, 76.1, 5.4, 13, mask=True)
    text(ax, 82.6, 3, "probability > 0.5", SMALL)
    arrow(ax, (82.6, 21.8), (82.6, 16))
    _fpn_legend(ax)
    return fig


def _steps(upsamplings: int) -> str:
    return f"{upsamplings} × (conv 3×3, ×2)" if upsamplings > 1 else "conv 3×3" + ", ×2" * upsamplings


def _fpn_legend(ax: Axes) -> None:
    ax.add_patch(FancyBboxPatch((20.5, 2), 52, 18, boxstyle="round,pad=0,rounding_size=0.8", fc=PANEL, ec="none"))
    box(ax, 24.5, 17.6, 4, 2.6, POINTWISE, "1×1")
    text(ax, 28, 17.6, "convolution to 256 channels, same height and width", SMALL, ha="left")
    plus(ax, 24.5, 14.2)
    text(ax, 28, 14.2, "sum, element by element", SMALL, ha="left")
    box(ax, 24.5, 10.8, 4, 2.6, GROW, "×2")
    text(ax, 28, 10.8, f"{sizes.FPN_PYRAMID_MODE} neighbour: each value is copied to 2 × 2", SMALL, ha="left")
    words = f"conv 3×3, ×2: with group norm and ReLU; this ×2 is {sizes.FPN_BLOCK_MODE}"
    text(ax, 22.5, 7.4, words, SMALL, ha="left")
    text(ax, 22.5, 4.3, "With VGG-19, c4 and c5 have 512 channels; the rest is the same", SMALL, ha="left")


def vgg19() -> Figure:
    """Return VGG-19 as an encoder: its five blocks of convolutions, the poolings, and what the FPN takes from it."""
    fig, ax = page(50)
    middle, centres, heights = 32, (19, 30, 41, 52.5, 64, 75), (17, 13.4, 10.6, 8.2, 6.4, 5)
    thickness = (0.8, 1, 1.2, 1.5, 1.5)
    _encoder_input(ax, middle, 18)
    right = 12.5
    for block, count in enumerate(sizes.VGG19_CONVOLUTIONS):
        pooled = heights[block + 1] if block < 4 else 0
        left = _slabs(ax, centres[block], middle, count, thickness[block], heights[block], pooled)
        arrow(ax, (right, middle), (left - 0.2, middle))
        right = 2 * centres[block] - left + 0.2
        channels, height, width = sizes.VGG19_BLOCKS[block]
        lines = f"{count} conv 3×3\n{channels} channels\n{height} × {width}"
        _caption(ax, centres[block], 18, f"block {block + 1}", lines, "" if block < 2 else f"c{block}")
    slab(ax, centres[5] - 0.9, middle, 0.7, heights[5], SHRINK)
    arrow(ax, (right, middle), (centres[5] - 1.1, middle))
    channels, height, width = sizes.VGG19_LAST
    _caption(ax, centres[5], 18, "pool", f"÷2\n{channels} channels\n{height} × {width}", "c5")
    _left_out(ax, middle, (82.2, 84, 85.8), "3 fully\nconnected,\nleft out", (76.9, 81.9), 14.4)
    _pooling_legend(ax, 46.5)
    bracket(
        ax, centres[0] - 3.5, centres[4] + 5, 43, f"{sum(sizes.VGG19_CONVOLUTIONS)} convolutions, each followed by ReLU"
    )
    bracket(ax, 81.5, 88.8, 43, "+ 3 = 19")
    text(ax, 34.5, 4.2, "taken by the FPN decoder", SMALL, ha="right", color=MUTED)
    return fig


def _encoder_input(ax: Axes, middle: float, y: float) -> None:
    street(ax, 0.8, middle - 4.4, 11)
    channels, height, width = sizes.INPUT
    _caption(ax, 6.3, y, "input", f"RGB\n{channels} channels\n{height} × {width}")


def _pooling_legend(ax: Axes, y: float) -> None:
    slab(ax, 1, y, 0.7, 3, SHRINK)
    text(ax, 3.2, y, "max pooling, ÷2", SMALL, ha="left", color=MUTED)


def _caption(ax: Axes, x: float, y: float, head: str, lines: str, taken: str = "") -> None:
    text(ax, x, y, head, SMALL, weight="bold")
    text(ax, x, y - 5.2, lines, SMALL)
    if taken:
        arrow(ax, (x, y - 9), (x, y - 12.2))
        box(ax, x, y - 13.8, 5, 3, GROW, taken)


def _slabs(
    ax: Axes, x: float, y: float, count: int, thick: float, high: float, pooled: float = 0, marked: int = -1
) -> float:
    """Draw a group of slabs around x, with the pooling that follows it if there is one; return its left edge."""
    pitch = thick + 0.3
    left = x - (count * pitch - 0.3 + 0.22 * high) / 2
    for i in range(count):
        slab(ax, left + i * pitch, y, thick, high, NOT_CAR if i == marked else CONV)
    if pooled:
        slab(ax, left + count * pitch, y - 0.08 * (high - pooled), 0.7, pooled, SHRINK)
    return left


def _left_out(ax: Axes, middle: float, xs: tuple[float, ...], words: str, way: tuple[float, float], y: float) -> None:
    """Draw the layers of the classifier that the encoder does not use."""
    ax.plot(way, (middle, middle), color=RULE, lw=1.6, ls=(0, (2, 2)))
    for x in xs:
        slab(ax, x, middle, 0.8, 7, RULE, faded=True)
    text(ax, (xs[0] + xs[-1]) / 2 + 1, y, words, SMALL, color=MUTED)


def resnet50() -> Figure:
    """Return ResNet-50 as an encoder, its stem and four layers, and one bottleneck enlarged."""
    fig, ax = page(78)
    middle, centres, heights = 63, (18.5, 31, 43.5, 57, 70), (13.4, 10.6, 8.2, 6.4, 5)
    _encoder_input(ax, middle, 51)
    left = _slabs(ax, centres[0], middle, 1, 1, heights[0], heights[1])
    arrow(ax, (12.2, middle), (left - 0.2, middle))
    channels, height, width = sizes.RESNET50_STEM
    _caption(ax, centres[0], 51, "stem", f"conv 7×7, ÷2\n{channels} channels\n{height} × {width}")
    right = 2 * centres[0] - left + 0.9
    for layer, count in enumerate(sizes.RESNET50_BOTTLENECKS, 1):
        left = _slabs(ax, centres[layer], middle, count, 1.3, heights[layer], marked=1 if layer == 1 else -1)
        arrow(ax, (right, middle), (left - 0.2, middle))
        right = 2 * centres[layer] - left + 0.2
        channels, height, width = sizes.RESNET50_LAYERS[layer - 1]
        lines = f"{count} bottlenecks\n{channels} channels\n{height} × {width}"
        _caption(ax, centres[layer], 51, f"layer{layer}", lines, f"c{layer + 1}")
    _left_out(ax, middle, (82,), "average\nand 1 fully\nconnected,\nleft out", (right, 81.7), 46.2)
    text(ax, 26, 37.2, "taken by the FPN decoder", SMALL, ha="right", color=MUTED)
    _pooling_legend(ax, 75.5)
    blocks, each = sum(sizes.RESNET50_BOTTLENECKS), len(sizes.BOTTLENECK_KERNELS)
    words = f"1 + {blocks} × {each} = {1 + each * blocks} convolutions (shortcuts not counted)"
    bracket(ax, centres[0] - 3, centres[4] + 4, 72.3, words)
    bracket(ax, 79, 87.5, 72.3, "+ 1 = 50")
    _bottleneck(ax)
    return fig


def _bottleneck(ax: Axes) -> None:
    """Draw the second bottleneck of layer1, enlarged, in the lower part of the page."""
    y = 11.5
    ax.add_patch(
        FancyBboxPatch((1.5, 2), 87, 28, boxstyle="round,pad=0,rounding_size=1", fc=PANEL, ec="none", zorder=0)
    )
    slab(ax, 4, 26.5, 1, 3, NOT_CAR)
    text(ax, 7, 26.5, "one bottleneck, the second of layer1", weight="bold", ha="left")
    channels, (_, height, width) = sizes.BOTTLENECK_CHANNELS, sizes.RESNET50_LAYERS[0]
    slab(ax, 6, y, 3, 9, CONV)
    slab(ax, 79, y, 3, 9, CONV)
    xs = (26, 41.5, 57)
    for x, kernel, out in zip(xs, sizes.BOTTLENECK_KERNELS, channels[1:], strict=True):
        colour = POINTWISE if kernel == 1 else CONV
        box(ax, x, y, 12, 7.4, colour, f"{out} channels", head=f"conv {kernel}×{kernel}")
        text(ax, x, 5, "batch norm" + ", ReLU" * (x != xs[-1]), SMALL, color=MUTED)
    arrow(ax, (11.2, y), (20, y))
    arrow(ax, (32, y), (35.5, y))
    arrow(ax, (47.5, y), (51, y))
    arrow(ax, (63, y), (66.7, y))
    plus(ax, 68.2, y)
    arrow(ax, (69.7, y), (78.8, y))
    arrow(ax, (14.5, y), (14.5, 21), (68.2, 21), (68.2, y + 1.5), colour=INK, lw=2.4)
    text(
        ax,
        43,
        22.6,
        "skip connection: the input itself (in a layer's first bottleneck, 1×1 convolution and batch norm)",
        SMALL,
    )
    text(ax, 73.8, y + 1.8, "ReLU", SMALL)
    for x in (8.5, 81.5):
        text(ax, x, 4.2, shape((channels[0], height, width)), SMALL)


def pyramid_pooling() -> Figure:
    """Return PSPNet's pyramid pooling: one feature map averaged on four grids, brought back and stacked."""
    fig, ax = page(70)
    channels, height, width = sizes.PSP_FEATURES
    features = _feature_map(height, width)
    look = {"cmap": "viridis", "vmin": 0, "vmax": 1}
    rows, w, h = (57, 45, 33, 21), 11, 8.8
    for x, words in ((8, "feature map"), (27.5, "averages"), (59.5, f"back to {height} × {width}"), (81.5, "stacked")):
        text(ax, x, 66.5, words, weight="bold")

    street(ax, 2.5, rows[0] - h / 2, w)
    arrow(ax, (8, rows[0] - h / 2), (8, 44.1))
    text(ax, 8.8, 49, "ResNet-50", SMALL, ha="left", color=MUTED)
    text(ax, 8.8, 46.7, "to layer2", SMALL, ha="left", color=MUTED)
    picture(ax, 2.5, 35, w, h, features, **look)
    text(ax, 8, 33, shape(sizes.PSP_FEATURES), SMALL)
    ax.plot([16.8, 16.8], [rows[0], 9.4], color=MUTED, lw=1.6)
    ax.plot([13.5, 16.8], [39.4, 39.4], color=MUTED, lw=1.6)

    for y, n in zip(rows, sizes.PSP_GRIDS, strict=True):
        averages = features.reshape(n, height // n, n, width // n).mean(axis=(1, 3))
        arrow(ax, (16.8, y), (21.8, y))
        text(ax, 19.2, y + 1.8, f"{n}×{n}", SMALL)
        picture(ax, 22, y - h / 2, w, h, averages, **look)
        for k in range(1, n):
            ax.plot([22 + k * w / n] * 2, [y - h / 2, y + h / 2], color="white", lw=1, zorder=5)
            ax.plot([22, 22 + w], [y - h / 2 + k * h / n] * 2, color="white", lw=1, zorder=5)
        arrow(ax, (33, y), (36.3, y))
        box(ax, 43, y, 13, 6.4, POINTWISE, f"{sizes.PSP_BRANCH_CHANNELS} channels", head="conv 1×1")
        arrow(ax, (49.5, y), (53.8, y), colour=GROW)
        # Bilinear with aligned corners, as in PSPNet.
        picture(ax, 54, y - h / 2, w, h, zoom(averages, (height / n, width / n), order=1), **look)
        ax.plot([65, 70], [y, y], color=MUTED, lw=1.6)
    ax.plot([16.8, 70], [9.4, 9.4], color=MUTED, lw=1.6)
    text(ax, 43, 11.4, f"the feature map itself, {channels} channels", SMALL)
    ax.plot([70, 70], [9.4, rows[0]], color=MUTED, lw=1.6)
    arrow(ax, (70, rows[0]), (74.8, rows[0]))
    _psp_head(ax)
    return fig


def _psp_head(ax: Axes) -> None:
    """Draw the stacked maps, the convolutions after them and the mask, down the right edge of the page."""
    bottom, scale = 52.5, 9 / sizes.PSP_CONCATENATED[0]
    for channels in (sizes.PSP_FEATURES[0], *[sizes.PSP_BRANCH_CHANNELS] * len(sizes.PSP_GRIDS)):
        high = channels * scale
        ax.add_patch(
            Rectangle((75, bottom), 13, high, fc=tint(CONV, 0.55 if channels > 128 else 0.3), ec="white", lw=1.5)
        )
        bottom += high
    text(ax, 81.5, 63.1, shape(sizes.PSP_CONCATENATED), SMALL)
    steps = (
        (43.5, POINTWISE, shape(sizes.PSP_BEFORE_HEAD), "conv 1×1"),
        (33.5, CONV, shape((1, *sizes.PSP_BEFORE_HEAD[1:])), f"conv {sizes.PSP_HEAD_KERNEL}×{sizes.PSP_HEAD_KERNEL}"),
        (23.5, GROW, shape(sizes.OUTPUT), f"×{sizes.PSP_HEAD_UPSAMPLING}, sigmoid"),
    )
    above = 52.5
    for y, colour, size, head in steps:
        arrow(ax, (81.5, above), (81.5, y + 3.2))
        box(ax, 81.5, y, 13, 6.4, colour, size, head=head)
        above = y - 3.2
    arrow(ax, (81.5, above), (81.5, 15.6))
    street(ax, 75, 5, 13, mask=True)


def _feature_map(height: int, width: int) -> np.ndarray:
    """Return a smooth made-up feature map in 0..1, high where a car would be."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    hills = ((0.38, 0.68, 0.3, 0.24, 1.0), (0.9, 0.4, 0.2, 0.3, 0.75), (0.1, 0.12, 0.2, 0.12, 0.5))
    field = sum(top * np.exp(-(((x - u) / a) ** 2) - ((y - v) / b) ** 2) for u, v, a, b, top in hills)
    return field / field.max()
