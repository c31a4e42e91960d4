"""utils.Dataset against its contract: which files it takes, what it reads from them, what it says of bad ones."""

import pickle
import unicodedata

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import utils

CAR, BICYCLIST = 8, 10


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())
    return path


def test_frames_come_sorted_as_rgb_with_one_mask_a_class(street):
    images, masks, arrays = street
    dataset = utils.Dataset(str(images), masks, classes=["bicyclist", "Car"])
    assert dataset.names == ["a", "b", "É"] and len(dataset) == len(list(dataset)) == 3
    for (image, mask), stem in zip(dataset, dataset.names, strict=True):
        pixels, ids = arrays[stem]
        assert image.dtype == np.uint8 and np.array_equal(image, pixels)
        assert mask.dtype == np.float32
        assert np.array_equal(mask, np.stack([ids == BICYCLIST, ids == CAR], axis=-1))


def test_all_classes_one_name_and_none(street, monkeypatch):
    images, masks, arrays = street
    monkeypatch.chdir(images.parent)
    assert utils.Dataset("./test/", "./testannot/").names == ["a", "b", "É"]
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
    assert len(dataset[1:]) == 2 and np.array_equal(dataset[1:][0][0], dataset[1][0])


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


def test_workers_read_the_same(prepared):
    loader = torch.utils.data.DataLoader(prepared, batch_size=2, num_workers=1)
    images, masks = (torch.cat(parts) for parts in zip(*loader, strict=True))
    for k, (image, mask) in enumerate(prepared):
        assert torch.equal(images[k], torch.from_numpy(image)) and torch.equal(masks[k], torch.from_numpy(mask))


def test_everything_in_a_data_set_can_be_pickled_for_workers(prepared):
    dataset = prepared
    dataset.augmentation = utils.get_training_augmentation()
    assert pickle.loads(pickle.dumps(dataset)).names == dataset.names
