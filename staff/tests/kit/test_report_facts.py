"""What the reference answers say about networks, scores and training is so."""

import json
import re
from collections import Counter

import pytest
import segmentation_models_pytorch as smp
import torch
import torchinfo
import torchvision

from staff import ROOT
from staff.figures import architectures as sizes
from staff.kit.report import measured
from staff.kit.report.answers import answers_from
from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, MODELS, PSP_RESNET50, Scores
from staff.kit.report.slides import read_slides
from staff.models import NETWORKS

FRAMES = ("a", "b", "c")
SCORES = Scores(FRAMES, {(model, frame): 0.9 for model in MODELS for frame in FRAMES})


def prose(part: str, scores: Scores = SCORES) -> str:
    """Return the whole answer to a part, without its marks."""
    words = " ".join(paragraph for text in answers_from(scores)[part].texts for paragraph in text)
    return re.sub(r"_\{(.+?)\}", r"\1", words.replace("**", ""))


def answer_table(part: str, number: int = 0) -> list[list[str]]:
    """Return the rows of a table, filled in."""
    (slide,) = [slide for slide in read_slides().slides if slide.part == part]
    cells = [list(row) for row in answers_from(SCORES)[part].tables[number]]
    rows = slide.tables[number].rows
    return [
        [cell if cell is not None else answers.pop(0) for cell in row] for row, answers in zip(rows, cells, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "architecture", "encoder"),
    [(FPN_VGG19, smp.FPN, "vgg19"), (FPN_RESNET50, smp.FPN, "resnet50"), (PSP_RESNET50, smp.PSPNet, "resnet50")],
)
def test_sizes_and_costs_are_those_of_the_models(name, architecture, encoder):
    with torch.device("meta"):
        model = architecture(encoder, encoder_weights=None, classes=1, activation="sigmoid").eval()
    frame = torch.empty(1, 3, 384, 480, device="meta")
    summary = torchinfo.summary(model, input_data=frame, device="meta", verbose=0)
    assert summary.total_params == measured.PARAMETERS[name]
    assert round(summary.total_mult_adds / 1e9, 2) == measured.MULT_ADDS_G[name]


def test_layers_that_pspnet_never_runs():
    with torch.device("meta"):
        encoder = smp.PSPNet("resnet50", encoder_weights=None).eval().encoder
    run = []
    for name in ("layer1", "layer2", "layer3", "layer4"):
        getattr(encoder, name).register_forward_hook(lambda *_, name=name: run.append(name))
    encoder(torch.empty(1, 3, 384, 480, device="meta"))
    assert run == ["layer1", "layer2"]
    idle = sum(p.numel() for layer in (encoder.layer3, encoder.layer4) for p in layer.parameters())
    assert idle == measured.IDLE_PARAMETERS


def test_models_were_trained_as_unequally_as_the_answers_say():
    lineage = json.loads((ROOT / "models" / "lineage.json").read_text(encoding="utf-8"))
    networks = [lineage[network.recipe] for network in NETWORKS.values()]
    starts = {stages[0]["start"] for stages in networks}
    crops = {sum(stage["steps"] * stage["batch_size"] for stage in stages) for stages in networks}
    assert len(starts) == len(crops) == len(networks) == 3


def test_explanations_hold_whichever_model_is_ahead():
    """Only the sentences with numbers in them change with the scores."""
    ahead = {model: Scores(FRAMES, {**SCORES.table, **{(model, f): 0.95 for f in FRAMES}}) for model in MODELS}
    for part in ("3.2", "3.3", "EC 2"):
        texts = [answers_from(scores)[part].texts[0] for scores in ahead.values()]
        changing = [len(set(paragraphs)) > 1 for paragraphs in zip(*texts, strict=True)]
        assert changing.count(True) <= 2, part


def test_training_is_named_beside_the_architecture():
    questions = {slide.part: slide.question for slide in read_slides().slides}
    for part, architecture in (("3.2", "The encoders"), ("3.3", "arranged"), ("EC 2", "The architectures")):
        assert architecture in prose(part) and "models/README.md" in prose(part)
        assert "training (see models/README.md)" in questions[part]
        assert part == "3.2" or "22.06 M of its 24.30 M" in prose(part)


def test_layers_at_full_and_half_resolution_are_as_stated():
    """3.2 and EC 2 name the sizes of the maps on which the networks work."""
    frame = torch.empty(1, 3, 384, 480, device="meta")
    found = {}
    with torch.device("meta"):
        for name in ("vgg19", "resnet50"):
            encoder = smp.encoders.get_encoder(name, weights=None).eval()
            heights = []
            for layer in encoder.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.register_forward_hook(lambda _, __, out, heights=heights: heights.append(out.shape[2]))
            encoder(frame)
            found[name] = sum(height >= 192 for height in heights)
        psp = smp.PSPNet("resnet50", encoder_weights=None).eval()
        pooled = psp.decoder(psp.encoder(frame))
    assert found == {"vgg19": 4, "resnet50": 1}
    assert "four convolutions at full and half resolution, ResNet-50 one" in prose("3.2")
    assert "{} × {} maps".format(*pooled.shape[2:]) in prose("EC 2")


def count(network) -> dict[str, int]:
    """Count the layers of a VGG or ResNet by the names of the report's tables."""
    layers = list(network.modules())
    kinds = Counter(type(layer).__name__ for layer in layers)
    shortcuts = sum(getattr(layer, "downsample", None) is not None for layer in layers)
    return {
        "Convolution": kinds["Conv2d"],
        "Convolution on the main path": kinds["Conv2d"] - shortcuts,
        "Convolution in a shortcut": shortcuts,
        "Batch normalisation": kinds["BatchNorm2d"],
        "Bottleneck": kinds["Bottleneck"],
        "ReLU": kinds["ReLU"],
        "Max-pooling": kinds["MaxPool2d"],
        "Fully connected": kinds["Linear"],
    }


@pytest.mark.parametrize(("name", "part"), [("vgg19", "2.2a"), ("resnet50", "2.3a")])
def test_layer_counts_are_those_of_the_networks(name, part):
    with torch.device("meta"):
        original = count(torchvision.models.get_model(name))
        encoder = count(smp.encoders.get_encoder(name, weights=None))
    for kind, in_original, in_encoder in answer_table(part):
        assert (int(in_original), int(in_encoder)) == (original[kind], encoder[kind]), kind


def test_what_vgg19_loses_without_its_classifier():
    with torch.device("meta"):
        networks = smp.encoders.get_encoder("vgg19", weights=None), torchvision.models.vgg19()
    encoder, original = (sum(p.numel() for p in network.parameters()) / 1e6 for network in networks)
    assert f"{encoder:.1f} of the original’s {original:.1f} million" in prose("2.2a")


def test_heights_and_widths_are_those_of_the_figures():
    """Which the figures' tests hold against the networks."""

    def written(maps):
        return [f"{height} × {width}" for _, height, width in maps]

    table = answer_table("2.2b")
    assert [row[1] for row in table] == written([*sizes.VGG19_BLOCKS, sizes.VGG19_LAST])
    assert [row[3] for row in table] == written([*sizes.FPN_PYRAMID[::-1], sizes.FPN_SUM, sizes.OUTPUT])
    conv1, pooled, *layers = [tuple(row[1:]) for row in answer_table("2.3a", 1)]
    maps = (sizes.RESNET50_STEM, *sizes.RESNET50_LAYERS)
    assert [conv1, *layers] == [(size, str(m[0])) for size, m in zip(written(maps), maps, strict=True)]
    assert pooled == (layers[0][0], conv1[1])
    assert written([sizes.FPN_SUM])[0] in prose("2.3a")


def test_share_of_parameters_and_costs_in_the_prose():
    ratio = measured.PARAMETERS[FPN_RESNET50] / measured.PARAMETERS[FPN_VGG19]
    costs = measured.MULT_ADDS_G[FPN_VGG19] / measured.MULT_ADDS_G[FPN_RESNET50]
    for part in ("2.3b", "3.3"):
        assert f"{100 * (ratio - 1):.0f} % more parameters" in prose(part)
        assert f"{costs:.1f} times the multiply-adds" in prose(part)


def test_four_encoders_are_ones_to_be_had():
    known = {"ResNeXt-50": "resnext50_32x4d", "DenseNet-121": "densenet121"}
    known |= {"MobileNetV2": "mobilenet_v2", "EfficientNet-B0": "efficientnet-b0"}
    assert {known[row[0]] for row in answer_table("2.1a")} <= set(smp.encoders.get_encoder_names())
