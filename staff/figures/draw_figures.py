"""Draw the notebook's figures into ``proj2_code/figures``, and Question 3's picture beside the code.

Run it with ``make figures``. Every figure is a function that returns a matplotlib figure. Its look is in ``style.py``,
the sizes of the networks are in ``architectures.py``.
"""

from staff import ROOT
from staff.figures import concepts, networks
from staff.figures.style import save, style

FIGURES = {  # in the order of the handout
    "proj2_code/figures/sigmoid.png": concepts.sigmoid,
    "proj2_code/figures/semantic_segmentation.png": concepts.semantic_segmentation,
    "proj2_code/figures/fcn.png": networks.fcn,
    "proj2_code/figures/convolution.png": concepts.convolution,
    "proj2_code/figures/fpn.png": networks.fpn,
    "proj2_code/figures/vgg19.png": networks.vgg19,
    "proj2_code/figures/resnet50.png": networks.resnet50,
    "proj2_code/figures/iou.png": concepts.iou,
    "proj2_code/iou_question.png": concepts.iou_question,
    "proj2_code/figures/pyramid_pooling.png": networks.pyramid_pooling,
}


def main() -> None:
    """Draw every figure to its path in the repository."""
    for name, draw in FIGURES.items():
        path = ROOT / name
        with style():
            save(draw(), path)
        print(f"{name}  {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
