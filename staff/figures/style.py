"""The common look of all figures: page, palette, type sizes and the few shapes that the diagrams are made of.

Diagrams are laid out in tenths of an inch on a page 90 wide, origin at the lower left. A notebook shows that page about
900 pixels wide: one unit is about ten pixels.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from PIL import Image

from staff import files

WIDTH = 90
DPI = 200

# Okabe and Ito's colours can be distinguished with every kind of colour vision. Each has one meaning in all diagrams.
CAR = "#D55E00"
NOT_CAR = "#33475B"
CONV = "#0072B2"
POINTWISE = "#CC79A7"
SHRINK = "#E69F00"
GROW = "#009E73"
SEGMENT = "#56B4E9"
INK = "#1F2933"
MUTED = "#5A6673"
RULE = "#A9B4C0"
PANEL = "#F3F5F7"

# The colours of the notebook's error maps.
HIT = "#009E73"
MISSED = "#E69F00"
FALSE_ALARM = "#CC3CA0"

# CamVid's classes in the order of their ids.
CLASS_COLOURS = {
    "sky": "#BFE3F5",
    "building": "#A89F94",
    "pole": "#5B2A86",
    "road": "#5B6570",
    "pavement": "#EADBC0",
    "tree": GROW,
    "signsymbol": "#F0E442",
    "fence": "#8A6D3B",
    "car": CAR,
    "pedestrian": POINTWISE,
    "bicyclist": CONV,
    "unlabelled": INK,
}

TITLE, TEXT, SMALL = 13, 11.5, 10.5

RC = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "figure.dpi": DPI,
}

# A car seen from the side, facing right, in a unit square; the wheels reach below the body.
_CAR_BODY = [(0.0, 0.2), (0.0, 0.5), (0.03, 0.58), (0.16, 0.62), (0.27, 0.93), (0.33, 1.0), (0.62, 1.0), (0.68, 0.95)]
_CAR_BODY += [(0.82, 0.62), (0.95, 0.56), (1.0, 0.46), (1.0, 0.2)]
_CAR_GLASS = [
    [(0.23, 0.62), (0.32, 0.9), (0.46, 0.9), (0.46, 0.62)],
    [(0.5, 0.62), (0.5, 0.9), (0.63, 0.9), (0.76, 0.62)],
]
_CAR_WHEELS = [(0.23, 0.2), (0.78, 0.2)]


def style() -> mpl.rc_context:
    """Return a context in which matplotlib has its own defaults and this project's look, whatever the user has set."""
    return mpl.rc_context({**mpl.rcParamsDefault, **RC, "backend": mpl.rcParams["backend"]})


def page(height: float) -> tuple[Figure, Axes]:
    """Return a white page, 90 units wide and `height` units high, and the axes that cover it."""
    fig = Figure(figsize=(WIDTH / 10, height / 10), facecolor="white")
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    ax.set_axis_off()
    return fig, ax


def tint(colour: str, strength: float = 0.18) -> tuple[float, float, float]:
    """Return `colour` mixed with white: strength 1 is the colour itself, 0 is white."""
    red, green, blue = mpl.colors.to_rgb(colour)
    return 1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue)


def line_pitch(size: float) -> float:
    """Return the distance of two baselines, in units of the page, for type of `size` points."""
    return 1.4 * size * 10 / 72


def text(ax: Axes, x: float, y: float, words: str, size: float = TEXT, **kwargs) -> None:
    """Write the lines of `words` centred on (x, y).

    Lines stand on baselines set from their number alone, so that neighbours with and without descenders are level.
    """
    lines = words.split("\n")
    for i, line in enumerate(lines):
        middle = y + ((len(lines) - 1) / 2 - i) * line_pitch(size)
        baseline = middle - 0.36 * size * 10 / 72
        ax.text(x, baseline, line, size=size, **{"ha": "center", "va": "baseline", "zorder": 7, **kwargs})


def box(ax: Axes, x: float, y: float, w: float, h: float, colour: str, words: str, head: str = "") -> None:
    """Draw a rounded box with its centre at (x, y) and in it a line of `words`, under `head` in bold."""
    shape = "round,pad=0,rounding_size=0.8"
    corner = (x - w / 2, y - h / 2)
    ax.add_patch(
        FancyBboxPatch(corner, w, h, boxstyle=shape, facecolor=tint(colour), edgecolor=colour, lw=1.4, zorder=3)
    )
    shift = line_pitch(SMALL) / 2 if head else 0
    text(ax, x, y + shift, head, SMALL, weight="bold")
    text(ax, x, y - shift, words, SMALL)


def arrow(ax: Axes, *points: tuple[float, float], colour: str = MUTED, lw: float = 1.6) -> None:
    """Draw an arrow through `points`, with its head at the last one."""
    xs, ys = zip(*points[:-1], strict=True)
    if len(points) > 2:
        ax.plot(xs, ys, color=colour, lw=lw, solid_joinstyle="miter", zorder=2)
    head = {"arrowstyle": "-|>,head_length=0.45,head_width=0.22", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch(points[-2], points[-1], color=colour, lw=lw, joinstyle="miter", zorder=2, **head))


def plus(ax: Axes, x: float, y: float) -> None:
    """Draw an addition node, 3 units across."""
    r, arm = 1.5, 0.8
    ax.add_patch(Circle((x, y), r, facecolor="white", edgecolor=INK, lw=1.4, zorder=4))
    ax.plot([x - arm, x + arm], [y, y], color=INK, lw=1.6, zorder=5)
    ax.plot([x, x], [y - arm, y + arm], color=INK, lw=1.6, zorder=5)


def slab(ax: Axes, x: float, y: float, w: float, h: float, colour: str, faded: bool = False) -> None:
    """Draw a feature map as a block in oblique view: front face `w` thick, left edge at x, vertical centre at y."""
    dx, dy = 0.22 * h, 0.16 * h
    bottom, top = y - (h + dy) / 2, y + (h - dy) / 2
    front = [(x, bottom), (x + w, bottom), (x + w, top), (x, top)]
    lid = [(x, top), (x + w, top), (x + w + dx, top + dy), (x + dx, top + dy)]
    side = [(x + w, bottom), (x + w + dx, bottom + dy), (x + w + dx, top + dy), (x + w, top)]
    edge = {"edgecolor": RULE if faded else "white", "lw": 0.8, "zorder": 3, "ls": (0, (3, 2)) if faded else "-"}
    for corners, strength in ((side, 0.55), (lid, 0.4), (front, 0.85)):
        ax.add_patch(Polygon(corners, facecolor="white" if faded else tint(colour, strength), **edge))


def bracket(ax: Axes, x0: float, x1: float, y: float, words: str) -> None:
    """Draw a bracket from x0 to x1 at height y, open to below, with the lines of `words` above it."""
    ax.plot([x0, x0, x1, x1], [y - 1.2, y, y, y - 1.2], color=RULE, lw=1.4)
    text(ax, (x0 + x1) / 2, y + 0.9 + (words.count("\n") + 1) / 2 * line_pitch(TEXT), words)


def picture(ax: Axes, x: float, y: float, w: float, h: float, values, **kwargs) -> None:
    """Show the array `values` in the rectangle with its lower left corner at (x, y)."""
    ax.imshow(values, extent=(x, x + w, y, y + h), aspect="auto", interpolation="nearest", zorder=3, **kwargs)
    ax.set(xlim=(0, WIDTH), ylim=(0, ax.figure.get_figheight() * 10))
    frame(ax, x, y, w, h)


def frame(ax: Axes, x: float, y: float, w: float, h: float) -> None:
    """Outline the rectangle with its lower left corner at (x, y)."""
    ax.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=RULE, lw=1.2, zorder=6))


def car(ax: Axes, x: float, y: float, w: float, h: float, colour: str, flat: bool = False) -> None:
    """Draw a car from the side in the rectangle with its lower left corner at (x, y); `flat` is its mask."""

    def place(points):
        return [(x + u * w, y + v * h) for u, v in points]

    ax.add_patch(Polygon(place(_CAR_BODY), facecolor=colour, lw=0, zorder=5))
    for wheel in place(_CAR_WHEELS):
        ax.add_patch(Circle(wheel, 0.2 * h, facecolor=colour if flat else INK, lw=0, zorder=5))
        if not flat:
            ax.add_patch(Circle(wheel, 0.09 * h, facecolor="#D5DBE1", lw=0, zorder=5))
    if not flat:
        for pane in _CAR_GLASS:
            ax.add_patch(Polygon(place(pane), facecolor="#DCEFFA", lw=0, zorder=5))


def street(ax: Axes, x: float, y: float, w: float, mask: bool = False) -> None:
    """Draw a small street scene, 5 to 4 as the network's input is, lower left corner at (x, y); or its car mask."""
    h = 0.8 * w

    def rectangle(u, v, across, up, colour):
        ax.add_patch(Rectangle((x + u * w, y + v * h), across * w, up * h, facecolor=colour, lw=0, zorder=3))

    rectangle(0, 0, 1, 1, NOT_CAR if mask else "#CFE8F7")  # the sky
    if not mask:
        rectangle(0, 0.4, 0.42, 0.42, "#B9AFA6")  # two houses
        rectangle(0.42, 0.4, 0.26, 0.3, tint("#B9AFA6", 0.75))
        for column in range(4):
            for row in range(2):
                rectangle(0.05 + 0.09 * column, 0.53 + 0.14 * row, 0.05, 0.08, "#EEF4F8")
        rectangle(0.8, 0.4, 0.04, 0.2, "#7B6250")  # a tree
        ax.add_patch(Circle((x + 0.82 * w, y + 0.68 * h), 0.13 * w, facecolor="#5E9E6E", lw=0, zorder=3))
        rectangle(0, 0.33, 1, 0.08, "#D9D3CC")  # pavement and road
        rectangle(0, 0, 1, 0.33, "#7A828B")
        for start in (0.04, 0.37, 0.7):
            rectangle(start, 0.06, 0.2, 0.03, "white")
    car(ax, x + 0.16 * w, y + 0.16 * h, 0.62 * w, 0.36 * h, CAR, flat=mask)
    frame(ax, x, y, w, h)


def car_mask(rows: int, columns: int, left: float, bottom: float, w: float, h: float) -> np.ndarray:
    """Return the rows × columns bool mask of a car whose rectangle is given in pixels from the lower left corner."""
    u = (np.arange(columns) + 0.5 - left) / w
    v = (np.arange(rows)[::-1] + 0.5 - bottom) / h
    grid = np.stack(np.meshgrid(u, v), axis=-1)
    mask = mpl.path.Path(_CAR_BODY).contains_points(grid.reshape(-1, 2)).reshape(rows, columns)
    for wheel in _CAR_WHEELS:
        mask |= np.hypot(*((grid - wheel) * (w, h)).transpose(2, 0, 1)) < 0.2 * h
    return mask


def pixels(fig: Figure) -> Image.Image:
    """Return `fig` as the picture that is stored: 256 colours, which halve the file and look the same."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def save(fig: Figure, path: Path) -> None:
    """Write `fig` as a PNG that has the same bytes every time; the file is replaced only by a complete one."""
    files.replace(path, lambda unfinished: pixels(fig).save(unfinished, format="png", optimize=True))
