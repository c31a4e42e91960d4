"""Rendered street scenes in CamVid's format, each with a label image that is exact to the pixel.

``render(seed)`` draws a left-hand-traffic street from the driver's seat: solid cars, vans and buses, people, houses,
trees and street furniture, placed in metres on a road and seen through a pinhole camera. Everything is painted back to
front into one canvas at three times the size, whose fourth channel is the class id: colour and label are filled by the
same call, so they cannot disagree. The image is the canvas averaged over 3×3 samples, the label its centre sample.

Run as a program it writes the three sample scenes to ``data/sample``. It does not imitate single CamVid frames, and
draws no rain, no night and no street seen from anywhere but a car.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 360, 480
SAMPLE_SEEDS = {"street_1": 18, "street_2": 11, "street_3": 5}  # never train on these
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, UNLABELLED = range(12)

SCALE = 3  # canvas samples per pixel and axis: odd, so that a pixel has a centre sample
NEAR = 0.6  # metres; what is closer to the camera is cut off
KERB = 0.12  # metres from the road up to the pavement


# Light and camera ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Light:
    """One time of day. Directions are unit vectors (x right, y up, z ahead), colours RGB in 0..255."""

    sun: np.ndarray  # towards the sun
    direct: float  # strength of sunlight
    ambient: float  # strength of skylight
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float  # 0..1
    dusk: bool
    tint: np.ndarray  # colour temperature as a factor for each channel
    haze: float  # metres over which air takes over two thirds of the contrast

    def on(self, normals: np.ndarray) -> np.ndarray:
        """Brightness of matt surfaces, (..., 3) unit normals -> (...)."""
        return self.ambient * (0.72 + 0.28 * normals[..., 1]) + self.direct * np.maximum(normals @ self.sun, 0)

    def mirrored(self, directions: np.ndarray) -> np.ndarray:
        """Colour seen along (..., 3) directions: sky above, a street's dim walls and road below."""
        up = np.clip((directions[..., 1:2] - 0.05) / 0.5, 0, 1)
        street = np.array([70.0, 70.0, 72.0]) * (self.ambient + 0.4 * self.direct)
        return street * (1 - up) + (0.4 * self.zenith + 0.6 * self.horizon) * up


def make_light(rng: np.random.Generator) -> Light:
    """Draw a time of day: bright, overcast or dusk."""
    kind = rng.choice(["bright", "overcast", "dusk"], p=[0.45, 0.3, 0.25])
    azimuth, height = rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 0.9)
    sun = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    warm = rng.uniform(-0.08, 0.08)
    light = Light(
        sun=sun,
        direct=rng.uniform(0.45, 0.75),
        ambient=rng.uniform(0.5, 0.65),
        zenith=np.array([150.0, 195, 240]) + rng.uniform(-25, 25, 3),
        horizon=np.array([238.0, 245, 250]),
        clouds=rng.uniform(0, 0.5),
        dusk=False,
        tint=np.array([1 + warm, 1.0, 1 - warm]),
        haze=rng.uniform(250, 700),
    )
    if kind == "overcast":
        grey = rng.uniform(200, 250)
        sky = np.array([grey, grey + 2, grey + 5])
        light = replace(light, direct=0.05, ambient=rng.uniform(0.7, 0.9), zenith=sky * 0.9, horizon=sky, clouds=0.6)
    if kind == "dusk":
        sky = np.array([rng.uniform(110, 160), 135, rng.uniform(125, 150)]) * rng.uniform(0.7, 1.1)
        ambient = rng.uniform(0.22, 0.42)
        light = replace(light, direct=0, ambient=ambient, zenith=sky * 0.7, horizon=sky * 1.1, clouds=1.0, dusk=True)
    return light


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along z; bends and hills are put into the world's coordinates."""

    focal: float  # pixels
    height: float  # metres above the road
    horizon: float  # image row
    bend: float  # 1 / radius of the road
    hill: float  # 1 / radius of the road's profile

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres, z > 0 -> (..., 2) canvas samples."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        samples = np.empty((*z.shape, 2))
        samples[..., 0] = WIDTH / 2 + self.focal * (x / z + self.bend * z / 2)
        samples[..., 1] = self.horizon - self.focal * ((y - self.height) / z + self.hill * z / 2)
        return samples * SCALE

    def ground(self) -> tuple[np.ndarray, np.ndarray]:
        """World x and z of every pixel of the ground, each HEIGHT×WIDTH; far away above the horizon."""
        v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + 0.5
        z = self.focal * self.height / np.maximum(v - self.horizon, 1)
        return (u - WIDTH / 2) * z / self.focal - self.bend * z * z / 2, z


class Painter:
    """The canvas and the ways to fill it. Later strokes cover earlier ones, colour and label alike."""

    def __init__(self, camera: Camera, light: Light):
        self.camera, self.light = camera, light
        self.air = (light.horizon * 0.9).tolist()
        self.canvas = np.zeros((HEIGHT * SCALE, WIDTH * SCALE, 4), np.uint8)
        self.shade = np.full((HEIGHT, WIDTH), 255, np.uint8)  # shadows on the ground, per pixel

    def ink(self, colour, label: int, depth: float = 0.0) -> tuple[float, ...]:
        """An RGB colour behind ``depth`` metres of air, with its label as the fourth channel."""
        clear = math.exp(-depth / self.light.haze)
        return (*(min(c * clear + air * (1 - clear), 255.0) for c, air in zip(colour, self.air, strict=True)), label)

    def polygon(self, points, colour, label: int, level: float | None = None) -> None:
        """Fill a convex planar polygon, (N, 3) metres. Without a level of light its normal decides."""
        points = np.asarray(points, float)
        if level is None:
            level = float(self.light.on(facing(points, self.camera)))
        if points[:, 2].min() < NEAR:
            points = clip_near(points)
        if len(points) > 2:
            depth = float(points[0, 2] + points[len(points) // 2, 2]) / 2
            self.fill(self.camera.project(points), self.ink([c * level for c in colour], label, depth))

    def fill(self, samples: np.ndarray, ink: tuple[float, ...]) -> None:
        """Fill a convex polygon, (N, 2) canvas samples."""
        cv2.fillConvexPoly(self.canvas, np.rint(samples).astype(np.int32), ink)

    def hull(self, points: np.ndarray, colour, label: int) -> None:
        """Fill the outline of a convex body, (N, 3) metres, in one colour."""
        if points[:, 2].min() > NEAR:
            outline = cv2.convexHull(np.rint(self.camera.project(points)).astype(np.int32))
            cv2.fillConvexPoly(self.canvas, outline, self.ink(colour, label, points[:, 2].mean()))

    def box(self, low, high, colour, label: int) -> None:
        """A block between two corners, its sides that face the camera."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        if y1 < self.camera.height:
            self.polygon([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], colour, label)
        x = x0 if x0 > 0 else x1
        if x0 > 0 or x1 < 0:
            self.polygon([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], colour, label)
        self.polygon([(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)], colour, label)

    def disc(self, centre, radius: float, colour, label: int) -> None:
        """A disc that faces the camera."""
        u, v = np.rint(self.camera.project(np.asarray(centre, float))).astype(int).tolist()
        size = max(1, round(self.camera.focal * SCALE * radius / centre[2]))
        cv2.circle(self.canvas, (u, v), size, self.ink(colour, label, centre[2]), -1)

    def stroke(self, start, end, width: float, colour, label: int) -> None:
        """A line of some width in metres, at least one sample wide."""
        a, b = np.rint(self.camera.project(np.array([start, end], float))).astype(int).tolist()
        depth = (start[2] + end[2]) / 2
        size = max(1, round(self.camera.focal * SCALE * width / depth))
        cv2.line(self.canvas, a, b, self.ink(colour, label, depth), size)

    def shadow(self, points: np.ndarray, strength: float) -> None:
        """Darken the ground within the outline of (N, 3) points on it."""
        points = clip_near(points)
        if len(points) > 2:
            outline = cv2.convexHull(np.rint(self.camera.project(points) / SCALE).astype(np.int32))
            patch = np.full_like(self.shade, 255)
            cv2.fillConvexPoly(patch, outline, round(255 * (1 - strength)))
            np.minimum(self.shade, patch, out=self.shade)


def facing(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Unit normal of a planar (N, 3) polygon, turned towards the camera."""
    (ax, ay, az), (bx, by, bz) = (points[2] - points[0]).tolist(), (points[1] - points[-1]).tolist()
    normal = np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
    normal /= math.sqrt(normal @ normal) + 1e-9
    return -normal if normal @ (points[0] - (0, camera.height, 0)) > 0 else normal


def clip_near(points: np.ndarray) -> np.ndarray:
    """The part of an (N, 3) polygon beyond the near plane (Sutherland and Hodgman 1974)."""
    if points[:, 2].min() >= NEAR:
        return points
    kept = []
    for a, b in zip(points, np.roll(points, -1, 0), strict=True):
        if a[2] >= NEAR:
            kept.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            kept.append(a + (b - a) * (NEAR - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


# Vehicles ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Body:
    """A kind of vehicle: its outline from the side, and where things sit on it.

    ``outline`` runs from the front bumper's lower edge over bonnet and roof to the rear bumper's lower edge: (z, y)
    with z from 1 (front) to -1 and y in metres. ``front`` and ``back`` are the segments that hold the windscreen and
    the rear window, ``windows`` the ends of the side glass, ``pillars`` its interruptions, ``axles`` the wheels, all
    in the unit of z.
    """

    length: float
    width: float
    outline: tuple[tuple[float, float], ...]
    front: int
    back: int
    belt: float
    roof: float  # width of the roof, relative
    windows: tuple[float, float]
    pillars: tuple[float, ...]
    axles: tuple[float, float]
    wheel: float
    tail: tuple[float, float, float]  # rear lamps: lower and upper edge in metres, inner edge relative to the width


HATCHBACK = Body(
    3.9, 1.7,
    ((0.95, 0.22), (1.0, 0.36), (0.99, 0.55), (0.93, 0.72), (0.72, 0.84), (0.5, 0.94), (0.1, 1.37), (-0.25, 1.45),
     (-0.74, 1.39), (-0.93, 0.99), (-0.97, 0.78), (-1.0, 0.58), (-1.0, 0.38), (-0.95, 0.25)),
    5, 8, 0.93, 0.76, (-0.83, 0.44), (-0.08, -0.52), (0.62, -0.66), 0.3, (0.68, 0.98, 0.72),
)  # fmt: skip
SALOON = Body(
    4.5, 1.75,
    ((0.96, 0.2), (1.0, 0.36), (0.99, 0.54), (0.94, 0.69), (0.7, 0.82), (0.4, 0.92), (0.08, 1.34), (-0.16, 1.41),
     (-0.45, 1.36), (-0.72, 0.99), (-0.95, 0.96), (-0.99, 0.7), (-1.0, 0.4), (-0.96, 0.24)),
    5, 8, 0.92, 0.74, (-0.66, 0.34), (-0.1, -0.46), (0.63, -0.61), 0.31, (0.66, 0.86, 0.55),
)  # fmt: skip
ESTATE = Body(
    4.6, 1.76,
    ((0.96, 0.2), (1.0, 0.36), (0.99, 0.54), (0.94, 0.69), (0.7, 0.83), (0.42, 0.93), (0.1, 1.37), (-0.2, 1.45),
     (-0.82, 1.4), (-0.94, 1.0), (-0.97, 0.75), (-1.0, 0.56), (-1.0, 0.38), (-0.96, 0.25)),
    5, 8, 0.93, 0.77, (-0.88, 0.36), (-0.1, -0.5), (0.63, -0.6), 0.31, (0.62, 1.02, 0.8),
)  # fmt: skip
SUV = Body(
    4.4, 1.82,
    ((0.95, 0.32), (1.0, 0.48), (0.99, 0.7), (0.95, 0.88), (0.72, 1.0), (0.45, 1.08), (0.16, 1.6), (-0.2, 1.7),
     (-0.85, 1.65), (-0.94, 1.15), (-0.97, 0.9), (-1.0, 0.68), (-1.0, 0.45), (-0.95, 0.34)),
    5, 8, 1.08, 0.8, (-0.88, 0.4), (-0.08, -0.5), (0.62, -0.62), 0.36, (0.78, 1.12, 0.82),
)  # fmt: skip
VAN = Body(
    4.9, 1.9,
    ((0.96, 0.28), (1.0, 0.45), (0.99, 0.7), (0.95, 0.96), (0.84, 1.07), (0.72, 1.14), (0.44, 1.82), (0.2, 1.93),
     (-0.96, 1.88), (-0.98, 1.2), (-0.99, 0.9), (-1.0, 0.6), (-1.0, 0.45), (-0.97, 0.3)),
    5, 8, 1.14, 0.88, (0.2, 0.66), (), (0.66, -0.6), 0.33, (0.75, 1.25, 0.86),
)  # fmt: skip
BUS = Body(
    9.8, 2.5,
    ((0.985, 0.35), (1.0, 0.6), (1.0, 0.85), (0.998, 1.0), (0.996, 1.1), (0.995, 1.2), (0.98, 2.75), (0.95, 3.05),
     (-0.97, 3.05), (-0.99, 1.6), (-0.995, 1.3), (-1.0, 0.8), (-1.0, 0.6), (-0.985, 0.4)),
    5, 8, 1.3, 0.95, (-0.95, 0.95), (0.7, 0.42, 0.14, -0.14, -0.42, -0.7), (0.6, -0.5), 0.48, (0.8, 1.3, 0.88),
)  # fmt: skip
BODIES = (HATCHBACK, SALOON, ESTATE, SUV, VAN, BUS)
PAINTS = np.array([
    (150, 153, 158), (178, 181, 185), (110, 114, 120), (205, 207, 208), (228, 228, 224), (32, 33, 36), (22, 23, 28),
    (32, 42, 78), (44, 66, 120), (24, 30, 52), (120, 26, 30), (158, 34, 34), (30, 62, 46), (112, 96, 72),
    (84, 122, 150), (168, 120, 40), (60, 62, 66), (70, 30, 34),
], float)  # fmt: skip
GLASS = np.array([26.0, 30, 34])


def hatchless(outline: np.ndarray, cut: float = 0.14) -> np.ndarray:
    """Cut the corners of an (N, 2) outline; segment i of the outline becomes segment 2i + 1."""
    a, b = outline[:-1], outline[1:]
    inner = np.stack([a + (b - a) * cut, b - (b - a) * cut], 1).reshape(-1, 2)
    return np.concatenate([outline[:1], inner, outline[-1:]])


class CarModel:
    """The surface of one vehicle in its own coordinates: x right, y up, z ahead, origin on the ground below it."""

    def __init__(self, body: Body):
        self.body = body
        self.outline = np.array(body.outline)
        self.low = body.outline[0][1]
        self.top = self.outline[:, 1].max()

    def half_width(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Half the width in metres at relative position z and height y."""
        levels = [0.7 * self.low, self.low + 0.12, 0.65 * self.body.belt, self.body.belt, self.top]
        section = np.interp(y, levels, [0.94, 0.985, 1.0, 0.97, self.body.roof])
        return self.body.width / 2 * section * (1 - 0.13 * np.abs(z) ** 6)

    def ribbon(self, z, y, across) -> np.ndarray:
        """Points on the surface that runs over the vehicle from bumper to bumper; ``across`` from -1 to 1."""
        z, y, across = np.broadcast_arrays(z, y, across)
        bulge = 0.07 if self.body.length < 6 else 0.02
        z = z * (1 - bulge * np.abs(across) ** 2.5 * z * z)
        y = y - 0.04 * across**2 * (y > self.body.belt)
        return np.stack([across * self.half_width(z, y), y, z * self.body.length / 2], -1)

    def end(self, sign: int, y, across) -> np.ndarray:
        """Points on the front (sign 1) or the rear (-1) at some heights."""
        part = self.outline[:4] if sign > 0 else self.outline[: self.body.back : -1]
        return self.ribbon(np.interp(y, part[:, 1], part[:, 0]), y, across)

    def side(self, sign: int, z, y) -> np.ndarray:
        """Points on the right (sign 1) or left (-1) flank."""
        z, y = np.broadcast_arrays(np.asarray(z, float), np.asarray(y, float))
        return np.stack([sign * self.half_width(z, y), y, z * self.body.length / 2], -1)

    def ribbon_faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Quads of the ribbon, (N, 4, 3), and which of them are glass."""
        path = hatchless(self.outline)
        across = np.array([-1, -0.9, -0.7, -0.45, -0.15, 0.15, 0.45, 0.7, 0.9, 1])
        grid = self.ribbon(path[:, None, 0], path[:, None, 1], across)
        glass = np.zeros((len(path) - 1, len(across) - 1), bool)
        glass[[2 * self.body.front + 1, 2 * self.body.back + 1], 1:-1] = True
        return quads(grid), glass.ravel()

    def side_faces(self, sign: int) -> tuple[np.ndarray, np.ndarray]:
        """Quads of one flank, (N, 4, 3), and which of them are glass."""
        body = self.body
        path = hatchless(self.outline)
        edge = self.ribbon(path[:, 0], path[:, 1], 1.0)
        edge = edge[edge[:, 2].argmax() : edge[:, 2].argmin() + 1][::-1]
        pillars = np.array([p + d for p in body.pillars for d in (-0.025, 0.025)])
        ends = edge[[0, -1], 2] / (body.length / 2)
        z = np.unique(np.concatenate([np.linspace(*ends, 24), pillars, body.windows]))
        roofline = np.interp(z * body.length / 2, edge[:, 2], edge[:, 1])
        mid = (self.low + body.belt) / 2
        levels = [self.low, self.low + 0.1, mid - 0.1, mid + 0.1, body.belt - 0.06, body.belt, body.belt + 0.03]
        rows = np.stack([np.minimum(level, roofline) for level in levels] + [roofline - 0.055, roofline])
        rows[-2] = np.clip(rows[-2], rows[-3], rows[-1])
        centre = (z[:-1] + z[1:]) / 2
        open_ = (centre > body.windows[0]) & (centre < body.windows[1])
        for pillar in body.pillars:
            open_ &= np.abs(centre - pillar) > 0.024
        glass = np.zeros((len(rows) - 1, len(z) - 1), bool)
        glass[-2] = open_
        return quads(self.side(sign, z, rows)), glass.ravel()


def quads(grid: np.ndarray) -> np.ndarray:
    """The cells of an (M, N, 3) grid as (K, 4, 3)."""
    cells = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], 2)
    return cells.reshape(-1, 4, 3)


@dataclass(frozen=True)
class Pose:
    """Where a vehicle stands: metres, and the angle it is turned by (0: away from us, pi: towards us)."""

    x: float
    z: float
    turn: float = 0.0

    def place(self, points: np.ndarray) -> np.ndarray:
        """Own coordinates -> world coordinates, (..., 3)."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        x, y, z = np.moveaxis(points, -1, 0)
        return np.stack([c * x + s * z + self.x, y, c * z - s * x + self.z], -1)


def draw_car(p: Painter, rng: np.random.Generator, body: Body, pose: Pose, braking: bool = False) -> None:
    """A vehicle: wheels and underside, body and glass, then what is fixed to it."""
    model = CarModel(body)
    paint = PAINTS[rng.integers(len(PAINTS))] * rng.uniform(0.9, 1.1)
    if body is VAN and rng.random() < 0.6:
        paint = np.array([222.0, 223, 222])
    if body is BUS:
        paint = np.array([(150.0, 24, 28), (60, 100, 160), (210, 210, 205)][rng.integers(3)])
    draw_underside(p, model, pose)
    draw_shell(p, model, pose, paint, plastic=rng.random() < 0.35)
    for sign in (-1, 1):
        if np.dot(pose.place(np.array([sign, 0.5, 0.0])) - pose.place(np.array([0, 0.5, 0.0])), _eye(p, pose)) > 0.02:
            draw_flank(p, rng, model, pose, sign, paint)
    draw_front(p, model, pose, rng)
    draw_rear(p, model, pose, paint, braking, rng)
    draw_mirrors(p, model, pose, paint)


def _eye(p: Painter, pose: Pose) -> np.ndarray:
    """Unit vector from a vehicle to the camera."""
    away = np.array([-pose.x, p.camera.height - 0.5, -pose.z])
    return away / np.linalg.norm(away)


def draw_underside(p: Painter, model: CarModel, pose: Pose) -> None:
    """The dark floor, and the treads of the four wheels."""
    body = model.body
    half, length = body.width / 2, body.length / 2
    floor = [(x * half * 0.86, y, z * length * 0.9) for x in (-1, 1) for y in (0.65 * model.low, 0.4) for z in (-1, 1)]
    p.hull(pose.place(np.array(floor)), np.array([15.0, 15, 16]) * p.light.ambient, CAR)
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for z in body.axles:
        for sign in (-1, 1):
            ring = np.stack([0 * angle, body.wheel * (1 + np.sin(angle)), body.wheel * np.cos(angle) + z * length], 1)
            tread = np.concatenate([ring + np.array([sign * half * inset, 0, 0]) for inset in (0.7, 0.96)])
            p.hull(pose.place(tread), np.array([30.0, 30, 31]) * p.light.ambient, CAR)


def draw_shell(p: Painter, model: CarModel, pose: Pose, paint: np.ndarray, plastic: bool) -> None:
    """Body and glass, shaded as clear-coated paint: skylight, sun, and the street's reflection.

    The sides turned away are drawn first, dark, so that nothing shines through between two faces.
    """
    parts = [model.ribbon_faces(), model.side_faces(-1), model.side_faces(1)]
    faces, glass = (np.concatenate(part) for part in zip(*parts, strict=True))
    centres = faces.mean(1)
    colour = np.where(glass[:, None], GLASS, paint)
    low = model.low + (0.28 if plastic else 0.06)
    colour = np.where((centres[:, 1] < low)[:, None], [44.0, 44, 46], colour)
    outward = np.cross(faces[:, 2] - faces[:, 0], faces[:, 3] - faces[:, 1])
    size = np.linalg.norm(outward, axis=1)
    inside = np.sum(outward * (centres - (0, 0.55, 0)), 1) < 0
    outward[inside] *= -1
    world = pose.place(faces)
    normals = pose.place(outward) - pose.place(np.zeros(3))
    normals /= np.maximum(size, 1e-9)[:, None]
    view = world.mean(1) - (0, p.camera.height, 0)
    distance = np.linalg.norm(view, axis=1)
    view /= distance[:, None]
    toward = -np.sum(normals * view, 1)
    shades = np.where(
        (toward > 0)[:, None], varnish(p.light, colour, normals, view, toward, glass), 12 * p.light.ambient
    )
    order = np.lexsort((-distance, toward > 0))
    if world[..., 2].min() < NEAR:
        for i in order:
            p.polygon(world[i], shades[i], CAR, 1.0)
        return
    samples = np.rint(p.camera.project(world)).astype(np.int32)
    for i, colour in zip(order, shades[order].tolist(), strict=True):
        cv2.fillConvexPoly(p.canvas, samples[i], p.ink(colour, CAR, pose.z))


def varnish(light: Light, colour, normals, view, toward, glass) -> np.ndarray:
    """Shade (N, 3) colours by light and mirror image (Schlick's approximation of Fresnel's reflectance)."""
    mirror = view + 2 * toward[:, None] * normals
    schlick = (1 - np.clip(toward, 0, 1)) ** 4
    share = np.where(glass, 0.22 + 0.6 * schlick, 0.1 + 0.45 * schlick)[:, None]
    glint = np.clip(mirror @ light.sun, 0, 1)[:, None] ** 24 * light.direct * 120
    matt = colour * light.on(normals)[:, None]
    return matt * (1 - share) + light.mirrored(mirror) * share + glint


def decal(p: Painter, pose: Pose, points: np.ndarray, colour, glows: bool = False) -> None:
    """A patch on the surface, (N, 3) own coordinates, if it faces the camera."""
    outward = np.cross(points[2] - points[0], points[-1] - points[1])
    outward *= np.sign(np.dot(outward, points.mean(0) - (0, 0.55, points[:, 2].mean() * 0.7)))
    world = pose.place(points)
    if np.dot(pose.place(outward) - pose.place(np.zeros(3)), (0, p.camera.height, 0) - world.mean(0)) > 0:
        p.polygon(world, colour, CAR, 1.0 if glows else None)


def rectangle(y0: float, y1: float, x0: float, x1: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights and positions of a patch's corners, with steps along it so that it follows a curved surface."""
    x = np.linspace(x0, x1, 4)
    return np.concatenate([np.full(4, y0), np.full(4, y1)]), np.concatenate([x, x[::-1]])


def draw_flank(p: Painter, rng, model: CarModel, pose: Pose, sign: int, paint: np.ndarray) -> None:
    """Wheel arches, wheels, door gaps, handles on one side."""
    body = model.body
    length, out = body.length / 2, sign * (body.width / 2 + 0.005)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    disc = np.stack([0 * angle + out, np.sin(angle), np.cos(angle)], 1)
    gaps = (*body.pillars, body.windows[1] - 0.02) if body is not BUS else (0.82,)
    for z in gaps:
        y = np.array([model.low + 0.08, body.belt])
        seam = np.concatenate([model.side(sign, z, y), model.side(sign, z + 0.012, y[::-1])])
        decal(p, pose, seam, paint * 0.35)
    for z in body.pillars[:2] if body is not BUS else ():
        handle = np.concatenate([model.side(sign, np.array([z + 0.03, z + 0.1]), body.belt - 0.13),
                                 model.side(sign, np.array([z + 0.1, z + 0.03]), body.belt - 0.1)])  # fmt: skip
        decal(p, pose, handle, paint * 0.5)
    rim = rng.uniform(0.75, 1.0)
    for z in body.axles:
        centre = np.array([0, body.wheel, z * length])
        arch = disc * (1, body.wheel * 1.2, body.wheel * 1.2) + centre
        arch[:, 1] = np.maximum(arch[:, 1], model.low)
        decal(p, pose, arch, (16, 16, 17))
        for size, colour in ((1.0, 30), (0.68, 60), (0.62, 150 * rim)):
            decal(p, pose, disc * (1, body.wheel * size, body.wheel * size) + centre, (colour, colour, colour + 2))
        for spoke in np.linspace(0, 2 * np.pi, 5, endpoint=False) + rng.uniform(0, 1):
            turn = np.array([spoke - 0.28, spoke + 0.28, spoke + 0.2, spoke - 0.2])
            radius = body.wheel * np.array([0.56, 0.56, 0.25, 0.25])
            hole = np.stack([np.full(4, out), radius * np.sin(turn), radius * np.cos(turn)], 1) + centre
            decal(p, pose, hole, (45, 45, 47))


def draw_front(p: Painter, model: CarModel, pose: Pose, rng) -> None:
    """Grille, headlamps, white number plate."""
    lip, low = model.outline[3, 1], model.low
    tall = lip - low

    def patch(y0, y1, x0, x1, colour, glows=False):
        decal(p, pose, model.end(1, *rectangle(low + tall * y0, low + tall * y1, x0, x1)), colour, glows)

    patch(0.08, 0.26, -0.55, 0.55, (20, 20, 21))
    patch(0.64, 0.86, -0.36, 0.36, (24, 24, 26))
    patch(0.74, 0.77, -0.34, 0.34, (120, 120, 122))
    lamps_on = p.light.dusk or rng.random() < 0.15
    for sign in (-1, 1):
        patch(0.62, 0.9, sign * 0.5, sign * 0.97, (150, 154, 158))
        lamp = (255, 250, 225) if lamps_on else (215, 218, 220)
        patch(0.66, 0.86, sign * 0.6, sign * 0.86, lamp, lamps_on)
    patch(0.3, 0.47, -0.3, 0.3, (225, 226, 222))
    patch(0.35, 0.42, -0.24, 0.24, (90, 90, 92))


def draw_rear(p: Painter, model: CarModel, pose: Pose, paint, braking: bool, rng) -> None:
    """Tail lamps, boot gap, yellow number plate."""
    low, high, inner = model.body.tail
    bottom = model.low

    def patch(y0, y1, x0, x1, colour, glows=False):
        decal(p, pose, model.end(-1, *rectangle(y0, y1, x0, x1)), colour, glows)

    patch(bottom + 0.3, bottom + 0.325, -0.9, 0.9, paint * 0.4)
    for sign in (-1, 1):
        glow = braking or p.light.dusk
        red = (255, 40, 28) if braking else (190, 22, 20) if p.light.dusk else (150, 18, 20)
        patch(low, high, sign * inner, sign * 0.99, red, glow)
        third = low + (high - low) / 3
        patch(low, third, sign * (inner + 0.05), sign * 0.95, (180, 120, 60) if not glow else (200, 90, 40), glow)
    plate = bottom + (0.36 if rng.random() < 0.7 else 0.14)
    patch(plate, plate + 0.12, -0.32, 0.32, (214, 178, 52))
    patch(plate + 0.035, plate + 0.085, -0.25, 0.25, (100, 84, 34))


def draw_mirrors(p: Painter, model: CarModel, pose: Pose, paint: np.ndarray) -> None:
    """A wing mirror on each side, at the foot of the windscreen."""
    body = model.body
    z = body.windows[1] * body.length / 2 - 0.1
    for sign in (-1, 1):
        x = sign * (model.half_width(np.array(body.windows[1]), np.array(body.belt)) + 0.09)
        corners = [(x + dx, body.belt + dy, z + dz) for dx in (-0.09, 0.09) for dy in (0, 0.14) for dz in (-0.05, 0.05)]
        p.hull(pose.place(np.array(corners, float)), paint * 0.7 * p.light.ambient, CAR)


def cast_car_shadow(p: Painter, body: Body, pose: Pose) -> None:
    """The dark contact with the road, and what the sun casts."""
    half, length = body.width / 2, body.length / 2
    foot = np.array([(x * half, 0.0, z * length) for x, z in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
    for grow, strength in ((1.22, 0.16), (1.12, 0.32), (1.02, 0.5), (0.9, 0.72)):
        p.shadow(pose.place(foot * (grow, 1, (grow + 1) / 2)), strength)
    if p.light.direct > 0.2:
        top = max(y for _, y in body.outline) * 0.9
        roof = pose.place(foot * (0.85, 1, 0.75)) - p.light.sun * (top / p.light.sun[1]) * (1, 0, 1)
        hood = pose.place(foot) - p.light.sun * (body.belt / p.light.sun[1]) * (1, 0, 1)
        p.shadow(np.concatenate([pose.place(foot), hood, roof]), 0.5)


# Buildings and greenery ----------------------------------------------------------------------------------------------

WALLS = np.array([
    (150, 128, 96), (168, 148, 112), (124, 78, 62), (138, 92, 72), (96, 66, 54), (206, 198, 180), (222, 220, 212),
    (176, 170, 158), (120, 112, 102), (88, 84, 80), (190, 172, 130),
], float)  # fmt: skip
SIGNBOARDS = np.array([
    (150, 30, 32), (28, 44, 100), (24, 70, 52), (40, 40, 42), (196, 190, 176), (190, 140, 40), (80, 30, 70),
], float)  # fmt: skip


def draw_building(p: Painter, rng, side: int, x: float, z0: float, z1: float, shops: bool) -> None:
    """A house from z0 to z1 whose front stands at x, facing the road on its other side."""
    storey = rng.uniform(2.7, 3.3)
    floors = int(rng.integers(2, 5))
    eaves = floors * storey + 0.4
    wall = WALLS[rng.integers(len(WALLS))] * rng.uniform(0.85, 1.1)
    slate = np.array([78.0, 74, 76]) * rng.uniform(0.7, 1.2)
    back = x + side * 9
    level = float(p.light.on(np.array([-side, 0.0, 0.0])))

    def front(za, zb, ya, yb, colour, glows=False):
        p.polygon([(x, ya, za), (x, yb, za), (x, yb, zb), (x, ya, zb)], colour, BUILDING, 1.0 if glows else level)

    p.polygon([(x, 0, z0), (back, 0, z0), (back, eaves, z0), (x, eaves, z0)], wall * 0.92, BUILDING)
    if rng.random() < 0.7:
        ridge = (x + back) / 2, eaves + rng.uniform(1.5, 3)
        p.polygon([(x, eaves, z0), (back, eaves, z0), (*ridge, z0)], wall * 0.92, BUILDING)
        p.polygon([(x, eaves, z0), (x, eaves, z1), (*ridge, z1), (*ridge, z0)], slate, BUILDING)
        for z in (z0 + 0.4, z1 - 1.2)[: rng.integers(1, 3)]:
            p.box((ridge[0] - 0.5, ridge[1] - 0.6, z), (ridge[0] + 0.5, ridge[1] + 1.2, z + 0.8), wall * 0.8, BUILDING)
    front(z0, z1, 0, eaves, wall)
    front(z0, z1, eaves - 0.3, eaves, wall * rng.choice([0.7, 1.25]))
    draw_windows(p, rng, front, z0, z1, storey, floors, wall)
    if shops:
        draw_shop(p, rng, front, z0, z1)
    else:
        door = z0 + (z1 - z0) * rng.choice([0.15, 0.8])
        front(door - 0.1, door + 1.1, 0, 2.3, (205, 202, 195))
        front(door, door + 1.0, 0, 2.15, SIGNBOARDS[rng.integers(len(SIGNBOARDS))] * 0.8)


def draw_windows(p: Painter, rng, front, z0, z1, storey, floors, wall) -> None:
    """Rows of windows with frame, glazing bar, sill and the sky's reflection."""
    count = max(1, round((z1 - z0) / rng.uniform(2.0, 3.2)))
    wide, tall = rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.8)
    frame = np.array([225.0, 224, 218]) if rng.random() < 0.7 else np.array([60.0, 58, 56])
    for floor in range(floors):
        for i in range(count):
            middle = z0 + (i + 0.5) * (z1 - z0) / count
            low = floor * storey + 0.95
            a, b = middle - wide / 2, middle + wide / 2
            front(a - 0.1, b + 0.1, low - 0.14, low + tall + 0.1, np.minimum(wall * 1.25, 235))
            front(a, b, low, low + tall, frame)
            pane = np.array([52.0, 58, 66]) * rng.uniform(0.5, 1.7)
            lamp = p.light.dusk and rng.random() < 0.25
            front(a + 0.08, b - 0.08, low + 0.08, low + tall - 0.08, (236, 190, 110) if lamp else pane, lamp)
            front(a, b, low + tall * 0.5 - 0.04, low + tall * 0.5 + 0.04, frame)
            front(middle - 0.04, middle + 0.04, low, low + tall, frame)


def draw_shop(p: Painter, rng, front, z0, z1) -> None:
    """A ground floor with panes, a door and a signboard."""
    board = SIGNBOARDS[rng.integers(len(SIGNBOARDS))] * rng.uniform(0.8, 1.2)
    front(z0 + 0.15, z1 - 0.15, 0, 3.3, board * 0.6)
    glow = p.light.dusk and rng.random() < 0.7
    pane = np.array([240.0, 214, 160]) * rng.uniform(0.5, 0.9) if glow else np.array([58.0, 60, 62])
    edges = np.linspace(z0 + 0.4, z1 - 0.4, max(2, round((z1 - z0) / 1.8)) + 1)
    for a, b in pairwise(edges):
        front(a + 0.06, b - 0.06, 0.5, 2.5, pane * rng.uniform(0.7, 1.2), glow)
        goods = rng.uniform(60, 190, 3)
        front(a + 0.2, b - 0.25, 0.6, rng.uniform(0.9, 1.7), goods * (0.8 if glow else 0.6), glow)
    front(z0 + 0.15, z1 - 0.15, 2.6, 3.25, board)
    ink = np.array([235.0, 230, 215]) if board.mean() < 120 else np.array([50.0, 40, 40])
    letter = z0 + (z1 - z0) * 0.25
    while letter < z0 + (z1 - z0) * 0.75:
        step = rng.uniform(0.15, 0.35)
        front(letter, letter + step * 0.75, 2.78, 2.78 + rng.uniform(0.2, 0.3), ink)
        letter += step


def draw_tree(p: Painter, rng, x: float, z: float, tall: float, bare: bool) -> None:
    """A tree in leaf, as clumps lit from above, or a bare one of forking branches."""
    bark = np.array([74.0, 64, 54]) * p.light.ambient * rng.uniform(0.8, 1.2)
    if bare:
        draw_branch(p, rng, np.array([x, 0.0, z]), np.array([0.0, tall * 0.32, 0.0]), tall * 0.022, bark, 6)
        return
    p.stroke((x, 0, z), (x, tall * 0.6, z), tall * 0.035, bark, TREE)
    wide, middle = tall * rng.uniform(0.24, 0.34), tall * 0.64
    leaf = np.array([rng.uniform(58, 100), rng.uniform(78, 104), rng.uniform(36, 54)])
    size = np.clip(p.camera.focal * wide / z / 40, 0.15, 1)
    count = int(60 + 340 * size)
    spots = rng.normal(size=(count, 3))
    spots /= np.linalg.norm(spots, axis=1, keepdims=True) * rng.uniform(1, 1.9, (count, 1))
    level = p.light.ambient + p.light.direct * 0.5
    for spot in spots[np.argsort(spots[:, 1] - spots[:, 2] * 0.6)]:
        facing_sun = max(0.0, float(spot @ p.light.sun)) * p.light.direct
        tone = level * (0.5 + 0.34 * spot[1]) + 0.5 * facing_sun + rng.uniform(-0.1, 0.1)
        radius = wide * rng.uniform(0.09, 0.2) * (1.5 - 0.5 * size)
        centre = (x + spot[0] * wide, middle + spot[1] * tall * 0.34, z + 0.1 * spot[2])
        p.disc(centre, radius, leaf * max(tone, 0.08), TREE)


def draw_branch(p: Painter, rng, start, along, width, bark, order: int) -> None:
    """One branch and what grows out of it."""
    end = start + along
    p.stroke(start, end, width, bark * rng.uniform(0.8, 1.2), TREE)
    if order == 0:
        return
    for _ in range(2 if order > 2 else 3):
        angle, shrink = rng.normal(0, 0.42), rng.uniform(0.62, 0.88)
        c, s = np.cos(angle), np.sin(angle)
        turned = np.array([c * along[0] + s * along[1], c * along[1] - s * along[0] + 0.05, 0]) * shrink
        draw_branch(p, rng, end, turned, width * 0.66, bark, order - 1)


def draw_hedge(p: Painter, rng, x: float, z0: float, z1: float, tall: float) -> None:
    """A hedge along the road: a green bank with leaves on it."""
    leaf = np.array([62.0, 78, 42]) * rng.uniform(0.7, 1.2)
    p.polygon([(x, 0, z0), (x, tall, z0), (x, tall, z1), (x, 0, z1)], leaf * 0.7, TREE)
    level = p.light.ambient + 0.4 * p.light.direct
    for _ in range(int(14 * (z1 - z0))):
        z = rng.uniform(max(z0, 2.5), max(z1, 2.6))
        y = tall * rng.uniform(0.1, 1.02)
        p.disc((x, y, z), rng.uniform(0.06, 0.16), leaf * level * (0.45 + 0.6 * y / tall) * rng.uniform(0.7, 1.3), TREE)


def draw_fence(p: Painter, rng, x: float, z0: float, z1: float, railing: bool) -> None:
    """Iron railings, or boards between posts."""
    if not railing:
        wood = np.array([112.0, 88, 66]) * rng.uniform(0.7, 1.2)
        for z in np.arange(z0, z1, 0.4):
            board = [(x, 0, z), (x, 1.6, z), (x, 1.6, z + 0.39), (x, 0, z + 0.39)]
            p.polygon(board, wood * rng.uniform(0.85, 1.15), FENCE)
        return
    iron = np.array([58.0, 60, 62]) if rng.random() < 0.6 else np.array([140.0, 144, 146])
    for y in (0.2, 1.05):
        p.polygon([(x, y, z0), (x, y + 0.06, z0), (x, y + 0.06, z1), (x, y, z1)], iron, FENCE)
    for z in np.arange(max(z0, 1.5), z1, 0.16 if z0 < 15 else 0.3):
        p.stroke((x, 0.2, z), (x, 1.05, z), 0.03, iron * p.light.ambient, FENCE)


# Street furniture and people -----------------------------------------------------------------------------------------


def draw_lamp_post(p: Painter, rng, side: int, x: float, z: float, tall: float) -> None:
    """A street lamp whose arm reaches over the road."""
    steel = np.array([92.0, 96, 98]) * (p.light.ambient + 0.3 * p.light.direct)
    p.stroke((x, KERB, z), (x, tall, z), 0.13, steel, POLE)
    p.stroke((x, tall, z), (x - side * 1.3, tall + 0.25, z), 0.08, steel, POLE)
    lamp = (255, 226, 150) if p.light.dusk else tuple(steel * 1.5)
    p.stroke((x - side * 1.2, tall + 0.22, z), (x - side * 1.8, tall + 0.28, z), 0.16, lamp, POLE)


def draw_sign(p: Painter, rng, x: float, z: float) -> None:
    """A pole with a round, triangular or rectangular sign, or a traffic light."""
    level = p.light.ambient + 0.4 * p.light.direct
    tall = rng.uniform(2.2, 2.9)
    p.stroke((x, KERB, z), (x, tall + 0.5, z), 0.09, np.array([110.0, 112, 112]) * level, POLE)
    kind = rng.integers(4)
    z -= 0.06
    if kind == 0:
        p.disc((x, tall, z), 0.34, np.array([178.0, 34, 36]) * level, SIGN)
        p.disc((x, tall, z), 0.25, np.array([225.0, 225, 222]) * level, SIGN)
    elif kind == 1:
        for size, colour in ((0.42, (178, 34, 36)), (0.28, (225, 225, 222))):
            corners = [(x - size, tall - size * 0.58, z), (x + size, tall - size * 0.58, z), (x, tall + size * 1.16, z)]
            p.polygon(corners, colour, SIGN)
    elif kind == 2:
        board = SIGNBOARDS[rng.integers(3)] * 1.2
        p.box((x - 0.45, tall - 0.35, z), (x + 0.45, tall + 0.35, z + 0.03), board, SIGN)
        p.box((x - 0.3, tall - 0.05, z - 0.02), (x + 0.3, tall + 0.1, z), (225, 225, 222), SIGN)
    else:
        p.box((x - 0.17, tall - 0.5, z), (x + 0.17, tall + 0.5, z + 0.2), (24, 24, 24), SIGN)
        lit = rng.integers(3)
        for i, colour in enumerate([(255, 50, 36), (255, 180, 60), (70, 255, 170)]):
            p.disc((x, tall + 0.3 * (1 - i), z - 0.02), 0.1, colour if i == lit else (44, 42, 40), SIGN)


def draw_bin(p: Painter, rng, x: float, z: float) -> None:
    """A wheeled bin."""
    plastic = np.array([(38, 44, 40), (40, 66, 48), (60, 60, 96)][rng.integers(3)], float)
    p.box((x - 0.28, KERB, z), (x + 0.28, KERB + 0.95, z + 0.6), plastic, UNLABELLED)
    p.box((x - 0.31, KERB + 0.95, z - 0.04), (x + 0.31, KERB + 1.05, z + 0.62), plastic * 1.3, UNLABELLED)


def draw_bonnet(p: Painter, rng) -> None:
    """The edge of the bonnet of the car the camera sits in."""
    u = np.linspace(0, 1, 30)
    v = HEIGHT - rng.uniform(8, 22) * (1 - (1.6 * (u - rng.uniform(0.5, 0.8))) ** 2).clip(-1, 1)
    edge = np.stack([u * WIDTH, v], 1) * SCALE
    for drop, tone in ((0, 0.35), (3 * SCALE, 0.12)):
        outline = np.concatenate([edge + np.array([0, drop]), [[WIDTH * SCALE, HEIGHT * SCALE], [0, HEIGHT * SCALE]]])
        ink = p.ink(p.light.horizon * tone, UNLABELLED)
        cv2.fillPoly(p.canvas, [np.rint(outline).astype(np.int32)], ink)


class Figure:
    """A flat cut-out that faces the camera, drawn in metres from its foot."""

    def __init__(self, p: Painter, x: float, y: float, z: float, label: int, scale: float = 1.0):
        self.p, self.foot, self.label, self.scale = p, np.array([x, y, z]), label, scale
        self.level = p.light.ambient + 0.45 * p.light.direct

    def at(self, x: float, y: float) -> np.ndarray:
        return self.foot + np.array([x, y, 0]) * self.scale

    def limb(self, points, width: float, colour) -> None:
        for a, b in pairwise(points):
            tone = np.asarray(colour) * self.level
            self.p.stroke(self.at(*a), self.at(*b), width * self.scale, tone, self.label)

    def shape(self, points, colour) -> None:
        corners = np.array([self.at(*point) for point in points])
        self.p.fill(
            self.p.camera.project(corners), self.p.ink(np.asarray(colour) * self.level, self.label, corners[0, 2])
        )

    def ball(self, x: float, y: float, radius: float, colour) -> None:
        self.p.disc(self.at(x, y), radius * self.scale, np.asarray(colour) * self.level, self.label)

    def ring(self, x: float, y: float, radius: float, squeeze: float, width: float, colour) -> None:
        angle = np.linspace(0, 2 * np.pi, 17)
        self.limb(np.stack([x + radius * squeeze * np.cos(angle), y + radius * np.sin(angle)], 1), width, colour)


SKIN = np.array([(206, 164, 140), (190, 148, 122), (120, 84, 62)], float)
HAIR = np.array([(44, 34, 28), (88, 66, 44), (30, 28, 28), (150, 128, 90)], float)
CLOTHES = np.array([
    (34, 36, 44), (48, 50, 58), (70, 62, 56), (110, 40, 44), (60, 76, 110), (150, 146, 138), (90, 96, 80), (40, 60, 52),
    (190, 60, 50), (200, 196, 188),
], float)  # fmt: skip


def draw_head(figure: Figure, rng, x: float, y: float) -> None:
    """A head with hair, seen from the front or from behind."""
    hair = HAIR[rng.integers(len(HAIR))]
    figure.limb([(x, y - 0.18), (x, y)], 0.1, SKIN[0] * 0.8)
    figure.ball(x, y + 0.02, 0.115, hair)
    if rng.random() < 0.5:
        figure.ball(x, y - 0.02, 0.09, SKIN[rng.integers(len(SKIN))])


def draw_pedestrian(p: Painter, rng, x: float, y: float, z: float) -> None:
    """Somebody standing or walking."""
    figure = Figure(p, x, y, z, PEDESTRIAN, rng.uniform(0.92, 1.08))
    coat, legs = CLOTHES[rng.integers(len(CLOTHES))], CLOTHES[rng.integers(3)] * rng.uniform(0.8, 1.4)
    stride, lean = rng.uniform(0.03, 0.24), rng.choice([-1, 1])
    for sign in (-1, 1):
        foot = sign * stride
        figure.limb(
            [(sign * 0.07, 0.88), (sign * 0.08 + foot * 0.4, 0.46), (foot, 0.06)], 0.15, legs * (1 + 0.1 * sign)
        )
        figure.limb([(foot - 0.02, 0.04), (foot + lean * 0.12, 0.03)], 0.08, (30, 28, 28))
    hem = rng.choice([0.8, 0.8, 0.55])
    figure.limb([(-0.22, 1.36), (-0.26 - stride * 0.3, 1.08), (-0.2 + stride * 0.5, 0.85)], 0.1, coat * 0.85)
    figure.shape([(-0.2, hem), (0.2, hem), (0.22, 1.38), (0.12, 1.46), (-0.12, 1.46), (-0.22, 1.38)], coat)
    figure.limb([(0.22, 1.36), (0.26 + stride * 0.3, 1.08), (0.2 - stride * 0.5, 0.85)], 0.1, coat * 1.12)
    draw_head(figure, rng, 0, 1.6)
    if rng.random() < 0.4:
        figure.shape([(0.2, 0.6), (0.42, 0.6), (0.4, 0.86), (0.22, 0.86)], CLOTHES[rng.integers(len(CLOTHES))])


def draw_cyclist(p: Painter, rng, x: float, z: float, across: bool) -> None:
    """Somebody on a bicycle, riding with or across the view."""
    figure = Figure(p, x, 0, z, BICYCLIST)
    coat, legs = CLOTHES[rng.integers(len(CLOTHES))], CLOTHES[rng.integers(3)]
    if rng.random() < 0.3:
        coat = np.array([205.0, 220, 50])
    frame = rng.uniform(40, 170, 3)
    if across:
        for wheel in (-0.52, 0.52):
            figure.ring(wheel, 0.34, 0.32, 1.0, 0.05, (28, 28, 28))
        figure.limb([(-0.52, 0.34), (-0.15, 0.85), (0.38, 0.82), (0, 0.32), (-0.52, 0.34)], 0.045, frame)
        figure.limb([(0.52, 0.34), (0.38, 0.82), (0.4, 1.0), (0.5, 1.0)], 0.045, frame)
        figure.limb([(-0.15, 0.95), (0.22, 0.68), (0.02, 0.2)], 0.14, legs)
        figure.shape([(-0.3, 0.9), (-0.05, 0.9), (0.28, 1.35), (0.16, 1.48), (-0.02, 1.42)], coat)
        figure.limb([(0.18, 1.36), (0.3, 1.1), (0.5, 1.02)], 0.09, coat * 0.85)
        draw_head(figure, rng, 0.28, 1.62)
        return
    figure.ring(0, 0.34, 0.32, 0.16, 0.06, (26, 26, 26))
    for sign in (-1, 1):
        knee = rng.uniform(0.5, 0.7)
        figure.limb([(sign * 0.1, 0.95), (sign * 0.16, knee), (sign * 0.12, knee - 0.4)], 0.14, legs * (1 + 0.1 * sign))
        figure.limb([(sign * 0.2, 1.38), (sign * 0.31, 1.14), (sign * 0.25, 1.0)], 0.1, coat * 0.85)
    figure.limb([(-0.28, 1.02), (0.28, 1.02)], 0.04, (40, 40, 40))
    figure.shape([(-0.15, 0.86), (0.15, 0.86), (0.22, 1.36), (0.12, 1.48), (-0.12, 1.48), (-0.22, 1.36)], coat)
    draw_head(figure, rng, 0, 1.62)


# Ground and sky ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Street:
    """Where things are across the road, in metres from the camera, and where a side road joins."""

    left: float  # kerbs
    right: float
    centre: float
    pavement: tuple[float, float]  # widths of the pavement, left and right
    junction: tuple[float, float]  # from, to
    green: bool  # gardens and trees instead of shops and terraces


def make_street(rng: np.random.Generator) -> Street:
    """Draw a road's layout."""
    parking = rng.random(2) < 0.65
    centre = rng.uniform(1.5, 1.9)
    start = rng.uniform(11, 45)
    return Street(
        left=-rng.uniform(1.7, 2.2) - 2.1 * parking[0],
        right=centre + rng.uniform(3.1, 3.6) + 2.1 * parking[1],
        centre=centre,
        pavement=tuple(rng.uniform(1.8, 4.0, 2)),
        junction=(start, start + rng.uniform(6, 9)) if rng.random() < 0.6 else (900.0, 901.0),
        green=rng.random() < 0.4,
    )


def draw_ground(p: Painter, rng, street: Street) -> None:
    """Road, kerbs, pavements, and the marks on the road."""
    asphalt = rng.uniform(84, 118) + np.array([0.0, 1, 3])
    slab = asphalt * rng.uniform(1.1, 1.4) + np.array([6.0, 3, 0])
    far, up = 160.0, np.array([0.0, 1, 0])
    steps = NEAR * (far / NEAR) ** np.linspace(0, 1, 40)

    def strip(x0, x1, z0, z1, y, colour, label):
        cuts = np.concatenate([[z0], steps[(steps > z0) & (steps < z1)], [z1]])
        for a, b in pairwise(cuts):
            p.polygon([(x0, y, a), (x1, y, a), (x1, y, b), (x0, y, b)], colour, label, float(p.light.on(up)))

    strip(-400, 400, NEAR, far, 0, asphalt, ROAD)
    a, b = street.junction
    for z0, z1 in ((NEAR, min(a, far)), (b, far)):
        if z0 >= z1:
            continue
        for side, kerb, wide in ((-1, street.left, street.pavement[0]), (1, street.right, street.pavement[1])):
            beyond = np.array([86.0, 96, 58]) if street.green else slab * 0.8
            outer = kerb + side * wide
            strip(
                min(outer, side * 400), max(outer, side * 400), z0, z1, KERB, beyond, TREE if street.green else PAVEMENT
            )
            strip(min(kerb, outer), max(kerb, outer), z0, z1, KERB, slab, PAVEMENT)
            strip(kerb - 0.07, kerb + 0.07, z0, z1, KERB, slab * 1.2, PAVEMENT)
            for near, end in pairwise(steps):
                near, end = max(near, z0), min(end, z1)
                if near < end:
                    face = [(kerb, 0, near), (kerb, KERB, near), (kerb, KERB, end), (kerb, 0, end)]
                    p.polygon(face, slab * 0.85, PAVEMENT)
    white = np.array([214.0, 214, 208]) * rng.uniform(0.75, 1)
    dash, gap = rng.choice([2.0, 4.0]), rng.choice([2.0, 4.0, 5.0])
    for z in np.arange(rng.uniform(0.6, 4), 110, dash + gap):
        if not a - 2 < z < b:
            strip(street.centre - 0.06, street.centre + 0.06, z, z + dash, 0, white, ROAD)
    if rng.random() < 0.5:
        yellow = np.array([176.0, 150, 70])
        for kerb, side in ((street.left, 1), (street.right, -1)):
            for inset in (0.25, 0.45):
                x = kerb + side * inset
                for z0, z1 in ((NEAR, min(a - 1, 90)), (b + 1, 90)):
                    if z0 < z1:
                        strip(x - 0.04, x + 0.04, z0, z1, 0, yellow, ROAD)
    if a < 100:
        for x in np.arange(street.left, street.right, 0.9):
            strip(x, x + 0.5, a - 1.2, a - 0.95, 0, white, ROAD)


def fractal(rng: np.random.Generator, height: int, width: int, coarsest: int) -> np.ndarray:
    """Smooth noise of zero mean and about unit spread, (height, width) float32."""
    total, size, weight = np.zeros((height, width), np.float32), coarsest, 1.0
    while size < width:
        grid = rng.standard_normal((max(2, size * height // width), size), dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        size, weight = size * 2, weight * 0.55
    return total


def draw_sky(p: Painter, rng) -> None:
    """A gradient from horizon to zenith, clouds, and the skyline far away."""
    light = p.light
    rise = np.clip(1 - np.arange(HEIGHT) / max(p.camera.horizon, 1), 0, 1)[:, None, None] ** 0.8
    sky = light.horizon * (1 - rise) + light.zenith * rise
    cloud = np.clip(fractal(rng, HEIGHT, WIDTH, 3) * 0.7 + 0.3, 0, 1)[..., None] * light.clouds
    sky = sky * (1 - cloud) + (light.horizon * (0.72 if light.dusk else 0.97)) * cloud
    p.canvas[..., :3] = cv2.resize(np.clip(sky, 0, 255).astype(np.uint8), None, fx=SCALE, fy=SCALE)
    x, base = 0.0, p.camera.project(np.array([0.0, 0, 160]))[1] / SCALE + 2
    while x < WIDTH:
        wide, tall = rng.uniform(12, 60), rng.uniform(4, 20)
        far = np.array([[x, base], [x + wide, base], [x + wide, base - tall], [x, base - tall]]) * SCALE
        if rng.random() < 0.5:
            p.fill(far, p.ink(WALLS[rng.integers(len(WALLS))] * light.ambient * 0.8, BUILDING, 160))
        else:
            ink = p.ink(np.array([72.0, 78, 62]) * light.ambient, TREE, 160)
            for _ in range(12):
                spot = (int((x + rng.uniform(0, wide)) * SCALE), int((base - rng.uniform(0, tall * 0.7)) * SCALE))
                cv2.circle(p.canvas, spot, int(rng.uniform(3, 7) * SCALE), ink, -1)
        x += wide * 0.8


# The scene -----------------------------------------------------------------------------------------------------------


class Scene:
    """What stands in the street, to be drawn from far to near."""

    def __init__(self, p: Painter, rng: np.random.Generator, street: Street):
        self.p, self.rng, self.street = p, rng, street
        self.things = []

    def add(self, depth: float, draw, *arguments) -> None:
        self.things.append((depth, len(self.things), draw, arguments))

    def car(self, body: Body, pose: Pose, braking: bool = False) -> None:
        cast_car_shadow(self.p, body, pose)
        self.add(pose.z, draw_car, self.p, self.rng, body, pose, braking)

    def paint(self) -> None:
        for _, _, draw, arguments in sorted(self.things, key=lambda thing: (-thing[0], thing[1])):
            draw(*arguments)


def some_body(rng: np.random.Generator, bus: float = 0.03) -> Body:
    """Draw a kind of vehicle, as common as on a British street."""
    weights = np.array([0.36, 0.2, 0.13, 0.12, 0.16, bus])
    body = BODIES[rng.choice(len(BODIES), p=weights / weights.sum())]
    return replace(body, length=body.length * rng.uniform(0.95, 1.06), width=body.width * rng.uniform(0.97, 1.03))


def add_frontage(scene: Scene) -> None:
    """Buildings on both sides, with gardens before them where the street is green."""
    rng, street = scene.rng, scene.street
    for side, kerb, wide in ((-1, street.left, street.pavement[0]), (1, street.right, street.pavement[1])):
        line = kerb + side * wide
        shops = not street.green and rng.random() < 0.6
        z = rng.uniform(-4, 1)
        while z < 130:
            end = z + rng.uniform(5, 13)
            if z < street.junction[1] and end > street.junction[0]:
                z = street.junction[1] + 1
                continue
            gap = street.green and rng.random() < 0.45
            if not gap:
                away = line + side * (rng.uniform(4, 8) if street.green else rng.choice([0, 0, 0.4]))
                scene.add(max(end, NEAR), draw_building, scene.p, rng, side, away, z, end, shops)
            if street.green:
                add_garden(scene, side, line, z, end)
            z = end


def add_garden(scene: Scene, side: int, line: float, z0: float, z1: float) -> None:
    """What divides a garden from the pavement, and a tree in it."""
    rng, p = scene.rng, scene.p
    if z1 < 1:
        return
    kind = rng.integers(4)
    if kind == 0:
        scene.add(z1, draw_hedge, p, rng, line, max(z0, NEAR), z1, rng.uniform(0.9, 2.2))
    elif kind < 3:
        scene.add(z1, draw_fence, p, rng, line, max(z0, NEAR), z1, kind == 1)
    if rng.random() < 0.6 and z1 > 6:
        where = line + side * rng.uniform(1.5, 4)
        scene.add(
            z1 + 0.1, draw_tree, p, rng, where, max(rng.uniform(z0, z1), 5), rng.uniform(5, 12), rng.random() < 0.5
        )


def add_furniture(scene: Scene) -> None:
    """Lamp posts, signs, street trees, railings and people on the pavements."""
    rng, p, street = scene.rng, scene.p, scene.street
    bare = rng.random() < 0.5
    for side, kerb, wide in ((-1, street.left, street.pavement[0]), (1, street.right, street.pavement[1])):
        edge = kerb + side * 0.5
        tall = rng.uniform(5, 8)
        for z in np.arange(rng.uniform(5, 18), 100, rng.uniform(18, 30)):
            scene.add(z, draw_lamp_post, p, rng, side, edge, z, tall)
        for z in rng.uniform(6, 60, rng.integers(1, 5)):
            scene.add(z, draw_sign, p, rng, edge, z)
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(7, 16), 80, rng.uniform(9, 16)):
                scene.add(z, draw_tree, p, rng, edge + side * 0.4, z, rng.uniform(5, 9), bare)
        if rng.random() < 0.25:
            z = rng.uniform(4, 20)
            scene.add(z + 8, draw_fence, p, rng, edge - side * 0.2, z, z + 8, True)
        for z in rng.uniform(6, 30, rng.integers(0, 3)):
            scene.add(z, draw_bin, p, rng, kerb + side * (wide - 0.5), z)
        for z in rng.uniform(5, 45, rng.integers(0, 7)):
            x = kerb + side * rng.uniform(0.7, max(wide - 0.3, 0.8))
            scene.add(z, draw_pedestrian, p, rng, x, KERB, z)
    if rng.random() < 0.2:
        z = rng.uniform(9, 30)
        scene.add(z, draw_pedestrian, p, rng, rng.uniform(street.left, street.right), 0.0, z)
    for _ in range(rng.integers(0, 3)):
        z, across = rng.uniform(6, 30), rng.random() < 0.2
        x = rng.choice([-1.3, 1.0 + street.centre]) + rng.uniform(-0.3, 0.3)
        scene.p.shadow(
            np.array([(x - 0.3, 0, z - 0.8), (x + 0.3, 0, z - 0.8), (x + 0.3, 0, z + 0.8), (x - 0.3, 0, z + 0.8)]), 0.4
        )
        scene.add(z, draw_cyclist, p, rng, x, z, across)


def add_traffic(scene: Scene) -> None:
    """Cars ahead, oncoming, parked along the kerbs and crossing at the junction."""
    rng, street = scene.rng, scene.street
    lanes = [
        (rng.uniform(-0.3, 0.2), 0.0, rng.uniform(6, 22), 0.8),
        (street.centre + 1.6, np.pi, rng.uniform(4, 14), 0.85),
    ]
    for x, turn, z, density in lanes:
        queue = rng.random() < 0.3
        while z < 100 and rng.random() < density:
            body = some_body(rng, 0.06)
            z += body.length / 2
            scene.car(body, Pose(x + rng.normal(0, 0.15), z, turn + rng.normal(0, 0.03)), rng.random() < 0.35)
            z += body.length / 2 + (rng.uniform(1.5, 5) if queue else rng.uniform(6, 30))
    for kerb, side, parked in (
        (street.left, 1, street.left < -3),
        (street.right, -1, street.right > street.centre + 4.5),
    ):
        z = rng.uniform(1, 6)
        while parked and z < 90:
            body = some_body(rng, 0)
            z += body.length / 2
            near_junction = street.junction[0] - 3 < z < street.junction[1] + 3
            if rng.random() < 0.8 and not near_junction:
                turn = np.pi * (rng.random() < (0.15 if side > 0 else 0.6)) + rng.normal(0, 0.03)
                scene.car(body, Pose(kerb + side * (body.width / 2 + 0.2), z, turn))
            z += body.length / 2 + rng.uniform(0.6, 1.8)
    a, b = street.junction
    if a < 60 and rng.random() < 0.6:
        turn = rng.choice([-1, 1]) * (np.pi / 2 + rng.normal(0, 0.25))
        z = (a + b) / 2 + (1.6 if turn < 0 else -1.6)
        scene.things = [t for t in scene.things if t[2] is not draw_car or abs(t[0] - z) > 6]
        scene.car(some_body(rng), Pose(rng.uniform(-8, 10), z, turn))


# From canvas to frame ------------------------------------------------------------------------------------------------


def ground_texture(p: Painter, rng, street: Street, labels: np.ndarray) -> np.ndarray:
    """A factor for every pixel's brightness: grain, wheel tracks, slabs and shadows on road and pavement."""
    x, z = p.camera.ground()
    grain = fractal(rng, HEIGHT, WIDTH, 60) * 0.035 + rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32) * 0.03
    tracks = 0.05 * np.cos((x - street.centre / 2) * 2 * np.pi / 1.6) * np.exp(-z / 40)
    near = np.exp(-z / 9)
    joints = ((x % 0.6 < 0.05) | (z % 0.9 < 0.06)) * 0.12 * near
    shade = cv2.GaussianBlur(p.shade, (0, 0), 1.2).astype(np.float32) / 255
    factor = np.ones((HEIGHT, WIDTH), np.float32)
    road, pavement = labels == ROAD, labels == PAVEMENT
    factor[road] = ((1 + grain + tracks) * shade)[road]
    factor[pavement] = ((1 + grain - joints) * shade)[pavement]
    return factor


def develop(p: Painter, rng, street: Street) -> tuple[np.ndarray, np.ndarray]:
    """Canvas -> frame and labels: averaging, texture, bloom, lens blur, colour temperature, noise."""
    labels = np.ascontiguousarray(p.canvas[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE, 3])
    image = cv2.resize(p.canvas[..., :3], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    factor = ground_texture(p, rng, street, labels)
    mottle = fractal(rng, HEIGHT, WIDTH, 40) * 0.05
    factor[labels == BUILDING] += mottle[labels == BUILDING]
    factor[labels == TREE] += mottle[labels == TREE] * 1.6
    image *= factor[..., None]
    bright = np.maximum(image - (150 if p.light.dusk else 225), 0)
    image += cv2.GaussianBlur(bright, (0, 0), 6) * (0.7 if p.light.dusk else 0.35)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.75))
    image *= (p.light.tint * rng.uniform(0.88, 1.08)).astype(np.float32)
    lift = rng.uniform(0, 8)
    image = lift + image * (1 - lift / 255)
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32) * rng.uniform(1.0, 4.0)
    image += 0.6 * noise + 0.4 * noise.mean(-1, keepdims=True)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), labels


def render(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Render the street scene of a seed, the same one every time.

    Args:
        seed: any non-negative integer.

    Returns:
        image: 360×480×3 uint8, RGB.
        labels: 360×480 uint8, CamVid's class ids 0..11 in the order of the constants SKY to UNLABELLED.
    """
    rng = np.random.default_rng(seed)
    light, street = make_light(rng), make_street(rng)
    camera = Camera(
        focal=rng.uniform(400, 540),
        height=rng.uniform(1.15, 1.5),
        horizon=HEIGHT * rng.uniform(0.43, 0.58),
        bend=rng.normal(0, 0.0025),
        hill=rng.normal(0, 0.0006),
    )
    p = Painter(camera, light)
    draw_sky(p, rng)
    draw_ground(p, rng, street)
    scene = Scene(p, rng, street)
    add_frontage(scene)
    add_furniture(scene)
    add_traffic(scene)
    scene.paint()
    if rng.random() < 0.25:
        draw_bonnet(p, rng)
    return develop(p, rng, street)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_sample(folder: Path) -> None:
    """Write the sample scenes as ``test/*.png`` and their labels as ``testannot/*.png``."""
    for name, seed in SAMPLE_SEEDS.items():
        image, labels = render(seed)
        write_png(folder / "test" / f"{name}.png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_png(folder / "testannot" / f"{name}.png", labels)


if __name__ == "__main__":
    write_sample(Path(__file__).resolve().parent / "sample")
