"""staff/training/labelmefacade.py on small made-up originals behind a real local server."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from staff.tests.data.local_server import LocalServer, write_registry
from staff.training import labelmefacade as lmf

REAL = os.environ.get("LABELMEFACADE_DIR")
COLOURS = {
    "building": (128, 0, 0),
    "car": (128, 0, 128),
    "door": (128, 128, 0),
    "pavement": (128, 128, 128),
    "road": (128, 64, 0),
    "sky": (0, 128, 128),
    "vegetation": (0, 128, 0),
    "window": (0, 0, 128),
    "various": (0, 0, 0),
}
IDS = dict(building=1, car=8, door=1, pavement=4, road=3, sky=0, vegetation=5, window=1, various=11)


def encoded(array, kind):
    """A picture's bytes, written by another library than the one that reads them."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, quality=95)
    return buffer.getvalue()


def street(height=30, width=40, car_rows=0, tint=(200, 40, 40)):
    """(photograph, label image): sky above road, `car_rows` rows of car at the bottom."""
    photograph = np.full((height, width, 3), tint, np.uint8)
    labels = np.full((height, width, 3), COLOURS["sky"], np.uint8)
    labels[height // 2 :] = COLOURS["road"]
    labels[height - car_rows :] = COLOURS["car"]
    return photograph, labels


def originals(streets):
    files = {"images/filelist.txt": b"not a picture"}
    for name, (photograph, labels) in streets.items():
        files[f"images/{name}.jpg"] = encoded(photograph, "JPEG")
        files[f"labels/{name}.png"] = encoded(labels, "PNG")
    return files


STREETS = {
    "flat": street(car_rows=3),
    "upright": street(40, 30, car_rows=10, tint=(40, 40, 200)),
    "large": street(720, 960, car_rows=100),
    **{f"empty{number:02}": street() for number in range(26)},
}
CHOSEN = set(lmf.choose({name: 0.0 if name.startswith("empty") else 0.1 for name in STREETS}))
PARTS = (("images", ".jpg"), ("annot", ".png"))


@pytest.fixture
def server():
    with LocalServer(originals(STREETS)) as running:
        yield running


@pytest.fixture
def call(server, tmp_path, call_main):
    def run(*arguments, **changes):
        registry = tmp_path / "registry.txt"
        if not registry.exists():
            write_registry(registry, server.files)
        return call_main(lmf.main, lmf.LABELMEFACADE, registry, arguments, **{"base_url": server.url} | changes)

    return run


def prepared(folder, names=("a", "b")):
    """A folder as LABELMEFACADE_DIR names one."""
    for part, suffix in (("images", "jpg"), ("annot", "png")):
        (folder / part).mkdir(parents=True)
        for name in names:
            (folder / part / f"{name}.{suffix}").write_bytes(f"{part} {name}".encode())
    return folder


def listing(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def read(path):
    with Image.open(path) as image:
        return np.array(image)


def test_registry_lists_every_photograph_with_its_label_image():
    hashes = lmf.get_camvid.load_registry(lmf.REGISTRY)
    assert len(hashes) == 1892
    photographs = {Path(name).stem for name in hashes if name.startswith("images/") and name.endswith(".jpg")}
    assert photographs == {Path(name).stem for name in hashes if name.startswith("labels/")}
    assert len(photographs) == 945


def test_every_colour_becomes_its_camvid_id():
    colours = np.array([list(COLOURS.values())], np.uint8)
    ids = lmf.to_camvid_ids(colours)
    assert ids.dtype == np.uint8
    assert ids.tolist() == [list(IDS.values())]
    assert lmf.to_camvid_ids(np.array([[[128, 0, 127]]], np.uint8)).tolist() == [[11]]


def test_chooses_all_with_cars_and_about_every_sixth_other_always_the_same():
    shares = {f"{number:03}": 0.006 if number < 100 else 0.005 for number in range(700)}
    chosen = lmf.choose(shares)
    assert chosen == sorted(chosen) == lmf.choose(dict(reversed(shares.items())))
    assert chosen[:100] == sorted(shares)[:100]
    assert 70 <= len(chosen) - 100 <= 130
    without_cars = {name: 0.0 for name in shares if name >= "100"}
    assert lmf.choose(without_cars) == chosen[100:]


@pytest.mark.parametrize(
    ("size", "scaled"),
    [((1200, 1600), (360, 480)), ((256, 256), (360, 360)), ((640, 480), (480, 360)), ((683, 1024), (360, 540))],
)
def test_scaled_to_360_rows_or_480_upright(size, scaled):
    assert lmf.prepared_size(*size) == scaled


def test_labels_stay_on_the_photograph(tmp_path):
    ids = np.zeros((1200, 1600), np.uint8)
    ids[403:803, 407:1003] = 8
    lmf.prepare(np.repeat(ids[..., None], 3, axis=2) // 8 * 255, ids, "car", tmp_path)
    image, labels = read(tmp_path / "images" / "car.jpg"), read(tmp_path / "annot" / "car.png")
    assert np.array_equal(image[..., 0] > 127, labels == 8)


def test_fetches_what_it_needs_and_prepares_it(call, server, target):
    result = call()
    assert result.status == 0, result.err
    assert f"{len(CHOSEN)} photographs prepared" in result.out
    assert 3 < len(CHOSEN) < len(STREETS)
    assert listing(target) == {f"{part}/{name}{suffix}" for name in CHOSEN for part, suffix in PARTS}
    assert {name for name in server.hits if name.startswith("images/")} == {f"images/{name}.jpg" for name in CHOSEN}

    sizes = {"flat": (360, 480), "upright": (480, 360), "large": (360, 480)}
    for name, (height, width) in sizes.items():
        image, labels = read(target / f"images/{name}.jpg"), read(target / f"annot/{name}.png")
        assert image.shape == (height, width, 3) and labels.shape == (height, width) and labels.dtype == np.uint8
        assert np.abs(image.astype(int) - STREETS[name][0][0, 0]).max() <= 4  # red stays red
        assert set(np.unique(labels)) == {0, 3, 8}
        assert abs((labels == 8).mean() - (STREETS[name][1] == COLOURS["car"]).all(-1).mean()) < 0.005
        assert labels[0, 0] == 0 and labels[-1, -1] == 8


def test_second_run_does_nothing(call, server, target):
    assert call().status == 0
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    server.hits.clear()
    result = call()
    assert result.status == 0 and f"{len(CHOSEN)} photographs are already in" in result.out
    assert not server.hits
    assert before == {path: path.stat().st_mtime_ns for path in target.rglob("*")}


def test_goes_on_where_it_stopped(call, server, target):
    server.failures["images/upright.jpg"] = ["corrupt"]
    result = call(retries=0)
    assert result.status == 1
    assert "images/upright.jpg: the downloaded file" in result.err and "LABELMEFACADE_DIR" in result.err
    assert not lmf.is_complete(target)
    server.hits.clear()
    assert call().status == 0
    assert server.hits == {"images/upright.jpg": 1}
    assert lmf.is_complete(target) and len(listing(target)) == 2 * len(CHOSEN)


def test_stopped_while_preparing_it_goes_on_with_the_rest(call, server, target, monkeypatch):
    prepare, done = lmf.prepare, []

    def interrupted(photograph, ids, name, folder):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(name)
        prepare(photograph, ids, name, folder)

    monkeypatch.setattr(lmf, "prepare", interrupted)
    result = call()
    assert result.status == 130 and "interrupted" in result.err
    assert not lmf.is_complete(target)
    monkeypatch.setattr(lmf, "prepare", lambda *a: (done.append(a[2]), prepare(*a)))
    server.hits.clear()
    assert call().status == 0
    assert sorted(done) == sorted(CHOSEN) and not server.hits
    assert lmf.is_complete(target)


def test_label_images_of_unknown_colours_are_named(call, server, target):
    _, labels = street(car_rows=3)
    labels[:2] = (1, 2, 3)
    server.files["labels/flat.png"] = encoded(labels, "PNG")
    result = call()
    assert result.status == 0 and "labels/flat.png" in result.out and "labels/upright.png" not in result.out
    assert set(np.unique(read(target / "annot/flat.png"))) == {0, 3, 8, 11}


def test_a_file_that_is_no_picture_is_named(call, server):
    server.files["images/flat.jpg"] = b"not a picture"
    result = call()
    assert result.status == 1 and "flat.jpg is not a picture that can be read" in result.err


@pytest.mark.parametrize("way", ["--from", "LABELMEFACADE_DIR"])
def test_takes_a_prepared_folder_as_it_is(call, server, target, tmp_path, monkeypatch, way):
    folder = prepared(tmp_path / "prepared")
    (folder / "images" / "._a.jpg").write_bytes(b"left by a Mac")
    if way == "--from":
        result = call("--from", str(folder))
    else:
        monkeypatch.setenv("LABELMEFACADE_DIR", str(folder))
        result = call()
    assert result.status == 0 and "2 photographs" in result.out and str(folder) in result.out
    assert not server.hits
    assert listing(target) == listing(folder) - {"images/._a.jpg"}
    assert all((target / name).read_bytes() == (folder / name).read_bytes() for name in listing(target))
    assert lmf.is_complete(target)
    assert "4 already there" in call("--from", str(folder)).out


@pytest.mark.parametrize("way", ["--from", "LABELMEFACADE_DIR"])
def test_a_folder_that_is_not_a_prepared_one(call, server, target, tmp_path, monkeypatch, way):
    folder = prepared(tmp_path / "prepared")
    (folder / "annot" / "b.png").unlink()
    words = f"{folder} does not hold images/*.jpg with annot/*.png of the same names"
    if way == "--from":
        result = call("--from", str(folder))
        assert result.status == 1 and words in result.err
        assert not server.hits and not target.exists()
    else:
        monkeypatch.setenv("LABELMEFACADE_DIR", str(folder))
        result = call()
        assert result.status == 0 and words in result.out and f"{len(CHOSEN)} photographs prepared" in result.out


@pytest.mark.skipif(not REAL, reason="LABELMEFACADE_DIR is not set")
def test_the_rules_give_the_prepared_photographs():
    hashes = lmf.get_camvid.load_registry(lmf.REGISTRY)
    everything = {Path(name).stem for name in hashes if name.startswith("labels/")}
    there = lmf.stems(Path(REAL, "images"), ".jpg")
    ids = {name: read(Path(REAL, "annot", f"{name}.png")) for name in there}
    shares = {name: float((ids[name] == lmf.CAR).mean()) if name in ids else 0.0 for name in everything}
    assert lmf.choose(shares) == sorted(there)
    for labels in ids.values():
        assert labels.shape == lmf.prepared_size(*labels.shape)
        assert set(np.unique(labels)) <= set(lmf.CAMVID_IDS.values())
