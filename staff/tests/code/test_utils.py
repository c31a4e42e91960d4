"""proj2_code/utils.py against its contracts: reading frames, preparing them, pictures, the check of a solution."""

import importlib.util
import io
import math
import pickle
import re
import socket
import sys
import unicodedata
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from PIL import Image

import student_code
import utils

CAR, BICYCLIST = 8, 10


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())
    return path


@pytest.fixture
def street(tmp_path):
    """A folder with blanks and accents: frames b, a, É (16×20) and their masks of random ids; the arrays besides."""
    random = np.random.default_rng(0)
    images, masks = tmp_path / "Mis imágenes" / "test", tmp_path / "Mis imágenes" / "testannot"
    arrays = {}
    for stem in ("b", "a", "É"):
        image, ids = random.integers(0, 256, (16, 20, 3), np.uint8), random.integers(0, 12, (16, 20), np.uint8)
        write(images / f"{stem}.png", image[..., ::-1])
        write(masks / f"{stem}.png", ids)
        arrays[stem] = image, ids
    return images, masks, arrays


@pytest.fixture
def shown(monkeypatch):
    """The figures that the code under test shows."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figures = []
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    yield figures
    plt.close("all")


# Dataset


def test_frames_come_sorted_as_rgb_with_one_mask_a_class(street):
    images, masks, arrays = street
    dataset = utils.Dataset(str(images), masks, classes=["bicyclist", "Car"])
    assert dataset.names == ["a", "b", "É"] and len(dataset) == len(list(dataset)) == 3
    for (image, mask), stem in zip(dataset, dataset.names, strict=True):
        pixels, ids = arrays[stem]
        assert image.dtype == np.uint8 and np.array_equal(image, pixels)
        assert mask.dtype == np.float32
        assert np.array_equal(mask, np.stack([ids == BICYCLIST, ids == CAR], axis=-1))


def test_all_classes_one_name_and_none(street):
    images, masks, arrays = street
    assert len(utils.CLASSES) == 12 and utils.CLASSES.index("car") == CAR and utils.Dataset.CLASSES == utils.CLASSES
    mask = utils.Dataset(images, masks)[0][1]
    assert mask.shape == (16, 20, 12) and np.array_equal(mask.argmax(-1), arrays["a"][1])
    assert np.array_equal(utils.Dataset(images, masks, classes="car")[0][1], mask[..., [CAR]])


def test_a_data_set_is_indexed_like_a_list(street):
    dataset = utils.Dataset(*street[:2])
    for k in (0, 1, 2, np.int64(1)):
        assert np.array_equal(dataset[k - 3][0], dataset[k][0])
    for k in (3, -4):
        with pytest.raises(IndexError, match=str(k)):
            dataset[k]


def test_what_file_managers_leave_behind_is_passed_over(street):
    images, masks, _ = street
    for folder in (images, masks):
        for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "._É.png"):
            (folder / name).write_bytes(b"\0")
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / "old").mkdir()
    write(masks / "spare.png", np.zeros((2, 2), np.uint8))
    assert utils.Dataset(images, masks).names == ["a", "b", "É"]


def test_pairs_are_found_by_stem_also_when_accents_are_written_in_two_ways(street):
    images, masks, arrays = street
    Image.open(images / "a.png").save(images / "a.jpg", quality=95)
    (images / "a.png").unlink()
    (images / "É.png").rename(images / f"{unicodedata.normalize('NFD', 'É')}.png")
    write(images / "b.c.bmp", arrays["b"][0])
    write(masks / "b.c.tiff", arrays["b"][1])
    dataset = utils.Dataset(images, masks)
    assert [path.name for path in dataset.images_fps[1:3]] == ["b.c.bmp", "b.png"]
    assert sorted(dataset.names) == sorted(["a", "b", "b.c", "É"])
    assert np.abs(dataset[0][0].astype(int) - arrays["a"][0]).mean() < 60
    assert np.array_equal(dataset[dataset.names.index("b.c")][1].argmax(-1), arrays["b"][1])


@pytest.mark.parametrize(
    ("save", "expected"),
    [
        (lambda p, a: Image.fromarray(a[..., 0]).save(p), lambda a: a[..., [0, 0, 0]]),
        (lambda p, a: Image.fromarray(np.dstack([a, a[..., 0]])).save(p), lambda a: a),
        (lambda p, a: Image.fromarray(a[..., 0], "P").save(p), None),
        (lambda p, a: write(p, a[..., ::-1].astype(np.uint16) * 257), lambda a: a),
    ],
    ids=["grey", "alpha", "palette", "16 bits"],
)
@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
def test_any_picture_becomes_rgb_of_8_bits(street, save, expected):
    images, masks, arrays = street
    save(images / "a.png", arrays["a"][0])
    image = utils.Dataset(images, masks)[0][0]
    assert image.dtype == np.uint8 and image.shape == (16, 20, 3)
    if expected:
        assert np.array_equal(image, expected(arrays["a"][0]))


def test_orientation_tags_turn_a_picture_of_ones_own_but_no_frame(street):
    images, masks, _ = street
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    Image.open(images / "a.png").save(images / "a.jpg", exif=exif)
    (images / "a.png").unlink()
    assert utils.Dataset(images, masks)[0][0].shape == (16, 20, 3)
    assert utils.read_picture(images / "a.jpg").shape == (20, 16, 3)
    assert np.array_equal(utils.read_picture(str(images / "b.png")), utils.Dataset(images, masks)[1][0])


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".pgm"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_masks_of_8_and_16_bits_keep_their_ids(street, suffix, dtype):
    images, masks, arrays = street
    if dtype is np.uint16 and suffix == ".bmp":
        suffix = ".tif"
    (masks / "a.png").unlink()
    write(masks / f"a{suffix}", arrays["a"][1].astype(dtype))
    assert np.array_equal(utils.Dataset(images, masks)[0][1].argmax(-1), arrays["a"][1])


def _palette(ids, colours):
    picture = Image.fromarray(ids).convert("P")
    picture.putpalette(colours)
    return picture


GREYS = [level for k in range(256) for level in [k * 20 % 256] * 3]
COLOURS = [k * 7 % 256 for k in range(768)]


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("palette.png", lambda p, ids: _palette(ids, COLOURS).save(p)),
        ("grey palette.png", lambda p, ids: _palette(ids, GREYS).save(p)),
        ("grey palette.bmp", lambda p, ids: _palette(ids // 12, GREYS).save(p)),
        ("colour.png", lambda p, ids: Image.fromarray(np.dstack([ids] * 3)).save(p)),
        ("alpha.png", lambda p, ids: Image.fromarray(ids).convert("LA").save(p)),
        ("lossy.jpg", lambda p, ids: Image.fromarray(ids).save(p)),
        ("lossy named.png", lambda p, ids: Image.fromarray(ids).save(p, "JPEG")),
        ("lossy.webp", lambda p, ids: Image.fromarray(ids).save(p)),
        ("one bit.png", lambda p, ids: Image.fromarray(ids > 5).save(p)),
        ("floats.tiff", lambda p, ids: write(p, ids.astype(np.float32))),
        ("32 bits.tiff", lambda p, ids: write(p, ids.astype(np.int32))),
        ("id 12.png", lambda p, ids: Image.fromarray(ids.clip(12)).save(p)),
        ("id 255.png", lambda p, ids: Image.fromarray(ids - 1).save(p)),
        ("id 256.png", lambda p, ids: write(p, ids.astype(np.uint16) * 256)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mask_that_could_become_other_ids_is_refused(street, name, save):
    images, masks, arrays = street
    ids = arrays["a"][1].copy()
    ids[0, 0] = 0
    (images / "a.png").rename(images / f"{name.rpartition('.')[0]}.png")
    save(masks / name, ids)
    dataset = utils.Dataset(images, masks)
    with pytest.raises(ValueError, match=rf"{name}.*( ids|the id )") as caught:
        dataset[dataset.names.index(name.rpartition(".")[0])]
    assert str(caught.value).startswith(str(masks))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    "spoil",
    [_truncate, lambda p: p.write_bytes(b""), lambda p: p.write_text("Not found")],
    ids=["cut", "empty", "text"],
)
@pytest.mark.parametrize("folder", [0, 1], ids=["frame", "mask"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_an_unreadable_file_is_named(street, spoil, folder, suffix, capfd):
    path = street[folder] / f"a{suffix}"
    write(path, street[2]["a"][folder])
    if suffix != ".png":
        (street[folder] / "a.png").unlink()
    spoil(path)
    dataset = utils.Dataset(*street[:2])
    with pytest.raises(ValueError, match=f"a{suffix} cannot be read as a picture.*cut short"):
        dataset[0]
    assert dataset[1][0].shape == (16, 20, 3)
    if not folder:
        with pytest.raises(ValueError, match="cannot be read"):
            utils.read_picture(path)


@pytest.mark.parametrize(
    ("spoil", "kind", "named"),
    [
        (lambda i, m: (m / "b.png").unlink(), FileNotFoundError, r"b\.png has no mask: put b\.png into .*testannot"),
        (lambda i, m: [f.unlink() for f in i.iterdir()], FileNotFoundError, r"test holds no files.*get_camvid"),
        (lambda i, m: [f.unlink() for f in m.iterdir()], FileNotFoundError, r"testannot holds no files.*get_camvid"),
        (lambda i, m: i.rename(i.parent / "gone"), FileNotFoundError, r"test is not a folder.*get_camvid"),
        (lambda i, m: m.rename(m.parent / "gone"), FileNotFoundError, r"testannot is not a folder.*get_camvid"),
        (lambda i, m: (m / "a.tiff").touch(), ValueError, r"a\.\w+ and a\.\w+ have the same stem"),
        (lambda i, m: (i / "a.jpg").touch(), ValueError, r"a\.\w+ and a\.\w+ have the same stem"),
    ],
)
def test_folders_that_hold_no_pairs_are_named_at_once(street, spoil, kind, named):
    spoil(*street[:2])
    with pytest.raises(kind, match=named):
        utils.Dataset(*street[:2])


@pytest.mark.parametrize("classes", [["car", "truck"], "truck", [8], [None]])
def test_an_unknown_class_is_named_with_the_known_ones(street, classes):
    with pytest.raises(ValueError, match=r"no class ('truck'|8|None): choose from sky.*unlabelled"):
        utils.Dataset(*street[:2], classes=classes)


def test_no_class_at_all_is_an_error(street):
    with pytest.raises(ValueError, match="at least one class"):
        utils.Dataset(*street[:2], classes=[])


def test_a_mask_of_another_size_is_named_with_both_sizes(street):
    images, masks, _ = street
    write(masks / "a.png", np.zeros((20, 16), np.uint8))
    with pytest.raises(ValueError, match=r"testannot.a\.png is 20×16 and its frame .*test.a\.png is 16×20"):
        utils.Dataset(images, masks)[0]


def prepared(street, classes=("car",)):
    return utils.Dataset(
        *street[:2],
        classes=classes,
        augmentation=utils.get_validation_augmentation(),
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_the_same(street, start):
    if start not in torch.multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {start}")
    dataset = prepared(street)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context=start)
    images, masks = (torch.cat(parts) for parts in zip(*loader, strict=True))
    for k, (image, mask) in enumerate(dataset):
        assert torch.equal(images[k], torch.from_numpy(image)) and torch.equal(masks[k], torch.from_numpy(mask))


def test_everything_in_a_data_set_can_be_pickled_for_workers(street):
    dataset = prepared(street)
    dataset.augmentation = utils.get_training_augmentation()
    assert pickle.loads(pickle.dumps(dataset)).names == dataset.names


# Augmentation and preprocessing


def test_validation_mirrors_frames_and_masks_to_a_size_the_networks_take():
    random = np.random.default_rng(0)
    augment = utils.get_validation_augmentation()
    image, mask = random.integers(0, 256, (360, 480, 3), np.uint8), random.random((360, 480, 1), np.float32).round()
    out = augment(image=image, mask=mask)
    border = ((12, 12), (0, 0), (0, 0))
    assert np.array_equal(out["image"], np.pad(image, border, "reflect"))
    assert np.array_equal(out["mask"], np.pad(mask, border, "reflect")) and out["mask"].dtype == np.float32
    for (h, w), size in {
        (384, 480): (384, 480),
        (10, 700): (384, 704),
        (500, 31): (512, 480),
        (385, 481): (416, 512),
    }.items():
        out = augment(image=np.zeros((h, w, 3), np.uint8), mask=np.zeros((h, w, 2), np.float32))
        assert out["image"].shape == (*size, 3) and out["mask"].shape == (*size, 2)


@pytest.mark.parametrize("size", [(360, 480), (100, 700), (720, 960)])
def test_training_changes_image_and_mask_alike(size):
    augment = utils.get_training_augmentation()
    augment.set_random_seed(0)
    mask = np.zeros((*size, 1), np.float32)
    mask[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = 1
    image = np.repeat((mask * 160 + 40).astype(np.uint8), 3, axis=2)
    results = [augment(image=image, mask=mask) for _ in range(12)]
    for out in results:
        assert out["image"].shape == (320, 320, 3) and out["image"].dtype == np.uint8
        assert out["mask"].shape == (320, 320, 1) and set(np.unique(out["mask"])) <= {0, 1}
        inside, outside = out["image"][out["mask"][..., 0] == 1], out["image"][out["mask"][..., 0] == 0]
        if len(inside) and len(outside):
            assert np.median(inside) > np.median(outside)
    assert any(not np.array_equal(results[0]["mask"], out["mask"]) for out in results)


@pytest.mark.parametrize("name", ["resnet50", "vgg19", "tu-vgg19"])
@pytest.mark.parametrize("change", [np.uint8, np.int64, np.float32, lambda a: a / 255, lambda a: a[::-1, :, ::-1]])
def test_preprocessing_is_smps_without_the_network(monkeypatch, name, change):
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail("asked the network"))
    image = change(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8))
    before = image.copy()
    result = utils.get_preprocessing_fn(name)(image)
    smps = smp.encoders.get_preprocessing_fn("tu-" + name.removeprefix("tu-"))(image)
    assert result.dtype == np.float32 and np.allclose(result, smps, atol=1e-5)
    assert np.allclose(
        result, (image / (255 if image.max() > 1 else 1) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-5
    )
    assert np.array_equal(image, before)


def test_a_dark_image_of_integers_is_still_in_0_to_255():
    """smp takes every image without a value above 1 to be in 0..1."""
    fn = utils.get_preprocessing_fn("resnet50")
    dark = fn(np.ones((1, 1, 3), np.uint8))
    assert np.allclose(dark, (1 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], atol=1e-5)
    assert np.allclose(dark, fn(np.ones((1, 1, 3), np.int64)), atol=1e-6)


def test_an_encoder_whose_values_are_not_known_offline_is_named():
    with pytest.raises(ValueError, match=r"'my_net'.*'resnet50'"):
        utils.get_preprocessing_fn("my_net")


def test_preprocessing_with_a_function_of_smps_gives_what_a_network_takes(street):
    preprocessing = utils.get_preprocessing(smp.encoders.get_preprocessing_fn("tu-vgg19"))
    image, mask = utils.Dataset(*street[:2], classes=["car", "sky"], preprocessing=preprocessing)[0]
    raw, raw_mask = utils.Dataset(*street[:2], classes=["car", "sky"])[0]
    assert image.shape == (3, 16, 20) and mask.shape == (2, 16, 20)
    assert image.dtype == mask.dtype == np.float32 and image.flags.c_contiguous
    assert np.array_equal(mask, raw_mask.transpose(2, 0, 1))
    assert np.allclose(image, utils.get_preprocessing_fn("vgg19")(raw).transpose(2, 0, 1), atol=1e-5)


def test_the_sample_stands_in_for_camvid_until_that_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    data = tmp_path / "data"
    sample = data / "sample" / "test", data / "sample" / "testannot"
    assert utils.get_test_dirs() == sample
    assert "CamVid is not in data/CamVid: using the rendered scenes" in capsys.readouterr().out
    folders = data / "CamVid" / "test", data / "CamVid" / "testannot"
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    assert utils.get_test_dirs() == folders and capsys.readouterr().out == ""
    (folders[0] / "b.png").touch()
    assert utils.get_test_dirs() == sample
    assert "CamVid is not whole in data/CamVid: using the rendered scenes" in capsys.readouterr().out


class Bright(torch.nn.Module):
    """A network for normalised images: object where the red channel is bright; only takes multiples of 32."""

    def __init__(self):
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.tensor(0.0))
        self.sizes = []

    def forward(self, x):
        self.sizes.append(tuple(x.shape))
        assert x.shape[2] % 32 == x.shape[3] % 32 == 0 and not self.training and torch.is_inference_mode_enabled()
        return torch.special.expit((x[:, :1] - self.threshold) * 9)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((360, 480), (384, 480)),
        ((301, 333), (320, 352)),
        ((1, 1), (32, 32)),
        ((2000, 1500), (960, 736)),
        ((3, 4000), (32, 960)),
    ],
)
def test_a_picture_of_any_size_gets_a_mask_of_its_size(size, seen):
    picture = np.zeros((*size, 3), np.uint8)
    picture[:, size[1] // 2 :] = 255
    model = Bright().train()
    mask = utils.predict_mask(model, picture, utils.get_preprocessing_fn("resnet50"))
    assert mask.shape == size and mask.dtype == np.uint8 and model.sizes == [(1, 3, *seen)] and model.training
    wrong = mask != (picture[..., 0] > 127)
    assert wrong.sum() <= 2 * size[0]


def test_the_mask_of_a_shrunk_picture_is_not_shifted():
    rows = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), 1000)
    picture = np.broadcast_to(rows[:, None, None], (1000, 50, 3))
    masks = [
        utils.predict_mask(Bright(), np.ascontiguousarray(seen), utils.get_preprocessing_fn("resnet50"), max_side=639)
        for seen in (picture, picture[::-1])
    ]
    assert 0 < masks[0].mean() < 1 and np.array_equal(masks[1], masks[0][::-1])


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4), (1, 20, 30, 3)])
def test_a_picture_that_is_not_rgb_is_refused(shape):
    with pytest.raises(ValueError, match="×".join(map(str, shape))):
        utils.predict_mask(Bright(), np.zeros(shape, np.uint8), utils.get_preprocessing_fn("resnet50"))


def test_evaluation_mode_restores_every_flag_after_an_error_too():
    model = smp.FPN("mobilenet_v2", encoder_weights=None)
    model.freeze_encoder()
    model.decoder.eval()
    flags = [module.training for module in model.modules()]
    assert len(set(flags)) == 2
    with pytest.raises(KeyError), utils.evaluation_mode(model) as same:
        assert same is model and not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == flags


# Pictures


def test_visualize_shows_one_row_with_titles_from_the_names(shown):
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    mask = np.eye(4, 5)
    utils.visualize(image=image, cars_mask=mask, final_seg=torch.from_numpy(image).long() * 9)
    axes = shown[0].axes
    assert [ax.get_title() for ax in axes] == ["Image", "Cars Mask", "Final Seg"]
    assert len({ax.get_subplotspec().rowspan.start for ax in axes}) == 1
    drawn = [ax.images[0].get_array() for ax in axes]
    assert np.array_equal(drawn[0], image) and np.array_equal(drawn[1], mask)
    assert np.array_equal(drawn[2], (image.astype(int) * 9).clip(0, 255))
    assert not any(ax.get_xticks().size or ax.get_yticks().size for ax in axes)
    with pytest.raises(ValueError, match="name the pictures"):
        utils.visualize()


IMAGE = np.random.default_rng(3).integers(0, 256, (6, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (IMAGE, IMAGE),
        (IMAGE.transpose(2, 0, 1), IMAGE),
        (IMAGE / 255, IMAGE),
        (IMAGE.astype(np.float32), IMAGE),
        (torch.from_numpy(IMAGE).float().requires_grad_(), IMAGE),
        (torch.from_numpy(IMAGE).long() - 50, (IMAGE.astype(int) - 50).clip(0)),
        (IMAGE[..., :1], IMAGE[..., 0]),
        (IMAGE[None, ..., 0], IMAGE[..., 0]),
        (torch.ones(1, 6, 7).bool(), np.ones((6, 7))),
        (np.zeros((6, 7)), np.zeros((6, 7))),
    ],
)
def test_visualize_takes_pictures_and_masks_of_every_layout(shown, given, drawn):
    utils.visualize(picture=given)
    artist = shown[0].axes[0].images[0]
    assert np.abs(np.asarray(artist.get_array(), float) - drawn).max() <= (1 if given is not IMAGE else 0)
    if np.ndim(drawn) == 2:
        low, high = artist.get_clim()
        assert low == 0 and high == max(1, np.max(drawn))  # an empty mask and a full one differ


def test_visualize_says_what_it_cannot_show(shown):
    with pytest.raises(ValueError, match="2×6×7"):
        utils.visualize(mask=np.zeros((2, 6, 7)))


def test_display_shows_one_pair_or_all_without_preprocessing(street, shown):
    dataset = prepared(street)
    dataset.display(-1)
    dataset.display()
    assert len(shown) == 4
    padded, mask = utils.Dataset(*street[:2], classes=["car"], augmentation=utils.get_validation_augmentation())[2]
    for figure in (shown[0], shown[3]):
        assert [ax.get_title() for ax in figure.axes] == ["Image", "Car Mask"]
        assert np.array_equal(figure.axes[0].images[0].get_array(), padded)
        assert np.array_equal(figure.axes[1].images[0].get_array(), mask[..., 0])
    utils.Dataset(*street[:2]).display(0)
    assert np.array_equal(shown[4].axes[1].images[0].get_array(), street[2]["a"][1] + 1)
    with pytest.raises(IndexError):
        dataset.display(3)


PREDICTED, TRUE = np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]])
ERRORS = [["hit", "false alarm"], ["missed", None]]


@pytest.mark.parametrize("form", [lambda m: m, lambda m: m[..., None] > 0, lambda m: torch.from_numpy(m)[None] * 0.7])
def test_error_map_colours_hits_misses_and_false_alarms(form):
    picture = utils.error_map(form(PREDICTED), form(TRUE))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[list(utils.ERROR_COLOURS.get(kind, (0, 0, 0))) for kind in row] for row in ERRORS]
    over = utils.error_map(form(PREDICTED), form(TRUE), np.full((2, 2, 3), (30, 60, 90), np.uint8))
    assert over[1, 1].tolist() == [60] * 3 and np.array_equal(over[0], picture[0])


def test_error_map_names_unequal_sizes():
    with pytest.raises(ValueError, match=r"predicted mask is 2×2, the true mask 3×2"):
        utils.error_map(PREDICTED, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"the picture 4×2"):
        utils.error_map(PREDICTED, TRUE, np.zeros((4, 2, 3)))


def test_show_prediction_draws_four_pictures_and_a_legend(shown):
    image = np.full((2, 2, 3), 90, np.uint8)
    utils.show_prediction(image, TRUE, PREDICTED)
    axes = shown[0].axes
    assert [ax.get_title() for ax in axes] == ["Image", "True Mask", "Pred Mask", "Errors"]
    for ax, drawn in zip(axes, (image, TRUE, PREDICTED, utils.error_map(PREDICTED, TRUE, image)), strict=True):
        assert np.array_equal(ax.images[0].get_array(), drawn)
    assert {text.get_text() for text in axes[3].get_legend().get_texts()} == set(utils.ERROR_COLOURS)


@pytest.mark.parametrize("count", [1, 5, 64, 70])
def test_feature_maps_are_one_tiled_picture(shown, count):
    maps = (
        torch.rand(1, count, 30, 48, generator=torch.Generator().manual_seed(0))
        * torch.arange(1, count + 1)[:, None, None]
    )
    maps.requires_grad_()
    utils.show_feature_maps(maps, "conv1")
    (ax,) = shown[0].axes
    canvas = np.asarray(ax.images[0].get_array())
    number = min(count, 64)
    columns = math.ceil(math.sqrt(number))
    assert ax.get_title() == ("conv1" if count <= 64 else "conv1 (the first 64 of 70)")
    for k in range(number):
        tile = canvas[k // columns * 32 :, k % columns * 50 :][:30, :48]
        low, high = np.percentile(maps[0, k].detach().numpy(), (1, 99))
        assert np.allclose(tile, ((maps[0, k].detach().numpy() - low) / (high - low)).clip(0, 1), atol=1e-4)
    assert np.isfinite(canvas).sum() == number * 30 * 48


def test_feature_maps_that_are_flat_or_of_another_shape(shown):
    utils.show_feature_maps(np.zeros((2, 4, 4)), "flat")
    canvas = np.asarray(shown[0].axes[0].images[0].get_array())
    assert set(canvas[np.isfinite(canvas)]) == {0}
    for shape in ((4, 4), (2, 3, 4, 4)):
        with pytest.raises(ValueError, match="×".join(map(str, shape))):
            utils.show_feature_maps(np.zeros(shape), "wrong")


# verify

RED, GREEN, END = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def fails_with_message():
    raise AssertionError("sigmoid(0) is 0.4, expected 0.5\n  and more\n")


def fails_without_message():
    y = 3
    assert y == 4


def is_not_done():
    raise NotImplementedError("TO-DO 1: sigmoid")


def breaks_in_a_library():
    student_code.softmax(torch.ones(2), dim=5)


def is_done_but_ands_floats():
    return torch.ones(2) & torch.ones(2)


def breaks_in_given_code():
    student_code.sigmoid(torch.tensor([1j]))


def breaks_here():
    return {}["key"]


def skips():
    pytest.fail("no such thing")


def leaves():
    sys.exit(3)


def test_verify_says_correct_in_green_and_prints_nothing(capsys):
    assert utils.verify(lambda: None) == f'{GREEN}"Correct"{END}'
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (fails_with_message, "sigmoid(0) is 0.4, expected 0.5 and more"),
        (is_not_done, "TO-DO 1: sigmoid"),
        (
            is_done_but_ands_floats,
            "NotImplementedError: \"bitwise_and_cpu\" not implemented for 'Float' (test_utils.py, line ",
        ),
        (skips, "Failed: no such thing"),
        (leaves, "SystemExit: 3"),
        (
            breaks_in_a_library,
            "IndexError: Dimension out of range (expected to be in range of [-1, 0], but got 5) (student_code.py, ",
        ),
        (breaks_here, "KeyError: 'key' (test_utils.py, line "),
        (lambda missing: None, "TypeError: "),
    ],
)
def test_verify_says_wrong_in_red_and_why(test, reason):
    result = utils.verify(test)
    assert result.startswith(f'{RED}"Wrong"{END} {reason}') and "\n" not in result and "Traceback" not in result


def test_verify_names_the_line_that_called_given_code():
    where = re.search(r"\(student_code\.py, line (\d+)\)$", utils.verify(breaks_in_given_code))
    lines = Path(student_code.__file__).read_text("utf-8").splitlines()
    assert where and lines[int(where[1]) - 1] == "    x = utils.as_floating(x)"


def test_verify_shows_an_assertion_without_a_message(tmp_path):
    """Compiled apart: pytest gives every assertion of its own test files a message."""
    space = module_of(tmp_path / "plain.py", "def test():\n    y = 3\n    assert y == 4\n")
    assert utils.verify(space.test) == f'{RED}"Wrong"{END} it does not hold that y == 4 (plain.py, line 3).'


def test_verify_keeps_long_messages_short_and_printable(monkeypatch):
    def fails():
        raise AssertionError("expected ≥ 0 " + "x " * 5000)

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    result = utils.verify(fails)
    assert len(result) < 500 and "expected ? 0 x" in result


def test_verify_lets_the_interrupt_key_through_and_refuses_a_result():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        utils.verify(interrupted)
    with pytest.raises(TypeError, match="without brackets"):
        utils.verify(None)


def module_of(path, text, name=None):
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = """
import functools
import torch

def sigmoid(x):
    return 1 / (1 + torch.exp(-x))

@torch.no_grad()
def decorated(x):
    return x

def twice(x):
    return 1

def twice(x):
    return [2 for _ in x]

def make():
    def inner():
        return 3
    return inner

made, partial, anonymous = make(), functools.partial(sigmoid, 1), lambda x: x
from math import sqrt
from textwrap import dedent
"""


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (SOURCE, None),
        (SOURCE + "\n# a note\nMORE = 1\n", None),
        (SOURCE.replace("(-x))", "(-x)"), r"student_code.py cannot be imported: line 6: '\(' was never closed"),
        (SOURCE.replace("    return 1 /", "  return\n    return 1 /"), "student_code.py cannot be imported: line 7: "),
        (SOURCE + "\0", "student_code.py cannot be imported"),
        (SOURCE.replace("exp(-x)", "exp(-x / 2)"), "student_code.py has changed since sigmoid"),
        (SOURCE.replace("exp(-x)", "exp2(-x)"), "student_code.py has changed since sigmoid"),
        (SOURCE.replace("def sigmoid", "def sigmoids"), "student_code.py has changed since sigmoid"),
        (
            "import no_such\n" + SOURCE.replace("exp(", "exp2("),
            "changed since sigmoid was imported, or cannot be imported",
        ),
        (SOURCE.replace("return x\n", "return 2 * x\n"), "student_code.py has changed since decorated"),
        (SOURCE.replace("return [2", "return [3"), "student_code.py has changed since twice"),
    ],
)
def test_verify_knows_code_that_is_not_what_the_file_holds(monkeypatch, tmp_path, saved, reason):
    path = tmp_path / "student_code.py"
    monkeypatch.setitem(sys.modules, "student_code", module_of(path, SOURCE))
    monkeypatch.setattr(sys.modules["student_code"], "sqrt", fails_with_message)  # a stand-in is no stale code
    path.write_text(saved)
    result = utils.verify(lambda: None)
    if reason is None:
        assert result == f'{GREEN}"Correct"{END}'
    else:
        assert result.startswith(f'{RED}"Wrong"{END} ')
        assert re.search(reason, result), result


def test_verify_names_student_code_that_is_gone(monkeypatch, tmp_path):
    path = tmp_path / "proj2_code" / "student_code.py"
    path.parent.mkdir()
    monkeypatch.setitem(sys.modules, "student_code", module_of(path, SOURCE))
    path.rename(path.with_name("student_code_old.py"))
    assert utils.verify(lambda: None) == f'{RED}"Wrong"{END} student_code.py is missing from proj2_code.'


def test_verify_accepts_a_function_that_ipython_has_reloaded_alone(monkeypatch, tmp_path):
    """Its autoreload compiles the changed function out of its file: other line numbers, other byte code."""
    path = tmp_path / "student_code.py"
    module = module_of(path, SOURCE)
    monkeypatch.setitem(sys.modules, "student_code", module)
    path.write_text("# a line more\n" + SOURCE.replace("exp(-x)", "exp2(-x)"))
    assert "Wrong" in utils.verify(lambda: None)
    alone = "def sigmoid(x):\n    return 1 / (1 + torch.exp2(-x))"
    space = {}
    exec(alone, space)
    module.sigmoid.__code__ = space["sigmoid"].__code__
    assert utils.verify(lambda: None) == f'{GREEN}"Correct"{END}'


def test_verify_does_not_need_student_code(monkeypatch):
    monkeypatch.delitem(sys.modules, "student_code", raising=False)
    assert "Correct" in utils.verify(lambda: None)
    monkeypatch.setitem(sys.modules, "student_code", None)
    assert "Correct" in utils.verify(lambda: None)


def test_printable_replaces_only_what_the_console_lacks(monkeypatch):
    for encoding, expected in (("cp1252", "José ? ×"), ("ascii", "Jos? ? ?"), ("utf-8", "José ≥ ×")):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        assert utils.printable("José ≥ ×") == expected
    monkeypatch.setattr(sys, "stdout", None)
    assert utils.printable("José ≥ ×") == "José ≥ ×"
