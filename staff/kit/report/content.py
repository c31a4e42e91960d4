"""The report's one table of slides: question, room for the answer, and the reference answer with its source.

The template is made of the questions alone, the reference copy of questions and answers, so the two cannot drift apart.
Whatever depends on measured scores is computed from them. Answers mark **bold** and lowered_{...} words. This file
stays with the staff.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, PSP_RESNET50, Scores

Paragraphs = Sequence[str]
Answer = Paragraphs | Callable[[Scores], Paragraphs]
Rows = Sequence[Sequence[str]]

PAPERS = {
    "smp encoders": (
        "Encoders of segmentation_models_pytorch",
        "https://smp.readthedocs.io/en/latest/encoders.html",
    ),
    "U-Net": ("U-Net (Ronneberger et al., MICCAI 2015), arXiv 1505.04597", "https://arxiv.org/abs/1505.04597"),
    "Panoptic FPN": ("Panoptic FPN (Kirillov et al., CVPR 2019)", "https://arxiv.org/abs/1901.02446"),
    "FCN": ("FCN (Long et al., CVPR 2015), arXiv 1411.4038", "https://arxiv.org/abs/1411.4038"),
    "FPN": ("FPN (Lin et al., CVPR 2017), arXiv 1612.03144", "https://arxiv.org/abs/1612.03144"),
    "VGG": ("VGG (Simonyan and Zisserman, ICLR 2015), arXiv 1409.1556", "https://arxiv.org/abs/1409.1556"),
    "ResNet": ("ResNet (He et al., CVPR 2016), arXiv 1512.03385", "https://arxiv.org/abs/1512.03385"),
    "PSPNet": ("PSPNet (Zhao et al., CVPR 2017), arXiv 1612.01105", "https://arxiv.org/abs/1612.01105"),
    "GIoU": (
        "Generalized IoU (Rezatofighi et al., CVPR 2019)",
        ""
        "https://openaccess.thecvf.com/content_CVPR_2019/papers/Rezatofighi_Generalized_Intersection_Over_Union_A_Metric_and_a_Loss_for_CVPR_2019_paper.pdf",
    ),
}

# Parameters and multiply-adds at 1 x 3 x 384 x 480, as `print_model_summary` prints them.
PARAMETERS = {FPN_VGG19: 22_108_097, FPN_RESNET50: 26_116_033, PSP_RESNET50: 24_300_993}
MULT_ADDS_G = {FPN_VGG19: 78.44, FPN_RESNET50: 21.90, PSP_RESNET50: 8.19}

# What PSPNet's encoder has and never runs, layer3 and layer4: it takes the maps after layer2.
IDLE_PARAMETERS = 22_063_104

# Two models this close on three frames are called level.
LEVEL = 0.005


@dataclass(frozen=True)
class Figure:
    """A picture of the notebook: the output of the cell with this id or tag, and the caption under it.

    `output` counts the cell's pictures from 0; a function takes it from the scores.
    """

    cell: str
    caption: str
    output: int | Callable[[Scores], int] = 0


@dataclass(frozen=True)
class Table:
    """A table; its header and its `given` columns are in the template too. `rows` may be computed from the scores."""

    header: Sequence[str]
    rows: Rows | Callable[[Scores], Rows]
    given: Sequence[int] = (0,)
    widths: Sequence[float] = ()


@dataclass(frozen=True)
class Slide:
    """One slide. `layout` is a key of design.LAYOUTS; `given_picture` is a file that the template shows as well."""

    part: str
    title: str
    question: str
    layout: str
    answers: Sequence[Answer]
    source: str
    reading: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    given_picture: tuple[str, str] | None = field(default=None)


TITLE = "Project 2: Segmentation with CNN"
TEMPLATE_SUBTITLE = (
    "Report. Answer on the slides in the room that is left, in your own words.",
    "Figures: Shift + right click on one in the notebook, Save Image As, insert the file.",
)
REFERENCE_SUBTITLE = ("Report, reference answers. For course staff.",)
FIELDS = ("Name", "E-mail", "GT user name", "ID", "Section")


def _score_rows(*models: str) -> Callable[[Scores], Rows]:
    def rows(scores: Scores) -> Rows:
        return [(model, *(f"{v:.4f}" for v in scores.first(model, 3)), f"{scores.mean(model):.4f}") for model in models]

    return rows


def _score_table(*models: str) -> Table:
    return Table(("IoU", "Frame 1", "Frame 2", "Frame 3", "Mean"), _score_rows(*models), widths=(2.2, 1, 1, 1, 1))


def _lead(scores: Scores, a: str, b: str) -> float:
    """Return by how much the mean IoU of `a` is above that of `b`, each rounded as the answers print them."""
    return round(scores.mean(a), 3) - round(scores.mean(b), 3)


def _verdict(scores: Scores, a: str, b: str) -> str:
    """Say in one sentence which of two models scores higher, by how much and on how many frames."""
    first, second = sorted((a, b), key=scores.mean, reverse=True)
    lead = _lead(scores, first, second)
    won = sum(x > y for x, y in zip(scores.values(first), scores.values(second), strict=True))
    means = f"{scores.mean(first):.3f} against {scores.mean(second):.3f}"
    frames = f"{won} of {len(scores.frames)} frames"
    if lead < LEVEL:
        return f"**{a} and {b} are level**: {means} on average; {first} is ahead on {frames}."
    return f"**{first} scores higher**: {means} on average, {lead:.3f} more, and ahead on {frames}."


def _worst_frame(scores: Scores) -> str:
    both = (FPN_VGG19, FPN_RESNET50)
    low = min(scores.frames, key=lambda frame: min(scores.of(model, frame) for model in both))
    return f"The hardest frame is {low}, with " + " and ".join(f"{scores.of(m, low):.3f} ({m})" for m in both) + "."


def _vgg_against_resnet(scores: Scores) -> Paragraphs:
    return (
        _verdict(scores, FPN_VGG19, FPN_RESNET50),
        "**The encoders may explain it**: VGG-19 has four convolutions at full and half resolution, ResNet-50 one; it "
        "sees more context and has shortcuts. Both decoders start at 96 × 120.",
        "**So may the training**: the two did not start from equal weights nor train equally long (models/README.md). "
        "Only equal training of both could tell the two causes apart.",
        _worst_frame(scores) + " A handful of frames shows a tendency, not a ranking.",
    )


def _size_rows(scores: Scores) -> Rows:
    return [
        (m, f"{PARAMETERS[m]:,}", f"{MULT_ADDS_G[m]:.2f} G", f"{scores.mean(m):.4f}") for m in (FPN_VGG19, FPN_RESNET50)
    ]


def _size_against_score(scores: Scores) -> Paragraphs:
    return (
        "ResNet-50 has 18 % more parameters. " + _verdict(scores, FPN_VGG19, FPN_RESNET50),
        "**Two models cannot show a rule**, least of all after training that was not equally long nor from equal "
        "starts (models/README.md). It counts, too, how the parameters are arranged (resolution, depth, shortcuts).",
        "**Parameters are not cost either**: the smaller VGG-19 needs 3.6 times the multiply-adds, since its kernels "
        "slide over large maps. Some parameters never run: layer3 and layer4 of smp’s PSPNet, "
        f"{IDLE_PARAMETERS / 1e6:.2f} M of its {PARAMETERS[PSP_RESNET50] / 1e6:.2f} M.",
    )


def _psp_against_fpn(scores: Scores) -> Paragraphs:
    return (
        "**Why a pyramid**: a deep unit sees less than its receptive field in theory. The 1 × 1 pool hands every pixel "
        "the whole scene; 2 × 2, 3 × 3 and 6 × 6 keep where things are.",
        _verdict(scores, PSP_RESNET50, FPN_RESNET50),
        f"**The architectures** differ in decoder and depth: smp’s PSPNet stops after layer2, at 1/8 of the size; "
        f"layer3 and layer4, {IDLE_PARAMETERS / 1e6:.2f} M of its {PARAMETERS[PSP_RESNET50] / 1e6:.2f} M parameters, "
        f"never run. Its outlines come from 48 × 60 maps, the FPN’s from 96 × 120.",
        "**The training** differs too, in start and length (models/README.md); scores cannot tell which counts.",
    )


def _most_different(a: str, b: str) -> Callable[[Scores], int]:
    """Return a function from the scores to the number of the frame on which two models differ most."""

    def frame(scores: Scores) -> int:
        gaps = [abs(x - y) for x, y in zip(scores.values(a), scores.values(b), strict=True)]
        return gaps.index(max(gaps))

    return frame


SLIDES = (
    Slide(
        "1.1",
        "What segmentation is",
        "What does image segmentation compute, and what does it tell you that a single label for the whole image does "
        "not? Name two applications and say what the mask is good for in each.",
        "picture right",
        [
            (
                "**Segmentation gives every pixel a class.** The result is a mask of the image’s size: it says not "
                "only what is there but where, and in which shape. Classification says only what.",
                "**Semantic** segmentation gives all cars one label, **instance** segmentation each car its own, "
                "**panoptic** segmentation does both. This project does the first, with one class.",
                "**Driver assistance**: masks of road, cars and people show where the car may go and what to keep "
                "clear of.",
                "**Medicine**: the outline of a tumour or an organ in a scan gives its place and volume, for "
                "diagnosis and for planning a treatment.",
            )
        ],
        "FCN paper, section 1; frame: the notebook’s test set, CamVid (Brostow et al., 2009) if fetched",
        ("FCN",),
        figures=[Figure("vis-dataset", "A frame of the test set and its car mask (notebook, Part 1)")],
    ),
    Slide(
        "1.2",
        "Sigmoid and softmax",
        "What does each of the two functions do to the output of a segmentation model, and when would you use it? "
        "Name one difference between them and one thing they have in common.",
        "answer",
        [
            (
                "**Sigmoid**, σ(z) = 1 / (1 + exp(−z)), turns one number per pixel into one probability: car or not. "
                "It suits one class, or several that may hold at once.",
                "**Softmax**, S(z)_{i} = exp(z_{i}) / (exp(z_{1}) + … + exp(z_{C})), turns the C numbers of a pixel "
                "into C probabilities. It suits classes of which exactly one holds: road, car, tree, …",
                "**Difference**: softmax looks at all C numbers together. Its outputs sum to 1, so that raising one "
                "lowers the others. Sigmoid treats each number on its own, and several outputs need not sum to 1.",
                "**In common**: both map any real numbers to values between 0 and 1 that can be read as "
                "probabilities; both grow with their own input and are differentiable, so that a loss can train "
                "through them.",
                "For two classes they are one and the same: the softmax of (z, 0) is (σ(z), 1 − σ(z)).",
            )
        ],
        "follows from the two formulas",
    ),
    Slide(
        "1.3",
        "A mask applied to the image",
        "Insert your picture of a frame, its car mask and the frame with the mask applied (TO-DO 3). What happens to "
        "the colour of a pixel inside the mask, what to one outside, and why must the values be clipped?",
        "picture below",
        [
            (
                "**Inside** the mask 255 is added to red, while green and blue stay, so that cars are tinted and "
                "still recognisable. **Outside** nothing changes, since the mask is 0 there.",
                "**Clipping** keeps the sum in 0..255: a pixel with red 40 would get 295, which no 8-bit image can "
                "hold.",
            )
        ],
        "",
        figures=[Figure("mask-visualise", "Frame, car mask, and the frame with the mask applied")],
    ),
    Slide(
        "2.1a",
        "Other encoders",
        "VGG-19 and ResNet-50 are two of many networks that can serve as the encoder (backbone). Name four others and "
        "say in a few words what sets each apart.",
        "table above",
        [
            (
                "Any network that makes feature maps at falling resolution will do: its classification layers are "
                "left out and the maps of several stages go to the decoder.",
                "All four are encoders of segmentation_models_pytorch, and swapping them in means changing one "
                "argument.",
            )
        ],
        "the papers named in the table; encoder list of segmentation_models_pytorch",
        ("smp encoders",),
        tables=[
            Table(
                ("Encoder", "Paper", "What sets it apart"),
                [
                    ("ResNeXt-50", "Xie et al. 2017, arXiv 1611.05431", "Bottlenecks with grouped convolutions"),
                    (
                        "DenseNet-121",
                        "Huang et al. 2017, arXiv 1608.06993",
                        "A layer reads all earlier ones of its block",
                    ),
                    (
                        "MobileNetV2",
                        "Sandler et al. 2018, arXiv 1801.04381",
                        "Inverted residuals: shortcuts join thin maps",
                    ),
                    (
                        "EfficientNet-B0",
                        "Tan and Le 2019, arXiv 1905.11946",
                        "Found by search; B1 to B7 are scaled from it",
                    ),
                ],
                given=(),
                widths=(1, 1.7, 2),
            )
        ],
    ),
    Slide(
        "2.1b",
        "Another segmentation architecture",
        "Name a segmentation architecture other than FCN and FPN. How does it get from the encoder’s small maps back "
        "to a mask of the image’s size, and in what does it differ from the FPN of this project?",
        "answer",
        [
            (
                "**U-Net** (Ronneberger, Fischer and Brox, MICCAI 2015, arXiv 1505.04597), made for microscope images "
                "and very few of them.",
                "**How it works**: the contracting path halves the maps and doubles their number, step by step. The "
                "expanding path doubles height and width with an up-convolution, appends the encoder’s map, cropped "
                "to the same size (the skip connection), and runs two 3 × 3 convolutions; a 1 × 1 convolution gives "
                "the class scores.",
                "**Against the FPN of this project**: U-Net concatenates the encoder’s maps and predicts from the "
                "last, largest one. The FPN brings all levels to 256 channels with 1 × 1 convolutions, adds them "
                "along the top-down pathway, and predicts from the sum of its levels. (The FPN paper predicts on "
                "each level independently; the sum is from Kirillov et al. 2019.)",
            )
        ],
        "U-Net paper, section 2; FPN paper, section 3; Kirillov et al. 2019, arXiv 1901.02446, section 3",
        ("U-Net", "FPN", "Panoptic FPN"),
    ),
    Slide(
        "2.1c",
        "From classifier to fully convolutional network",
        "How does the FCN paper see the fully connected layers of a classification network, and what does that make "
        "possible? Find the three networks that it adapts, with their convolution layers and parameters (its Table 1).",
        "table above",
        [
            (
                "**A fully connected layer is a convolution** whose kernel covers its whole input. Written that way, "
                "the weights stay, but the input may have any size, and the output is a map of class scores, not one "
                "label.",
                "Overlapping regions share their computation: a 10 × 10 map of AlexNet’s scores takes 22 ms, more "
                "than five times as fast as patch by patch (1.2 ms each). A 1 × 1 convolution scores the classes; "
                "upsampling brings them back to the pixels.",
            )
        ],
        "FCN paper, sections 3.1 and 4.1, Table 1 (which counts the converted layers in)",
        ("FCN",),
        tables=[
            Table(
                ("Model", "Convolution layers", "Parameters"),
                [
                    ("FCN-AlexNet", "8", "57 million"),
                    ("FCN-VGG16", "16", "134 million"),
                    ("FCN-GoogLeNet", "22", "6 million"),
                ],
                given=(),
            )
        ],
    ),
    Slide(
        "2.2a",
        "VGG-19: the layers",
        "Count the layers of each kind in the original VGG-19 and in the encoder of your FPN (use the summary printed "
        "in the notebook). What was left out, and why?",
        "table right",
        [
            (
                "The 19 of the name are the layers with weights: 16 convolutions and 3 fully connected ones.",
                "**Left out** are the fully connected layers, with the two ReLUs between them. They turn the maps "
                "into one vector for the whole image; a mask needs the maps themselves.",
                "Without them the encoder has 20.0 of the original’s 143.7 million parameters and takes frames of any "
                "size.",
            )
        ],
        "VGG paper, Table 1, column E; model summary of the notebook",
        ("VGG",),
        tables=[
            Table(
                ("Layers", "Original", "Encoder"),
                [
                    ("Convolution", "16", "16"),
                    ("ReLU", "18", "16"),
                    ("Max-pooling", "5", "5"),
                    ("Fully connected", "3", "0"),
                ],
            )
        ],
    ),
    Slide(
        "2.2b",
        "VGG-19: height and width",
        "What happens to height and width on the way through the encoder of FPN+VGG-19, and what in the decoder? "
        "Which layers do it? Fill in the sizes for a frame of 384 × 480.",
        "table right",
        [
            (
                "**Encoder**: each of the five max-pooling layers (2 × 2, stride 2) halves both, down to 1/32. The 3 "
                "× 3 convolutions are padded and keep the size; the channels grow from 64 to 512.",
                "**Decoder**: the map is doubled three times, and at each step the encoder’s map of that size, "
                "brought to 256 channels by a 1 × 1 convolution, is added.",
                "All four levels then go to 96 × 120 and are summed. The head scores that map with a 1 × 1 "
                "convolution and enlarges it bilinearly by a factor of four.",
            )
        ],
        "model summary of the notebook; FPN paper, section 3; sum of levels: Kirillov et al. 2019, arXiv 1901.02446",
        ("VGG", "FPN"),
        tables=[
            Table(
                ("Encoder, at", "Height × width", "Decoder, at", "Height × width "),
                [
                    ("the input", "384 × 480", "p5", "12 × 15"),
                    ("block 1, pooled", "192 × 240", "p4", "24 × 30"),
                    ("block 2, pooled", "96 × 120", "p3", "48 × 60"),
                    ("block 3, pooled", "48 × 60", "p2", "96 × 120"),
                    ("block 4, pooled", "24 × 30", "sum of levels", "96 × 120"),
                    ("block 5, pooled", "12 × 15", "mask", "384 × 480"),
                ],
                given=(0, 2),
            )
        ],
    ),
    Slide(
        "2.3a",
        "ResNet-50: layers, height and width",
        "The same for ResNet-50: count the layers of each kind in the original and in the encoder, and fill in the "
        "sizes for a frame of 384 × 480. Which layers halve height and width, and what does the decoder do?",
        "two tables",
        [
            (
                "**Encoder**: conv1 (7 × 7, stride 2) and the max-pooling halve the frame, then a stride-2 "
                "convolution in the first bottleneck of layers 2, 3 and 4. **Decoder**: as with VGG-19, doubled from "
                "12 × 15 to 96 × 120, then enlarged by a factor of four. The name counts 49 convolutions and the fully "
                "connected layer, not the shortcuts’ four.",
            )
        ],
        "ResNet paper, Table 1; model summary",
        ("ResNet",),
        tables=[
            Table(
                ("Layers", "Original", "Encoder"),
                [
                    ("Convolution on the main path", "49", "49"),
                    ("Convolution in a shortcut", "4", "4"),
                    ("Batch normalisation", "53", "53"),
                    ("Bottleneck", "16", "16"),
                    ("Max-pooling", "1", "1"),
                    ("Fully connected", "1", "0"),
                ],
                widths=(2, 1, 1),
            ),
            Table(
                ("After", "Height × width", "Channels"),
                [
                    ("conv1", "192 × 240", "64"),
                    ("max-pooling", "96 × 120", "64"),
                    ("layer1", "96 × 120", "256"),
                    ("layer2", "48 × 60", "512"),
                    ("layer3", "24 × 30", "1024"),
                    ("layer4", "12 × 15", "2048"),
                ],
            ),
        ],
    ),
    Slide(
        "2.3b",
        "ResNet-50 against VGG-19",
        "How do FPN+ResNet-50 and FPN+VGG-19 compare in size? Give parameters and multiply-adds. Then describe at "
        "least two more differences between the two encoders.",
        "table above",
        [
            (
                "**Size**: ResNet-50 has 18 % more parameters, yet VGG-19 needs 3.6 times the multiply-adds: it works "
                "on large maps for longer.",
                "**Shortcuts**: a bottleneck adds its input to its output, so that it only has to learn a correction, "
                "which is easier to optimise: plain deeper networks end with a higher training error. VGG-19 has none.",
                "**Blocks**: 1 × 1, 3 × 3, 1 × 1 convolutions with batch normalisation, against plain 3 × 3 ones with "
                "none.",
                "**Shrinking**: strided convolutions and an early drop to a quarter, against five max-poolings.",
            )
        ],
        "model summaries of the notebook; ResNet paper, sections 3 and 4.1; VGG paper, section 2.1",
        ("VGG", "ResNet"),
        tables=[
            Table(
                ("Model", "Parameters", "Multiply-adds", "Size of the parameters"),
                [
                    (m, f"{PARAMETERS[m]:,}", f"{MULT_ADDS_G[m]:.2f} G", f"{4 * PARAMETERS[m] / 1e6:.2f} MB")
                    for m in (FPN_VGG19, FPN_RESNET50)
                ],
            )
        ],
    ),
    Slide(
        "2.4a",
        "Feature maps at three depths",
        "Insert the pictures of feature maps of FPN+ResNet-50: the encoder’s first layer, the last 3 × 3 convolution "
        "of its first stage (a 1 × 1 follows), the decoder’s finest branch. What does each depth focus on?",
        "three pictures",
        [
            (
                "**Brightness, colour, edges.** Many maps look like the frame, as it is or as a negative; others show "
                "its edges in one direction. Cars are treated like all else.",
            ),
            (
                "**Lines and contours.** Most maps show short strokes of one direction, vertical, horizontal or "
                "diagonal; a few show outlines. The scene is hard to make out.",
            ),
            (
                "**Objects and regions.** Cars stand out whole, bright or dark, in many maps; others show road, trees "
                "or sky. Outlines are soft.",
            ),
        ],
        "the notebook’s maps; compare Zeiler and Fergus 2014, arXiv 1311.2901",
        ("ResNet", "FPN"),
        figures=[
            Figure("feature-maps-conv1", "First layer of the encoder: conv1"),
            Figure("feature-maps-layer1", "Last 3 × 3 convolution of stage 1: layer1[2].conv2"),
            Figure("feature-maps-seg-block", "Finest of the decoder’s four branches: seg_blocks[3]"),
        ],
    ),
    Slide(
        "2.4b",
        "What the feature maps say about learning",
        "Compare the three depths. What do they say about how the network learns to find cars?",
        "answer",
        [
            (
                "**From general to specific.** Early filters would serve any picture: that is why an encoder trained "
                "on ImageNet is a good start. Only deeper layers become about cars, because they see more context "
                "around a pixel.",
                "**Layers build on each other.** Edges become contours, contours parts, parts objects. Nobody "
                "designed these features: the loss at the output sends gradients back through all layers, and each "
                "learns what the next can use.",
                "**Position is traded for meaning, then regained.** Depth costs resolution in the encoder; the "
                "decoder combines the deep maps, which know what, with the shallow ones, which know where.",
                "**The end is made for the task.** The decoder’s maps are of things: cars, and also road, trees and "
                "sky, which tell where cars can be.",
            )
        ],
        "the notebook’s maps; FCN paper, section 4.2; FPN paper, section 1",
        ("FCN", "FPN"),
    ),
    Slide(
        "3.1a",
        "Why IoU is normalised",
        "IoU divides the overlap of two masks by their union. What is gained by this normalisation, compared "
        "with counting the pixels in common or with pixel accuracy?",
        "answer",
        [
            (
                "IoU(A, B) = |A ∩ B| / |A ∪ B| lies **between 0** (nothing in common) **and 1** (the same mask). Two "
                "empty masks would be 0 / 0; they count as 1 here.",
                "**It does not depend on scale.** A frame with 200 car pixels and one with 20,000 count alike, at any "
                "resolution, so that frames and models can be compared. (Within a frame, large cars weigh more.)",
                "**It punishes both kinds of error.** A missed pixel makes the overlap smaller; a false alarm makes "
                "the union larger and costs a little less. A frame marked as car all over still scores low.",
                "**Background does not help.** If 3 % of a frame is car, an empty mask has a pixel accuracy of 97 %, "
                "but an IoU of 0.",
            )
        ],
        "GIoU paper, sections 1 and 3",
        ("GIoU",),
    ),
    Slide(
        "3.1b",
        "Which prediction scores higher?",
        "The picture shows a true mask and two predictions. Which prediction has the higher IoU? Argue with "
        "intersection and union.",
        "picture below",
        [
            (
                "**Pred Mask1.** Both share the same pixels with the true mask, so the intersections are equal. Pred "
                "Mask2 marks one region more, outside the true mask. It enlarges the union, and the same numerator "
                "over a larger denominator is a lower IoU.",
            )
        ],
        "definition of IoU",
        ("GIoU",),
        given_picture=("proj2_code/iou_question.png", "True mask, Pred Mask1 and Pred Mask2 (notebook, Question 3)"),
    ),
    Slide(
        "3.2",
        "The scores of the two models",
        "Give the IoU of FPN-VGG19 and FPN-ResNet50 on the test frames (TO-DO 6) and show a frame on which they "
        "differ. Which scores higher? What may explain it: the encoders, or their training (see models/README.md)?",
        "scores",
        [_vgg_against_resnet],
        "notebook (applyIoU); models/README.md; VGG paper, Table 1; ResNet paper, sections 3 and 4.1",
        ("VGG", "ResNet"),
        tables=[_score_table(FPN_VGG19, FPN_RESNET50)],
        figures=[
            Figure(
                "vgg19-show",
                "FPN-VGG19: frame, true mask, prediction, errors",
                _most_different(FPN_VGG19, FPN_RESNET50),
            ),
            Figure("resnet50-show", "FPN-ResNet50, the same frame", _most_different(FPN_VGG19, FPN_RESNET50)),
        ],
    ),
    Slide(
        "3.3",
        "Parameters against performance",
        "Set the number of parameters of the two models against their scores. Does the larger one do better? What may "
        "explain it: the encoders, or their training (see models/README.md)? What decides how fast a model segments?",
        "table above",
        [_size_against_score],
        "model summaries and scores of the notebook; models/README.md",
        ("VGG", "ResNet"),
        tables=[Table(("Model", "Parameters", "Multiply-adds", "Mean IoU"), _size_rows)],
    ),
    Slide(
        "EC 1",
        "What PSPNet changes",
        "Extra credit for 4476, required for 6476. Which shortcomings of FCN does the PSPNet paper name? What is the "
        "main difference in PSPNet’s architecture?",
        "answer",
        [
            (
                "**Mismatched relationship**: without the context of the scene, a boat on a river is taken for a car "
                "because it looks like one.",
                "**Confusion categories**: one object is labelled in patches with two similar classes, such as "
                "building and skyscraper.",
                "**Inconspicuous classes**: small things, such as a pillow with the sheet’s pattern, are overlooked, "
                "and very large ones, beyond the receptive field, come out broken.",
                "**Main difference**: the pyramid pooling module. It averages the encoder’s last map over grids of 1 "
                "× 1, 2 × 2, 3 × 3 and 6 × 6, shrinks each result to a quarter of the channels with a 1 × 1 "
                "convolution, enlarges it and appends it to the map, so that every pixel is classified with the whole "
                "scene in view.",
                "In the paper a dilated ResNet (stride 8) and an auxiliary loss during training come with it.",
            )
        ],
        "PSPNet paper, sections 3.1 to 3.3 and 4",
        ("PSPNet",),
    ),
    Slide(
        "EC 2",
        "PSPNet against FPN",
        "Extra credit for 4476, required for 6476. Why does PSPNet pool in a pyramid? Give its IoU and FPN-ResNet50’s "
        "on the test frames. What may explain the gap: the architectures, or their training (see models/README.md)?",
        "scores and chart",
        [_psp_against_fpn],
        "PSPNet paper, sections 3.1 and 3.2; notebook; models/README.md",
        ("PSPNet", "FPN"),
        tables=[_score_table(PSP_RESNET50, FPN_RESNET50)],
        figures=[Figure("chart-draw", "The scores of all models on the test frames (notebook, extra credit)")],
    ),
)
