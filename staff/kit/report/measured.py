"""What an answer is, the numbers that answers quote, and the answers that depend on measured scores.

Which model is ahead, by how much and where is computed. What may explain it is said in words that hold whichever
model is ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, MODELS, PSP_RESNET50, Scores
from staff.models import NETWORKS

Paragraphs = Sequence[str]
Rows = Sequence[Sequence[str]]

PARAMETERS = {name: NETWORKS[name].parameters for name in MODELS}
MULT_ADDS_G = {name: NETWORKS[name].mult_adds_g for name in MODELS}

# What PSPNet's encoder has and never runs, layer3 and layer4: it takes the maps after layer2.
IDLE_PARAMETERS = 22_063_104
IDLE = f"{IDLE_PARAMETERS / 1e6:.2f} M of its {PARAMETERS[PSP_RESNET50] / 1e6:.2f} M"

# Two models whose mean IoUs differ by less are called level.
LEVEL = 0.005


@dataclass(frozen=True)
class Answer:
    """The answer to one slide; **bold** and lowered_{...} words are marked.

    Attributes:
        texts: the paragraphs for each place on the slide that takes an answer.
        source: where the answer comes from.
        tables: for each table of the slide, the words for its empty cells, row by row.
        frame: the number of the test frame to show, where the notebook's cell shows one picture for each.
    """

    texts: Sequence[Paragraphs]
    source: str = ""
    tables: Sequence[Rows] = ()
    frame: int | None = None


def measured_answers(scores: Scores) -> dict[str, Answer]:
    """Return the answers that depend on the scores, by the part of the report."""
    return {
        "3.2": Answer(
            [_vgg_against_resnet(scores)],
            "notebook (applyIoU); models/README.md; VGG paper, Table 1; ResNet paper, sections 3 and 4.1",
            [_score_rows(scores, FPN_VGG19, FPN_RESNET50)],
            frame=_most_different(scores, FPN_VGG19, FPN_RESNET50),
        ),
        "3.3": Answer(
            [_size_against_score(scores)],
            "model summaries and scores of the notebook; models/README.md",
            [[(*size_cells(model), f"{scores.mean(model):.4f}") for model in (FPN_VGG19, FPN_RESNET50)]],
        ),
        "EC 2": Answer(
            [_psp_against_fpn(scores)],
            "PSPNet paper, sections 3.1 and 3.2; notebook; models/README.md",
            [_score_rows(scores, PSP_RESNET50, FPN_RESNET50)],
        ),
    }


def size_cells(model: str) -> tuple[str, str]:
    """Return a model's parameters and multiply-adds as the tables print them."""
    return f"{PARAMETERS[model]:,}", f"{MULT_ADDS_G[model]:.2f} G"


def _score_rows(scores: Scores, *models: str) -> Rows:
    return [[f"{iou:.4f}" for iou in (*scores.values(model)[:3], scores.mean(model))] for model in models]


def _verdict(scores: Scores, a: str, b: str) -> str:
    """Say in one sentence which of two models scores higher, by how much and on how many frames."""
    first, second = sorted((a, b), key=scores.mean, reverse=True)
    # Of the means as they are printed, so that a reader who subtracts them gets the same.
    lead = round(scores.mean(first), 3) - round(scores.mean(second), 3)
    won = sum(x > y for x, y in zip(scores.values(first), scores.values(second), strict=True))
    means = f"{scores.mean(first):.3f} against {scores.mean(second):.3f}"
    frames = f"{won} of {len(scores.frames)} frames"
    if lead < LEVEL:
        return f"**{a} and {b} are level**: {means} on average; {first} is ahead on {frames}."
    return f"**{first} scores higher**: {means} on average, {lead:.3f} more, and ahead on {frames}."


def _vgg_against_resnet(scores: Scores) -> Paragraphs:
    return (
        _verdict(scores, FPN_VGG19, FPN_RESNET50),
        "**The encoders may explain it**: VGG-19 has four convolutions at full and half resolution, ResNet-50 one. "
        "ResNet-50 sees more context and has shortcuts. Both decoders start at 96 × 120.",
        "**So may the training**: the two did not start from equal weights nor train equally long (models/README.md). "
        "Only equal training of both could separate the two causes.",
        _worst_frame(scores) + " A handful of frames shows a tendency, not a ranking.",
    )


def _worst_frame(scores: Scores) -> str:
    both = (FPN_VGG19, FPN_RESNET50)
    low = min(scores.frames, key=lambda frame: min(scores.table[model, frame] for model in both))
    return f"The hardest frame is {low}, with " + " and ".join(f"{scores.table[m, low]:.3f} ({m})" for m in both) + "."


def _size_against_score(scores: Scores) -> Paragraphs:
    return (
        "ResNet-50 has 18 % more parameters. " + _verdict(scores, FPN_VGG19, FPN_RESNET50),
        "**Two models cannot show a rule**, least of all two that were trained differently "
        "(models/README.md). How the parameters are arranged counts, too (resolution, depth, shortcuts).",
        "**Parameters are not cost either**: the smaller VGG-19 needs 3.6 times the multiply-adds: its 3 × 3 "
        f"kernels read all maps. Some parameters never run: layer3 and layer4 of smp’s PSPNet, {IDLE}.",
    )


def _psp_against_fpn(scores: Scores) -> Paragraphs:
    return (
        "**Why a pyramid**: a deep unit sees less than its receptive field in theory. The 1 × 1 pool hands every pixel "
        "the whole scene; 2 × 2, 3 × 3 and 6 × 6 keep where things are.",
        _verdict(scores, PSP_RESNET50, FPN_RESNET50),
        "**The architectures** differ in decoder and depth: smp’s PSPNet stops after layer2, at 1/8 of the size; "
        f"layer3 and layer4, {IDLE} parameters, never run. Its outlines come from 48 × 60 maps, the FPN’s from "
        "96 × 120.",
        "**The training** differs too, in start and length (models/README.md); scores cannot show which counts.",
    )


def _most_different(scores: Scores, a: str, b: str) -> int:
    """Return the number of the frame on which the scores of two models differ most."""
    gaps = [abs(x - y) for x, y in zip(scores.values(a), scores.values(b), strict=True)]
    return gaps.index(max(gaps))
