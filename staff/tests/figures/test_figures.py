"""The figures are what the code draws, can be read, and say what is true of the models."""

from itertools import combinations, pairwise

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

import utils
from data.render_street import render
from data.render_street.camera import CAR
from staff.figures import architectures as sizes
from staff.figures import concepts
from staff.figures.draw_figures import FIGURES, ROOT
from staff.figures.style import CLASS_COLOURS, DPI, FALSE_ALARM, HIT, MISSED, pixels, save, style
from staff.kit.report import answers

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def figures():
    with style():
        drawn = {name: draw() for name, draw in FIGURES.items()}
        yield {name: (figure, pixels(figure)) for name, figure in drawn.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_drawing_again_gives_the_committed_picture(name, figures):
    drawn = np.asarray(figures[name][1].convert("RGB"), int)
    with Image.open(ROOT / name) as committed:
        stored = np.asarray(committed.convert("RGB"), int)
    assert stored.shape == drawn.shape, f"{name} has another size: run `make figures`"
    different = (np.abs(stored - drawn).max(axis=2) > 60).sum()
    assert different <= 40, f"{name} differs in {different} pixels from what is drawn: run `make figures`"


@pytest.mark.parametrize("name", FIGURES)
def test_texts_are_large_inside_the_page_and_apart(name, figures):
    figure, picture = figures[name]
    texts = [text for axes in figure.axes for text in axes.findobj(match=_is_written)]
    assert texts, f"{name} has no text"
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts]
    for text in texts:
        assert text.get_size() >= 10.5, f"{name}: {text.get_text()!r} is too small at 900 pixels"
    for words, box in boxes:
        inside = box.x0 >= 4 and box.x1 <= picture.width - 4 and box.y0 >= 4 and box.y1 <= picture.height - 4
        assert inside, f"{name}: {words!r} reaches the edge"
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.overlaps(second), f"{name}: {one!r} and {other!r} overlap"


def _is_written(artist) -> bool:
    return isinstance(artist, Text) and artist.get_visible() and bool(artist.get_text().strip())


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_small_and_as_wide_as_a_page(name):
    assert (ROOT / name).stat().st_size < 220_000
    with Image.open(ROOT / name) as picture:
        assert picture.width == 9 * DPI


def test_every_committed_picture_has_its_drawing():
    stored = {f"proj2_code/figures/{path.name}" for path in (ROOT / "proj2_code/figures").glob("[!.]*")}
    assert stored == {name for name in FIGURES if "/figures/" in name}


def test_saving_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path):
    with style():
        for name in ("first.png", "second.png"):
            save(concepts.sigmoid(), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert not picture.info, "the file names a date, a program or a resolution"
    assert len(list(tmp_path.iterdir())) == 2


def test_interrupted_saving_keeps_the_earlier_picture(tmp_path, monkeypatch):
    (tmp_path / "sigmoid.png").write_bytes(b"earlier")

    def full_disk(self, file, **kwargs):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with style(), pytest.raises(OSError, match="no space left"):
        save(concepts.sigmoid(), tmp_path / "sigmoid.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]


def test_classes_have_the_datasets_names_and_order():
    assert list(CLASS_COLOURS) == list(utils.CLASSES)
    assert len(set(CLASS_COLOURS.values())) == len(CLASS_COLOURS)


@pytest.fixture(scope="module")
def cars():
    """The number of cars in the scene that stands for segmentation."""
    return int(render(concepts.STREET_SEED, instances=True)[2].max())


@pytest.mark.slow
def test_there_is_a_colour_for_each_car(cars):
    assert 1 < cars <= len(concepts.CAR_COLOURS)
    assert list(CLASS_COLOURS).index("car") == CAR


def test_no_car_has_a_colour_that_means_a_class_or_another_car():
    colours = np.array([to_rgb(colour) for colour in (*concepts.CAR_COLOURS, *CLASS_COLOURS.values())], np.float32)
    lab = cv2.cvtColor(colours[None], cv2.COLOR_RGB2LAB)[0]
    n = len(concepts.CAR_COLOURS)
    for i, j in combinations(range(len(lab)), 2):
        assert i >= n or np.linalg.norm(lab[i] - lab[j]) > 20, (i, j)


@pytest.mark.slow
def test_every_car_keeps_its_colour_among_the_256_of_the_file(cars):
    with Image.open(ROOT / "proj2_code/figures/semantic_segmentation.png") as picture:
        stored = np.reshape(picture.getpalette(), (-1, 3))
    for colour in concepts.CAR_COLOURS[-cars:]:
        distance = np.abs(stored - 255 * np.array(to_rgb(colour))).max(axis=1).min()
        assert distance <= 16, f"{colour} has become another: take one that is farther from the others"


def test_error_colours_are_the_notebooks():
    drawn = {"hit": HIT, "missed": MISSED, "false alarm": FALSE_ALARM}
    assert {kind: to_hex(np.divide(rgb, 255)) for kind, rgb in utils.ERROR_COLOURS.items()} == {
        kind: to_hex(colour) for kind, colour in drawn.items()
    }


def test_question_3_has_equal_overlap_and_a_larger_union_for_the_second_prediction():
    truth, first, second = concepts.question_masks()
    assert (truth & first).sum() == (truth & second).sum() > 0
    assert (truth | second).sum() > 1.1 * (truth | first).sum()
    assert answers.WRITTEN["3.1b"].texts[0][0].startswith("**Pred Mask1.**")


def run(architecture, encoder):
    """Return the model on the meta device, its encoder's maps, and the shape of each module's output by name."""
    shapes = {}
    with torch.device("meta"):
        model = architecture(encoder, encoder_weights=None, classes=1, activation="sigmoid").eval()
        for name, module in model.named_modules():
            module.register_forward_hook(lambda _, __, y, name=name: shapes.update({name: shape_of(y)}))
        features = model.encoder(torch.empty(1, *sizes.INPUT))
        model(torch.empty(1, *sizes.INPUT))
    return model, [shape_of(feature) for feature in features], shapes


def shape_of(output):
    return tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]


@pytest.mark.parametrize("encoder", ["resnet50", "vgg19"])
def test_fpn_sizes(encoder):
    model, features, shapes = run(smp.FPN, encoder)
    decoder, head = model.decoder, model.segmentation_head
    assert tuple(shapes[f"decoder.p{level}"] for level in (2, 3, 4, 5)) == sizes.FPN_PYRAMID
    assert {shapes[f"decoder.seg_blocks.{i}"] for i in range(4)} == {shapes["decoder"]} == {sizes.FPN_SUM}
    upsamplings = [sum(layer.upsample for layer in block.block) for block in decoder.seg_blocks]
    assert tuple(upsamplings[::-1]) == sizes.FPN_UPSAMPLINGS
    assert [len(block.block) for block in decoder.seg_blocks] == [3, 2, 1, 1]
    assert all(conv.kernel_size == (3, 3) for conv in convolutions(decoder.seg_blocks))
    assert all(conv.kernel_size == (1, 1) for level in "2345" for conv in convolutions(getattr(decoder, f"p{level}")))
    assert decoder.merge.policy == "add"
    assert head[0].kernel_size == (sizes.FPN_HEAD_KERNEL,) * 2
    assert head[1].scale_factor == sizes.FPN_HEAD_UPSAMPLING
    assert shapes[""] == sizes.OUTPUT
    channels = [
        512 if encoder == "vgg19" and level > 2 else size[0] for level, size in enumerate(sizes.RESNET50_LAYERS, 2)
    ]
    assert [feature[0] for feature in features[2:]] == channels


def test_fpn_interpolation(monkeypatch):
    """Three steps down the pyramid, then 0 + 1 + 2 + 3 in the segmentation blocks, then the head."""
    modes, interpolate = [], torch.nn.functional.interpolate

    def record(x, size=None, scale_factor=None, mode="nearest", *args, **options):
        modes.append(mode)
        return interpolate(x, size, scale_factor, mode, *args, **options)

    model = smp.FPN("mobilenet_v2", encoder_weights=None).eval()
    with torch.inference_mode():
        monkeypatch.setattr(torch.nn.functional, "interpolate", record)
        model(torch.zeros(1, 3, 32, 32))
    blocks = sum(sizes.FPN_UPSAMPLINGS)
    assert modes == [sizes.FPN_PYRAMID_MODE] * 3 + [sizes.FPN_BLOCK_MODE] * blocks + [sizes.FPN_HEAD_MODE]


def test_resnet50_sizes():
    model, features, _ = run(smp.FPN, "resnet50")
    layers = [getattr(model.encoder, f"layer{i}") for i in (1, 2, 3, 4)]
    assert features[1] == sizes.RESNET50_STEM
    assert tuple(features[2:]) == sizes.RESNET50_LAYERS
    assert tuple(map(len, layers)) == sizes.RESNET50_BOTTLENECKS
    block = layers[0][1]
    convs = convolutions(block)
    assert tuple(conv.kernel_size[0] for conv in convs) == sizes.BOTTLENECK_KERNELS
    assert (convs[0].in_channels, *(conv.out_channels for conv in convs)) == sizes.BOTTLENECK_CHANNELS
    assert block.downsample is None
    assert all(layer[0].downsample[0].kernel_size == (1, 1) for layer in layers)
    assert len(convolutions(model.encoder)) - len(layers) == 1 + 3 * sum(sizes.RESNET50_BOTTLENECKS) == 49


def test_vgg19_sizes():
    model, features, _ = run(smp.FPN, "vgg19")
    pools = [i for i, layer in enumerate(model.encoder.features) if isinstance(layer, torch.nn.MaxPool2d)]
    blocks = [model.encoder.features[start:stop] for start, stop in pairwise([0, *pools])]
    assert tuple(len(convolutions(block)) for block in blocks) == sizes.VGG19_CONVOLUTIONS
    assert tuple(features) == (*sizes.VGG19_BLOCKS, sizes.VGG19_LAST)


def test_pspnet_sizes():
    model, features, shapes = run(smp.PSPNet, "resnet50")
    pyramid, head = model.decoder.psp, model.segmentation_head
    assert features[-1] == sizes.PSP_FEATURES
    assert tuple(block.pool_size for block in pyramid.blocks) == sizes.PSP_GRIDS
    assert {shapes[f"decoder.psp.blocks.{i}"] for i in range(4)} == {
        (sizes.PSP_BRANCH_CHANNELS, *sizes.PSP_FEATURES[1:])
    }
    assert shapes["decoder.psp"] == sizes.PSP_CONCATENATED
    assert shapes["decoder"] == sizes.PSP_BEFORE_HEAD
    assert head[0].kernel_size == (sizes.PSP_HEAD_KERNEL,) * 2
    assert head[1].scale_factor == sizes.PSP_HEAD_UPSAMPLING
    assert shapes[""] == sizes.OUTPUT
