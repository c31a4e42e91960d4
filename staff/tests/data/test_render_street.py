"""The rendered scenes: CamVid's format, the same every time, and masks that end where the colours end."""

import random

import cv2
import numpy as np
import pytest

from data.render_street import SAMPLE_SEEDS, __main__, people, render, surroundings, vehicles
from data.render_street.bodies import BODIES, HATCHBACK
from data.render_street.camera import (
    BICYCLIST,
    BUILDING,
    CAR,
    FENCE,
    PEDESTRIAN,
    POLE,
    ROAD,
    TREE,
    UNLABELLED,
    Camera,
    Painter,
    make_light,
)
from data.render_street.ground import make_street, texture_ground
from data.render_street.scene import Scene, develop, draw_bonnet
from data.render_street.vehicles import Pose, cast_car_shadow
from staff import ROOT

SAMPLE = ROOT / "data" / "sample"
NAMES = sorted(SAMPLE_SEEDS)
BACKDROP = (255, 0, 254, ROAD)  # a colour that nothing in a scene has


@pytest.fixture(scope="module")
def rendered():
    return {name: render(seed) for name, seed in SAMPLE_SEEDS.items()}


def read(folder: str, name: str, root=SAMPLE) -> np.ndarray:
    return cv2.imdecode(np.fromfile(root / folder / f"{name}.png", np.uint8), cv2.IMREAD_UNCHANGED)


def studio(seed: int = 0) -> Painter:
    """A painter with plain daylight, a level straight road and nothing on the canvas."""
    light = make_light(np.random.default_rng(seed))
    camera = Camera(focal=450.0, height=1.3, horizon=170.0, bend=0.0, hill=0.0)
    painter = Painter(camera, light)
    painter.canvas[:] = BACKDROP
    return painter


def painted(painter: Painter) -> np.ndarray:
    """Where the canvas got a new colour."""
    return (painter.canvas[..., :3] != BACKDROP[:3]).any(-1)


# The committed sample ------------------------------------------------------------------------------------------------


def test_sample_has_three_frames_and_their_labels():
    assert len(NAMES) == 3
    for folder in ("test", "testannot"):
        assert sorted(path.stem for path in (SAMPLE / folder).iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_what_the_code_renders(name, rendered):
    image, labels = rendered[name]
    frame = cv2.cvtColor(read("test", name), cv2.COLOR_BGR2RGB)
    # Another OpenCV may round a few samples otherwise; a change of the drawing moves far more.
    assert np.mean(read("testannot", name) != labels) < 1e-3
    assert np.abs(frame.astype(int) - image).mean() < 0.5
    assert 0.03 < np.mean(labels == CAR) < 0.5


def test_sample_shows_every_class():
    seen = np.unique(np.stack([read("testannot", name) for name in NAMES]))
    assert seen.tolist() == list(range(12))


def test_sample_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a" / "street.png"
    __main__.write_png(path, np.zeros((4, 4), np.uint8))
    before = path.read_bytes()

    def full_disc(*_):
        raise OSError("no space left")

    monkeypatch.setattr(__main__.os, "replace", full_disc)
    with pytest.raises(OSError, match="no space left"):
        __main__.write_png(path, np.ones((4, 4), np.uint8))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_write_sample_writes_the_committed_names(tmp_path, monkeypatch, rendered):
    by_seed = {seed: rendered[name] for name, seed in SAMPLE_SEEDS.items()}
    monkeypatch.setattr(__main__, "render", by_seed.__getitem__)
    __main__.write_sample(tmp_path)
    for name in NAMES:
        image, labels = rendered[name]
        assert np.array_equal(read("test", name, tmp_path)[..., ::-1], image)
        assert np.array_equal(read("testannot", name, tmp_path), labels)


# render() ------------------------------------------------------------------------------------------------------------


def test_any_seed_gives_a_frame_and_leaves_global_generators_alone():
    python, numpy = random.getstate(), np.random.get_state()
    image, labels = render(10**12)
    assert random.getstate() == python
    after = np.random.get_state()
    assert after[0] == numpy[0] and np.array_equal(after[1], numpy[1]) and after[2:] == numpy[2:]
    assert image.shape == (360, 480, 3) and image.dtype == np.uint8
    assert labels.shape == (360, 480) and labels.dtype == np.uint8
    assert labels.max() <= UNLABELLED
    assert image.std() > 10


def test_same_seed_gives_the_same_scene_and_instances_are_its_cars(rendered):
    name = NAMES[0]
    image, labels, cars = render(SAMPLE_SEEDS[name], instances=True)
    assert np.array_equal(image, rendered[name][0]) and np.array_equal(labels, rendered[name][1])
    assert cars.shape == (360, 480) and cars.dtype == np.uint8
    assert np.array_equal(cars > 0, labels == CAR)
    assert np.unique(cars).tolist() == list(range(cars.max() + 1)) and cars.max() > 1


def test_instances_are_numbered_from_the_farthest():
    scene = empty_scene()
    for x, z in ((-2.0, 6.0), (2.0, 14.0), (2.0, 50.0)):
        scene.car(HATCHBACK, Pose(x, z))
    scene.car(HATCHBACK, Pose(-2.0, 12.0, np.pi))
    scene.paint()
    _, labels, cars = develop(scene.p, np.random.default_rng(0))
    assert np.array_equal(cars > 0, labels == CAR)
    feet = [np.flatnonzero((cars == number).any(1)).max() for number in range(1, cars.max() + 1)]
    assert len(feet) > 2 and feet == sorted(feet)  # a nearer car stands lower in the image


def test_hidden_car_has_no_number():
    scene = empty_scene()
    scene.car(HATCHBACK, Pose(0.0, 60.0))
    scene.car(BODIES[-1], Pose(0.0, 12.0))
    scene.paint()
    _, labels, cars = develop(scene.p, np.random.default_rng(0))
    assert np.array_equal(cars, labels == CAR)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_bad_seed_is_refused(seed):
    with pytest.raises((TypeError, ValueError), match="seed"):
        render(seed)


def test_other_seeds_give_other_scenes(rendered):
    images = [image.astype(int) for image, _ in rendered.values()]
    labels = [label for _, label in rendered.values()]
    for i in range(3):
        for j in range(i):
            assert np.abs(images[i] - images[j]).mean() > 10
            assert np.mean(labels[i] != labels[j]) > 0.1


# Exact masks ---------------------------------------------------------------------------------------------------------


OBJECTS = {
    "pedestrian": (PEDESTRIAN, lambda p, rng: people.draw_pedestrian(p, rng, 0.5, 0.12, 7.0)),
    "cyclist": (BICYCLIST, lambda p, rng: people.draw_cyclist(p, rng, 0.5, 7.0, False)),
    "cyclist across": (BICYCLIST, lambda p, rng: people.draw_cyclist(p, rng, 0.5, 7.0, True)),
    "tree in leaf": (TREE, lambda p, rng: surroundings.draw_tree(p, rng, 2.0, 14.0, 8.0, False)),
    "bare tree": (TREE, lambda p, rng: surroundings.draw_tree(p, rng, 2.0, 14.0, 8.0, True)),
    "hedge": (TREE, lambda p, rng: surroundings.draw_hedge(p, rng, -3.0, 5.0, 12.0, 1.5)),
    "railing": (FENCE, lambda p, rng: surroundings.draw_fence(p, rng, -3.0, 5.0, 12.0, True)),
    "boards": (FENCE, lambda p, rng: surroundings.draw_fence(p, rng, -3.0, 5.0, 12.0, False)),
    "bin": (UNLABELLED, lambda p, rng: surroundings.draw_bin(p, rng, 2.0, 8.0)),
    "bonnet": (UNLABELLED, draw_bonnet),
    "lamp post": (POLE, lambda p, rng: surroundings.draw_lamp_post(p, rng, -1, -3.0, 12.0, 6.0)),
    "house": (BUILDING, lambda p, rng: surroundings.draw_building(p, rng, -1, -4.0, 6.0, 14.0, 3.0, 3, False)),
    "shop": (BUILDING, lambda p, rng: surroundings.draw_building(p, rng, 1, 4.0, 6.0, 14.0, 3.0, 3, True)),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_label_covers_exactly_what_was_coloured(name):
    label, draw = OBJECTS[name]
    painter = studio()
    draw(painter, np.random.default_rng(5))
    assert painted(painter).sum() > 300
    assert np.array_equal(painter.canvas[..., 3] == label, painted(painter))


@pytest.mark.parametrize("turn", [0.0, np.pi / 2, -0.6])
@pytest.mark.parametrize("body", BODIES, ids=["hatchback", "saloon", "estate", "suv", "van", "bus"])
def test_car_mask_is_its_silhouette(body, turn):
    painter = studio()
    vehicles.draw_car(painter, np.random.default_rng(5), body, Pose(1.5, 9.0, turn))
    mask = painter.canvas[..., 3] > UNLABELLED  # a car has a label of its own
    assert np.array_equal(mask, painted(painter))
    # No slit between two faces: the outside is one region, but for the road seen under the floor.
    outside = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)[2][1:, cv2.CC_STAT_AREA]
    assert np.sum(np.sort(outside)[:-1]) < 0.01 * mask.sum()
    # As large as the car is: its height, seen from 9 m.
    rows = np.flatnonzero(mask.any(1))
    tall = max(y for _, y in body.outline)
    nearest = 9.0 - body.length / 2 * abs(np.cos(turn)) - body.width / 2 * abs(np.sin(turn))
    assert 450 * 3 * tall / 9.0 * 0.8 < np.ptp(rows) < 450 * 3 * tall / nearest * 1.1


def empty_scene() -> Scene:
    return Scene(studio(), np.random.default_rng(5), make_street(np.random.default_rng(5)))


def test_shadow_is_road_and_not_car():
    scene = empty_scene()
    painter = scene.p
    scene.car(HATCHBACK, Pose(1.5, 9.0))
    assert not painted(painter).any()
    assert (painter.canvas[..., 3] == ROAD).all()
    assert painter.shade.min() < 128
    scene.paint()
    labels = painter.canvas[1::3, 1::3, 3]
    assert np.sum((painter.shade < 200) & (labels == ROAD)) > 100


def test_label_is_the_sample_at_the_centre_of_the_pixel():
    painter = studio()
    painter.canvas[1::3, 1::3, 3] = TREE
    painter.canvas[1::3, 1::3, :3] = painter.canvas[::3, ::3, :3] = 0
    image, labels, cars = develop(painter, np.random.default_rng(0))
    assert (labels == TREE).all() and not cars.any()
    assert image[..., 0].mean() > 128  # the colour is the mean of all nine


def test_shadows_darken_the_ground():
    def ground(shaded: bool) -> np.ndarray:
        scene = empty_scene()
        if shaded:
            cast_car_shadow(scene.p, HATCHBACK, Pose(0.0, 9.0))
        texture_ground(scene.p, np.random.default_rng(1), scene.street)
        return scene.p.canvas[..., 0].astype(int)

    lit, dark = ground(False), ground(True)
    assert (dark <= lit).all()
    below = 235 * 3, 240 * 3  # the road 9 m ahead
    assert dark[below] < 0.6 * lit[below]


def test_masks_lie_on_the_edges_of_the_image(rendered):
    """Across a car's border colours change more than across the same border moved by two pixels."""

    def contrast(grey: np.ndarray, mask: np.ndarray) -> float:
        across = mask[:, 1:] != mask[:, :-1]
        down = mask[1:] != mask[:-1]
        steps = [np.abs(np.diff(grey, axis=1))[across], np.abs(np.diff(grey, axis=0))[down]]
        return float(np.concatenate(steps).mean())

    for image, labels in rendered.values():
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
        mask = labels == CAR
        here = contrast(grey, mask)
        for shift in [(2, 0), (-2, 0), (0, 2), (0, -2)]:
            assert here > 1.2 * contrast(grey, np.roll(mask, shift, (0, 1)))


def test_nearer_things_hide_farther_ones():
    scene = empty_scene()

    def box(p, _, low, high, label):
        p.box(low, high, (200, 100, 0), label)

    scene.add(5.0, box, (-0.5, 0, 5), (0.5, 2, 6), POLE)
    scene.add(20.0, box, (-9, 0, 20), (9, 3, 21), BUILDING)
    scene.paint()
    labels = scene.p.canvas[..., 3]
    assert labels[170 * 3, 240 * 3] == POLE
    assert labels[170 * 3, 300 * 3] == BUILDING
