"""What the notebook's last chapter, "After the handout", draws. Nothing here is graded.

In this order: the twelve classes in colours, how good each is and which are confused; the figure with the slider for
the threshold, and the curves below it; the rendered scenes and the picture that grows while a network learns. The
functions draw and write files only. What they draw is computed in the notebook, by functions of `student_code.py`.
"""

import base64
import hashlib
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm.auto import tqdm

import utils

CLASS_COLOURS = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (0, 0, 192),
    "tree": (128, 128, 0),
    "signsymbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
    "unlabelled": (0, 0, 0),
}
"""CamVid's own RGB colours, in the order of `utils.CLASSES` (Brostow et al., 2009)."""

MODEL_COLOURS = ("#0072B2", "#009E73", "#D55E00")
THRESHOLDS = torch.arange(1, 100) / 100
"""Those of the slider: 0.01 to 0.99."""


# ---------------------------------------------------------------------------------------------------------------------
# All twelve classes


def colour_classes(class_map):
    """Return a map of class ids, H×W in 0..11, as a picture H×W×3 uint8 in CamVid's colours."""
    return np.array(list(CLASS_COLOURS.values()), np.uint8)[np.asarray(class_map)]


def show_classes(image, true_map, class_map, largest):
    """Show a frame, its true and its predicted classes with a legend, and the largest probability of each pixel.

    Args:
        image: H×W×3 uint8. true_map, class_map: H×W class ids. largest: H×W probabilities.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    for ax, title in zip(axes.flat, ("Image", "True classes", "Predicted classes", "Largest probability"), strict=True):
        ax.set(title=title, xticks=[], yticks=[])
    axes[0, 0].imshow(image)
    for ax, classes in ((axes[0, 1], true_map), (axes[1, 0], class_map)):
        ax.imshow(colour_classes(classes))
        _write_names(ax, np.asarray(classes))
    figure.colorbar(axes[1, 1].imshow(largest, vmin=0, vmax=1, cmap="cividis"), ax=axes[1, 1], shrink=0.8)
    legend = [Patch(color=np.divide(colour, 255), label=name) for name, colour in CLASS_COLOURS.items()]
    figure.legend(handles=legend, loc="outside lower center", ncols=6, frameon=False)
    agree = (np.asarray(true_map) == np.asarray(class_map)).mean()
    utils.show(
        "A street scene, its true classes and the predicted ones in CamVid's colours, which agree on "
        f"{agree:.0%} of the pixels, and the largest probability, which is lowest along the borders of the classes."
    )


def _write_names(ax, class_map):
    """Write the name of each larger class where its region is widest: not everybody can distinguish twelve colours."""
    for k, name in enumerate(utils.CLASSES):
        region = np.pad(class_map == k, 1).astype(np.uint8)
        distance = cv2.distanceTransform(region, cv2.DIST_L2, 3)[1:-1, 1:-1]  # to the nearest pixel of another class
        if distance.max() > 14:
            row, column = np.unravel_index(distance.argmax(), distance.shape)
            ax.text(column, row, name, color="white", ha="center", va="center", fontsize=8)


def show_class_ious(class_ious):
    """Show the IoU of each class (name: IoU) as bars, and their mean as a line."""
    import matplotlib.pyplot as plt

    names, values = list(class_ious), [float(iou) for iou in class_ious.values()]
    mean = sum(values) / len(values)
    _, ax = plt.subplots(figsize=(10, 4), layout="constrained")
    bars = ax.bar(names, values, color=[np.divide(CLASS_COLOURS[name], 255) for name in names])
    ax.bar_label(bars, fmt="%.2f")
    ax.axhline(mean, color="black", linestyle="--", label=f"mean of the {len(names)} classes: {mean:.3f}")
    ax.set(ylim=(0, 1.08), ylabel="IoU")
    ax.tick_params(axis="x", rotation=30)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper right", bbox_to_anchor=(1, 1.12), frameon=False)
    utils.show(f"IoU of each class: {_listed(class_ious)}; the mean is {mean:.3f}.")


def show_confusion(confusion):
    """Show 12×12 counts of pixels (row: true class, column: predicted class), each row as shares of its sum."""
    import matplotlib.pyplot as plt

    counts = np.asarray(confusion, np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    _, ax = plt.subplots(figsize=(8.5, 7), layout="constrained")
    ax.imshow(shares, vmin=0, vmax=1, cmap="cividis")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "black" if share > 0.5 else "white"
            ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=9)
    ticks = range(len(utils.CLASSES))
    ax.set_xticks(ticks, utils.CLASSES, rotation=60)
    ax.set_yticks(ticks, utils.CLASSES)
    ax.set(xlabel="predicted class", ylabel="true class", title="Per cent of each true class")
    mistakes = np.where(np.eye(len(shares), dtype=bool), 0, shares)[:-1]  # nothing is a mistake where there is no label
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    utils.show(
        f"Confusion matrix of the twelve classes, most of it on the diagonal; the largest share off it is "
        f"{utils.CLASSES[true]} taken for {utils.CLASSES[predicted]}, {mistakes.max():.0%}."
    )


def _listed(values):
    return ", ".join(f"{name} {float(value):.2f}" for name, value in values.items())


# ---------------------------------------------------------------------------------------------------------------------
# Where to draw the line


def threshold_figure(image, logits, probabilities, true_mask):
    """Show one frame with a slider for the threshold; mask, IoU, precision and recall follow it.

    Args:
        image: H×W×3 uint8. logits, probabilities: H×W tensors. true_mask: H×W of 0 and 1.
    """
    from IPython.display import display

    text = "A frame, its mask at a threshold that a slider sets, and its IoU, precision and recall at that threshold."
    display({"text/html": threshold_html(image, logits, probabilities, true_mask), "text/plain": text}, raw=True)


def threshold_html(image, logits, probabilities, true_mask):
    """Return the figure as HTML with everything in it: it needs no kernel and no network."""
    template = (Path(__file__).parent / "threshold_figure.html").read_text("utf-8")
    data = json.dumps(_threshold_data(image, logits, probabilities, true_mask))
    return template.replace("%ID%", hashlib.sha256(data.encode()).hexdigest()[:12]).replace("%DATA%", data)


def _threshold_data(image, logits, probabilities, true_mask):
    """What the figure's JavaScript needs, as a dict for JSON."""
    scale = 10  # logits from -12.8 to 12.7 in steps of a tenth; beyond, the probability is 0 or 1 in five decimals
    # Store how many thresholds lie below the probability: this is exact, rounding it to 8 bits is not.
    level = torch.bucketize(probabilities.contiguous(), THRESHOLDS)
    logit = (logits * scale + 128).round().clamp(0, 255)
    maps = torch.cat([level, logit, 255 * torch.as_tensor(true_mask)]).to(torch.uint8).numpy()  # 3H×W
    return {
        "frame": _data_uri("jpeg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80]),
        "maps": _data_uri("png", maps, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        "height": image.shape[0],
        "width": image.shape[1],
        "logitScale": scale,
        "colours": utils.ERROR_COLOURS,
    }


def _data_uri(kind, picture, options):
    encoded = cv2.imencode(f".{kind}", picture, options)[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def show_threshold_curves(thresholds, curves):
    """Show IoU, precision and recall against the threshold, one line a model, and mark each model's best IoU.

    Args:
        thresholds: N numbers.
        curves: name of the model: N×3 tensor of IoU, precision and recall at the N thresholds.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharey=True)
    best = {}
    for (name, curve), colour, style in zip(curves.items(), MODEL_COLOURS, ("-", "--", "-."), strict=False):
        for ax, values in zip(axes, curve.T, strict=True):
            ax.plot(thresholds, values, style, color=colour, label=name)
        k = int(curve[:, 0].argmax())
        axes[0].plot(thresholds[k], curve[k, 0], "o", color=colour)
        best[name] = thresholds[k]
    for ax, title in zip(axes, ("IoU (the dot is the best)", "Precision", "Recall"), strict=True):
        ax.set(title=title, xlabel="threshold", ylim=(None, 1.01))
        ax.axvline(0.5, color="grey", linewidth=0.8)
        ax.grid(alpha=0.3)
    axes[1].legend(loc="lower right")
    utils.show(
        "IoU, precision and recall against the threshold: precision grows with it, recall falls, and the IoU is "
        f"flat in between. It is best at {_listed(best)}."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Watch a network learn


def write_scenes(render, seeds):
    """Write rendered scenes as frames and masks, as `utils.Dataset` reads them; return the folders (frames, masks).

    `render(seed)` returns an image H×W×3 in RGB and its class ids H×W. The folders are deleted when Python ends.
    """
    folder = tempfile.TemporaryDirectory(prefix="scenes-")
    _KEPT.append(folder)
    frames, masks = Path(folder.name, "frames"), Path(folder.name, "masks")
    frames.mkdir()
    masks.mkdir()
    for seed in tqdm(seeds, desc="Scenes"):
        image, labels = render(seed)
        cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tofile(frames / f"{seed}.png")
        cv2.imencode(".png", labels)[1].tofile(masks / f"{seed}.png")
    return frames, masks


_KEPT = []  # Python deletes a TemporaryDirectory as soon as no variable holds it


def milestones(steps):
    """Return the steps at which a picture is taken: 0, 1, 2, 5, 10, 20, 50, ... and the last."""
    return sorted({0, steps} | {k * 10**e for e in range(6) for k in (1, 2, 5) if k * 10**e < steps})


class Film:
    """A picture that grows while a network learns: predictions for one frame, the loss, and the IoU.

    Args:
        image: H×W×3 uint8, the frame.
        true_picture: H×W×3 or H×W, what the network is to predict for it.
        iou_name: what the IoU is of, such as "IoU of car on held-out scenes".
    """

    def __init__(self, image, true_picture, iou_name):
        self.image, self.true_picture, self.iou_name = image, true_picture, iou_name
        self.losses, self.ious, self.pictures = {}, {}, {}
        self.handle = None

    def add_loss(self, step, loss):
        """Note the loss of a step, a float."""
        self.losses[step] = loss

    def add_picture(self, step, picture, iou):
        """Note the IoU and the prediction before a step, and draw the film anew."""
        self.pictures[step], self.ious[step] = picture, float(iou)
        self._show()

    def _show(self):
        import matplotlib.pyplot as plt
        from IPython import get_ipython
        from IPython.display import display

        figure = self._draw()
        if get_ipython() is None:  # as in a test: there is nothing to show it on
            plt.close(figure)
            return
        data, _ = get_ipython().display_formatter.format(figure)
        metadata = {kind: {"alt": self._text()} for kind in data if kind.startswith("image/")}
        plt.close(figure)
        if self.handle is None:
            self.handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self.handle.update(data, metadata=metadata, raw=True)

    def _draw(self):
        """Return the figure: the pictures in rows of four, the truth and the scene last, and the curves below."""
        import matplotlib.pyplot as plt

        shown = [(f"after {step} step{'s' * (step != 1)}", picture) for step, picture in self.pictures.items()]
        shown += [("the truth", self.true_picture), ("the scene", self.image)]
        rows = -(-len(shown) // 4)
        figure = plt.figure(figsize=(12, 2.5 * rows + 2.6), layout="constrained")
        grid = figure.add_gridspec(rows + 1, 4)
        for k, (title, picture) in enumerate(shown):
            ax = figure.add_subplot(grid[k // 4, k % 4])
            ax.imshow(picture, **({} if np.ndim(picture) == 3 else {"vmin": 0, "vmax": 1, "cmap": "cividis"}))
            ax.set(title=title, xticks=[], yticks=[])
        for columns, values, name in ((slice(0, 2), self.losses, "loss"), (slice(2, 4), self.ious, self.iou_name)):
            ax = figure.add_subplot(grid[rows, columns])
            ax.plot(list(values), list(values.values()), "o-", markersize=3, color=MODEL_COLOURS[0])
            ax.set(title=name, xlabel="steps", ylim=(0, None if name == "loss" else 1))
            ax.grid(alpha=0.3)
        return figure

    def _text(self):
        first, last = min(self.ious), max(self.ious)
        return (
            f"Predictions for one held-out scene beside the truth, from noise after {first} steps to its shapes after "
            f"{last} steps; meanwhile the {self.iou_name} goes from {self.ious[first]:.2f} to {self.ious[last]:.2f}."
        )
