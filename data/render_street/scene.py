"""Puts a scene together, and turns the painted canvas into a frame with its labels."""

import math
from dataclasses import replace

import cv2
import numpy as np

from data.render_street import ground, people, surroundings, vehicles
from data.render_street.bodies import BODIES, Body
from data.render_street.camera import (
    BUILDING,
    CAR,
    HEIGHT,
    KERB,
    NEAR,
    SCALE,
    TREE,
    UNLABELLED,
    WIDTH,
    Camera,
    Painter,
    make_light,
)
from data.render_street.vehicles import Pose


def draw_bonnet(p: Painter, rng) -> None:
    """The edge of the bonnet of the car the camera sits in."""
    u = np.linspace(0, 1, 30)
    v = HEIGHT - rng.uniform(8, 22) * (1 - (1.6 * (u - rng.uniform(0.5, 0.8))) ** 2).clip(-1, 1)
    edge = np.stack([u * WIDTH, v], 1) * SCALE
    for drop, tone in ((0, 0.35), (3 * SCALE, 0.12)):
        outline = np.concatenate([edge + np.array([0, drop]), [[WIDTH * SCALE, HEIGHT * SCALE], [0, HEIGHT * SCALE]]])
        ink = p.ink(p.light.horizon * tone, UNLABELLED)
        cv2.fillPoly(p.canvas, [np.rint(outline).astype(np.int32)], ink)


class Scene:
    """What stands in the street, to be drawn from far to near."""

    def __init__(self, p: Painter, rng: np.random.Generator, street: ground.Street):
        self.p, self.rng, self.street = p, rng, street
        self.objects, self.poses = [], []

    def add(self, depth: float, draw, *arguments) -> None:
        """Call ``draw(painter, rng, *arguments)`` later, when objects at ``depth`` are painted."""
        self.objects.append((-depth, len(self.objects), draw, arguments))

    def car(self, body: Body, pose: Pose, braking: bool = False) -> None:
        """Add a vehicle to be drawn later. Its shadow is drawn at once."""
        vehicles.cast_car_shadow(self.p, body, pose)
        self.poses.append(pose)
        self.add(pose.z, vehicles.draw_car, body, pose, braking)

    def is_free(self, x: float, z: float) -> bool:
        """Whether a person at x, z does not touch any car."""
        return all(abs(pose.x - x) > 1.4 + abs(math.sin(pose.turn)) or abs(pose.z - z) > 3.2 for pose in self.poses)

    def paint(self) -> None:
        """Draw everything."""
        for _, _, draw, arguments in sorted(self.objects, key=lambda entry: entry[:2]):
            draw(self.p, self.rng, *arguments)


def some_body(rng: np.random.Generator, bus: float = 0.0) -> Body:
    """Choose a vehicle at random, as common as on a British street."""
    weights = np.array([0.38, 0.2, 0.13, 0.13, 0.16, bus])
    body = BODIES[rng.choice(len(BODIES), p=weights / weights.sum())]
    return replace(body, length=body.length * rng.uniform(0.95, 1.06), width=body.width * rng.uniform(0.97, 1.03))


def add_frontage(scene: Scene) -> None:
    """Buildings on both sides, with gardens before them where the street is green."""
    rng, street = scene.rng, scene.street
    for side in street.sides:
        shops = not street.green and rng.random() < 0.6
        z = rng.uniform(-4, 1)
        while z < 130:
            end = z + rng.uniform(5, 13)
            if z < street.junction[1] and end > street.junction[0]:
                z = street.junction[1] + 1
                continue
            setback = rng.uniform(4, 8) if street.green else rng.choice([0, 0, 0.4])
            if not street.green or rng.random() < 0.55:
                x, storey, floors = side.line + side.sign * setback, rng.uniform(2.7, 3.3), int(rng.integers(2, 5))
                scene.add(max(end, NEAR), surroundings.draw_building, side.sign, x, z, end, storey, floors, shops)
                ends = [(x + side.sign * dx, y, dz) for dx in (0, 9) for y in (0, floors * storey) for dz in (z, end)]
                scene.p.sun_shadow(np.array(ends))
            if street.green and end > 1:
                add_garden(scene, side, max(z, NEAR), end)
            z = end


def add_garden(scene: Scene, side: ground.Side, z0: float, z1: float) -> None:
    """What divides a garden from the pavement, and a tree in it."""
    rng, kind = scene.rng, scene.rng.integers(4)
    if kind == 0:
        scene.add(z1, surroundings.draw_hedge, side.line, z0, z1, rng.uniform(0.9, 2.2))
    elif kind < 3:
        scene.add(z1, surroundings.draw_fence, side.line, z0, z1, kind == 1)
    if rng.random() < 0.6 and z1 > 6:
        x, z, tall = side.line + side.sign * rng.uniform(1.5, 4), max(rng.uniform(z0, z1), 5), rng.uniform(5, 12)
        scene.add(z1 + 0.1, surroundings.draw_tree, x, z, tall, rng.random() < 0.5)


def add_furniture(scene: Scene) -> None:
    """Lamp posts, signs, bins, street trees and railings on the pavements."""
    rng, street = scene.rng, scene.street
    bare = rng.random() < 0.5
    for side in street.sides:
        edge, tall = side.kerb + side.sign * 0.5, rng.uniform(5, 8)
        for z in np.arange(rng.uniform(5, 18), 100, rng.uniform(18, 30)):
            scene.add(z, surroundings.draw_lamp_post, side.sign, edge, z, tall)
        for z in rng.uniform(6, 60, rng.integers(1, 5)):
            scene.add(z, surroundings.draw_sign, edge, z)
        for z in rng.uniform(6, 30, rng.integers(0, 3)):
            scene.add(z, surroundings.draw_bin, side.line - side.sign * 0.5, z)
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(7, 16), 80, rng.uniform(9, 16)):
                scene.add(z, surroundings.draw_tree, edge + side.sign * 0.4, z, rng.uniform(5, 9), bare)
        if rng.random() < 0.25:
            z = rng.uniform(4, 20)
            scene.add(z + 8, surroundings.draw_fence, side.kerb + side.sign * 0.3, z, z + 8, True)


def add_people(scene: Scene) -> None:
    """Pedestrians on the pavements, some crossing the road, and cyclists."""
    rng, (left, right) = scene.rng, scene.street.sides
    for side in (left, right):
        for z in rng.uniform(5, 45, rng.integers(0, 8)):
            x = side.kerb + side.sign * rng.uniform(0.7, max(side.pavement - 0.3, 0.8))
            scene.add(z, people.draw_pedestrian, x, KERB, z)
    for _ in range(rng.integers(0, 3)):
        x, z, across = rng.choice([-1.4, 2.7]) + rng.uniform(-0.3, 0.3), rng.uniform(6, 30), rng.random() < 0.2
        if scene.is_free(x, z):
            foot = np.array([(x + dx, 0, z + dz) for dx in (-0.3, 0.3) for dz in (-0.8, 0.8)])
            scene.p.shadow(foot, 0.4)
            scene.add(z, people.draw_cyclist, x, z, across)
    x, z = rng.uniform(left.kerb, right.kerb), rng.uniform(8, 30)
    if rng.random() < 0.3 and scene.is_free(x, z):
        scene.add(z, people.draw_pedestrian, x, 0.0, z)


def add_traffic(scene: Scene) -> None:
    """Cars ahead, oncoming, crossing at the junction, and waiting in the side road."""
    rng, street = scene.rng, scene.street
    start, end = street.junction
    crossing = start < 60 and rng.random() < 0.6
    for x, turn, z in ((0.0, 0.0, rng.uniform(6, 22)), (street.centre + 1.6, np.pi, rng.uniform(4, 14))):
        queue = rng.random() < 0.3
        while z < 100 and rng.random() < 0.83:
            body = some_body(rng, 0.03)
            z += body.length / 2
            if not (crossing and street.at_junction(z, body.length / 2 + 1)):
                pose = Pose(x + rng.normal(0, 0.2), z, turn + rng.normal(0, 0.04))
                scene.car(body, pose, braking=rng.random() < 0.35)
            z += body.length / 2 + (rng.uniform(1.5, 5) if queue else rng.uniform(6, 30))
    for sign in (-1, 1) if crossing else ():
        z = (start + end) / 2 - sign * 1.6
        if sign > 0 or rng.random() < 0.4:
            scene.car(some_body(rng, 0.02), Pose(rng.uniform(-8, 10), z, sign * np.pi / 2 + rng.normal(0, 0.25)))
        if rng.random() < 0.5:
            scene.car(some_body(rng), Pose(sign * -rng.uniform(15, 22), z, sign * np.pi / 2))


def add_parked(scene: Scene) -> None:
    """Cars parked along the kerbs, or side by side in bays."""
    rng, street = scene.rng, scene.street
    for side in street.sides:
        z, bays = rng.uniform(1, 6), side.parking == "bays"
        while side.parking != "none" and z < (50 if bays else 90):
            body = some_body(rng)
            room = 2.5 if bays else body.length + rng.uniform(0.6, 1.8)
            if rng.random() < 0.8 and not street.at_junction(z + room / 2, 3):
                against = rng.random() < (0.5 if bays else 0.15 if side.sign < 0 else 0.6)
                turn = np.pi * against + rng.normal(0, 0.03) + (np.pi / 2 if bays else 0)
                away = (body.length if bays else body.width) / 2 + 0.25
                scene.car(body, Pose(side.kerb - side.sign * away, z + room / 2, turn))
            z += room


def develop(p: Painter, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Canvas -> frame, labels and cars: averaging, mottling, bloom, lens blur, exposure, contrast, noise."""
    marks = p.canvas[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE, 3]
    labels = np.where(marks > UNLABELLED, np.uint8(CAR), marks)
    cars = np.searchsorted(np.unique(marks[marks > UNLABELLED]), marks, side="right").astype(np.uint8)
    image = cv2.resize(p.canvas[..., :3], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    mottle = ground.fractal(rng, HEIGHT, WIDTH, 60) * 0.04
    image *= (1 + mottle * (labels == BUILDING) + 1.6 * mottle * (labels == TREE))[..., None]
    bright = np.maximum(image - (150 if p.light.dusk else 225), 0)
    image += cv2.GaussianBlur(bright, (0, 0), 6) * (0.7 if p.light.dusk else 0.35)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.75))
    exposure = rng.uniform(0.95, 1.25) if p.light.direct else rng.uniform(0.95, 1.3)
    image = np.maximum(image * (p.light.tint * exposure / 255).astype(np.float32), 0)
    over = np.maximum(image - 0.75, 0)  # a film's shoulder: white cars stay visible before a white sky
    image = np.minimum(image, 0.75) + 0.25 * (1 - np.exp(-over / 0.25))
    image = image ** np.float32(rng.uniform(0.85, 1.15))
    grey = image.mean(-1, keepdims=True)
    image = grey + (image - grey) * np.float32(rng.uniform(0.6, 0.95))
    image += np.float32(rng.uniform(0, 0.6)) * image * (1 - image) * (2 * image - 1)
    black = rng.uniform(0, 8)
    image = black + (255 - black) * image
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32) * np.float32(rng.uniform(1.0, 4.0))
    image += 0.6 * noise + 0.4 * noise.mean(-1, keepdims=True)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), labels, cars


def render(seed: int, instances: bool = False) -> tuple[np.ndarray, ...]:
    """Render the street scene of a seed, the same one every time.

    Args:
        seed: any integer of at least 0.
        instances: also return which car each pixel belongs to.

    Returns:
        image: 360×480×3 uint8, RGB.
        labels: 360×480 uint8, CamVid's class ids 0..11: sky, building, pole, road, pavement, tree, sign, fence, car,
            pedestrian, bicyclist, unlabelled.
        cars, with instances=True: 360×480 uint8, 0 where there is no car, else the number of the car. The cars that
            can be seen are numbered from 1, the farthest, without a gap.

    Raises:
        ValueError: the seed is negative or no integer.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be an integer of at least 0, not {seed!r}.")
    rng = np.random.default_rng(seed)
    light, street = make_light(rng), ground.make_street(rng)
    camera = Camera(
        focal=rng.uniform(400, 540),
        height=rng.uniform(1.15, 1.5),
        horizon=HEIGHT * rng.uniform(0.43, 0.58),
        bend=rng.normal(0, 0.0025),
        hill=rng.normal(0, 0.0006),
    )
    p = Painter(camera, light)
    ground.draw_sky(p, rng)
    ground.draw_skyline(p, rng)
    ground.draw_ground(p, rng, street)
    scene = Scene(p, rng, street)
    for add in (add_frontage, add_furniture, add_traffic, add_parked, add_people):
        add(scene)
    ground.texture_ground(p, rng, street)
    scene.paint()
    if rng.random() < 0.25:
        draw_bonnet(p, rng)
    image, labels, cars = develop(p, rng)
    return (image, labels, cars) if instances else (image, labels)
