"""The reference answers, by the part of the report. They stay with the staff; the questions are in slides.yaml."""

from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, Scores
from staff.kit.report.measured import PARAMETERS, Answer, measured_answers, size_cells


def answers_from(scores: Scores) -> dict[str, Answer]:
    """Return all answers, by part, for the scores that the models reached."""
    return {**WRITTEN, **measured_answers(scores)}


def _answer(*paragraphs: str, **more) -> Answer:
    """An answer with one place on its slide."""
    return Answer([paragraphs], **more)


WRITTEN = {
    "1.1": _answer(
        "**Segmentation gives every pixel a class.** The result is a mask of the image’s size: it says not "
        "only what is there but where, and in which shape. Classification says only what.",
        "**Semantic** segmentation gives all cars one label, **instance** segmentation each car its own, "
        "**panoptic** segmentation does both. This project does the first, with one class.",
        "**Driver assistance**: masks of road, cars and people show where the car may go and what to keep clear of.",
        "**Medicine**: the outline of a tumour or an organ in a scan gives its place and volume, for "
        "diagnosis and for planning a treatment.",
        source="FCN paper, section 1; frame: the notebook’s test set, CamVid (Brostow et al., 2009) if fetched",
    ),
    "1.2": _answer(
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
        source="follows from the two formulas",
    ),
    "1.3": _answer(
        "**Inside** the mask 255 is added to red, while green and blue stay, so that cars are tinted and "
        "still recognisable. **Outside** nothing changes, since the mask is 0 there.",
        "**Clipping** keeps the sum in 0..255: a pixel with red 40 would get 295, which no 8-bit image can hold.",
    ),
    "2.1a": _answer(
        "Any network that makes feature maps at falling resolution will do: its classification layers are "
        "left out and the maps of several stages go to the decoder.",
        "All four are encoders of segmentation_models_pytorch, and swapping them in means changing one argument.",
        source="the papers named in the table; encoder list of segmentation_models_pytorch",
        tables=[
            [
                ("ResNeXt-50", "Xie et al. 2017, arXiv 1611.05431", "Bottlenecks with grouped convolutions"),
                ("DenseNet-121", "Huang et al. 2017, arXiv 1608.06993", "A layer reads all earlier ones of its block"),
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
            ]
        ],
    ),
    "2.1b": _answer(
        "**U-Net** (Ronneberger, Fischer and Brox, MICCAI 2015, arXiv 1505.04597), made for microscope images"
        " and very few of them.",
        "**How it works**: the contracting path halves the maps and doubles their number, step by step. The "
        "expanding path doubles height and width with an up-convolution, appends the encoder’s map, cropped "
        "to the same size (the skip connection), and runs two 3 × 3 convolutions; a 1 × 1 convolution gives "
        "the class scores.",
        "**Against the FPN of this project**: U-Net concatenates the encoder’s maps and predicts from the "
        "last, largest one. The FPN brings all levels to 256 channels with 1 × 1 convolutions, adds them "
        "along the top-down pathway, and predicts from the sum of its levels. (The FPN paper predicts on each"
        " level independently; the sum is from Kirillov et al. 2019.)",
        source="U-Net paper, section 2; FPN paper, section 3; Kirillov et al. 2019, arXiv 1901.02446, section 3",
    ),
    "2.1c": _answer(
        "**A fully connected layer is a convolution** whose kernel covers its whole input. Written that way, "
        "the weights stay, but the input may have any size, and the output is a map of class scores, not one "
        "label.",
        "Overlapping regions share their computation: a 10 × 10 map of AlexNet’s scores takes 22 ms, more "
        "than five times as fast as patch by patch (1.2 ms each). A 1 × 1 convolution scores the classes; "
        "upsampling brings them back to the pixels.",
        source="FCN paper, sections 3.1 and 4.1, Table 1 (which counts the converted layers in)",
        tables=[
            [
                ("FCN-AlexNet", "8", "57 million"),
                ("FCN-VGG16", "16", "134 million"),
                ("FCN-GoogLeNet", "22", "6 million"),
            ]
        ],
    ),
    "2.2a": _answer(
        "The 19 of the name are the layers with weights: 16 convolutions and 3 fully connected ones.",
        "**Left out** are the fully connected layers, with the two ReLUs between them. They turn the maps "
        "into one vector for the whole image; a mask needs the maps themselves.",
        "Without them the encoder has 20.0 of the original’s 143.7 million parameters and takes frames of any size.",
        source="VGG paper, Table 1, column E; model summary of the notebook",
        tables=[[("16", "16"), ("18", "16"), ("5", "5"), ("3", "0")]],
    ),
    "2.2b": _answer(
        "**Encoder**: each of the five max-pooling layers (2 × 2, stride 2) halves both, down to 1/32. The 3 "
        "× 3 convolutions are padded and keep the size; the channels grow from 64 to 512.",
        "**Decoder**: the map is doubled three times, and at each step the encoder’s map of that size, "
        "brought to 256 channels by a 1 × 1 convolution, is added.",
        "All four levels then go to 96 × 120 and are summed. The head scores that map with a 1 × 1 "
        "convolution and enlarges it bilinearly by a factor of four.",
        source="model summary of the notebook; FPN paper, section 3; sum of levels: Kirillov et al. 2019, "
        "arXiv 1901.02446",
        tables=[
            [
                ("384 × 480", "12 × 15"),
                ("192 × 240", "24 × 30"),
                ("96 × 120", "48 × 60"),
                ("48 × 60", "96 × 120"),
                ("24 × 30", "96 × 120"),
                ("12 × 15", "384 × 480"),
            ]
        ],
    ),
    "2.3a": _answer(
        "**Encoder**: conv1 (7 × 7, stride 2) and the max-pooling halve the frame, then a stride-2 "
        "convolution in the first bottleneck of layers 2, 3 and 4. **Decoder**: as with VGG-19, doubled from "
        "12 × 15 to 96 × 120, then enlarged by a factor of four. The name counts 49 convolutions and the "
        "fully connected layer, not the shortcuts’ four.",
        source="ResNet paper, Table 1; model summary",
        tables=[
            [("49", "49"), ("4", "4"), ("53", "53"), ("16", "16"), ("1", "1"), ("1", "0")],
            [
                ("192 × 240", "64"),
                ("96 × 120", "64"),
                ("96 × 120", "256"),
                ("48 × 60", "512"),
                ("24 × 30", "1024"),
                ("12 × 15", "2048"),
            ],
        ],
    ),
    "2.3b": _answer(
        "**Size**: ResNet-50 has 18 % more parameters, yet VGG-19 needs 3.6 times the multiply-adds: its"
        " 3 × 3 kernels read all maps, ResNet-50’s bottlenecks reduce the maps first.",
        "**Shortcuts**: a bottleneck adds its input to its output, so that it only has to learn a correction,"
        " which is easier to optimise: plain deeper networks end with a higher training error. VGG-19 has "
        "none.",
        "**Blocks**: 1 × 1, 3 × 3, 1 × 1 convolutions with batch normalisation, against plain 3 × 3 ones with none.",
        "**Shrinking**: strided convolutions and an early drop to a quarter, against five max-poolings.",
        source="model summaries of the notebook; ResNet paper, sections 3 and 4.1; VGG paper, section 2.1",
        tables=[[(*size_cells(model), f"{4 * PARAMETERS[model] / 1e6:.2f} MB") for model in (FPN_VGG19, FPN_RESNET50)]],
    ),
    "2.4a": Answer(
        [
            (
                "**Brightness, colour, edges.** Many maps look like the frame, as it is or as a negative; others show"
                " its edges in one direction. Cars are treated like all else.",
            ),
            (
                "**Lines and contours.** Most maps show short strokes of one direction, vertical, horizontal or "
                "diagonal; a few show outlines. The scene is hard to make out.",
            ),
            (
                "**Objects and regions.** Cars stand out whole, bright or dark, in many maps; others show road, trees"
                " or sky. Outlines are soft.",
            ),
        ],
        source="the notebook’s maps; compare Zeiler and Fergus 2014, arXiv 1311.2901",
    ),
    "2.4b": Answer(
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
                "**The end is made for the task.** The decoder’s maps show cars, and also road, trees and "
                "sky, which show where cars can be.",
            )
        ],
        source="the notebook’s maps; FCN paper, section 4.2; FPN paper, section 1",
    ),
    "3.1a": _answer(
        "IoU(A, B) = |A ∩ B| / |A ∪ B| lies **between 0** (nothing in common) **and 1** (the same mask). Two "
        "empty masks would be 0 / 0; they count as 1 here.",
        "**It does not depend on scale.** A frame with 200 car pixels and one with 20,000 count alike, at any"
        " resolution, so that frames and models can be compared. (Within a frame, large cars weigh more.)",
        "**It punishes both kinds of error.** A missed pixel makes the overlap smaller; a false alarm makes "
        "the union larger and costs less. A frame marked as car all over still scores low.",
        "**Background does not help.** If 3 % of a frame is car, an empty mask has a pixel accuracy of 97 %, "
        "but an IoU of 0.",
        source="GIoU paper, sections 1 and 3",
    ),
    "3.1b": _answer(
        "**Pred Mask1.** Both share the same pixels with the true mask, so the intersections are equal. Pred "
        "Mask2 marks one region more, outside the true mask. It enlarges the union, and the same numerator "
        "over a larger denominator is a lower IoU.",
        source="definition of IoU",
    ),
    "EC 1": _answer(
        "**Mismatched relationship**: without the context of the scene, a boat on a river is taken for a car "
        "because it looks like one.",
        "**Confusion categories**: one object is labelled in patches with two similar classes, such as "
        "building and skyscraper.",
        "**Inconspicuous classes**: small things, such as a pillow with the sheet’s pattern, are overlooked, "
        "and very large ones, beyond the receptive field, come out broken.",
        "**Main difference**: the pyramid pooling module. It averages the encoder’s last map over grids of 1 "
        "× 1, 2 × 2, 3 × 3 and 6 × 6, shrinks each result to a quarter of the channels with a 1 × 1 "
        "convolution, enlarges it and appends it to the map, so that every pixel is classified with the whole"
        " scene in view.",
        "In the paper a dilated ResNet (stride 8) and an auxiliary loss during training come with it.",
        source="PSPNet paper, sections 3.1 to 3.3 and 4",
    ),
}
