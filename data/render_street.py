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
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 360, 480
SAMPLE_SEEDS = {"street_1": 404, "street_2": 523, "street_3": 405}  # never train on these
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
        up = np.clip((directions[..., 1:2] + 0.05) / 0.6, 0, 1)
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
        direct=rng.uniform(0.4, 0.65),
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
        sky = np.array([rng.uniform(120, 160), 140, rng.uniform(132, 155)]) * rng.uniform(0.75, 1.25)
        ambient = rng.uniform(0.27, 0.5)
        light = replace(light, direct=0, ambient=ambient, zenith=sky * 0.7, horizon=sky * 1.2, clouds=1.0, dusk=True)
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

    def inks(self, colours: np.ndarray, label: int, depth: float) -> list[list[float]]:
        """``ink`` for (N, 3) colours at once."""
        clear = math.exp(-depth / self.light.haze)
        mixed = np.minimum(colours * clear + np.array(self.air) * (1 - clear), 255)
        return np.insert(mixed, 3, label, axis=1).tolist()

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
        self.discs(np.array([centre], float), np.array([radius]), np.array([colour], float), label)

    def discs(self, centres: np.ndarray, radii: np.ndarray, colours: np.ndarray, label: int) -> None:
        """(N, 3) discs that face the camera, the last one uppermost."""
        spots = np.rint(self.camera.project(centres)).astype(int).tolist()
        sizes = np.maximum(1, np.rint(self.camera.focal * SCALE * radii / centres[:, 2])).astype(int).tolist()
        inks = self.inks(colours, label, float(centres[0, 2]))
        for spot, size, ink in zip(spots, sizes, inks, strict=True):
            cv2.circle(self.canvas, spot, size, ink, -1)

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

    def sun_shadow(self, points: np.ndarray) -> None:
        """Darken the ground where (N, 3) points of a convex body, its foot among them, keep the sun off."""
        if self.light.direct > 0.2:
            along = self.light.sun[[0, 2]] / self.light.sun[1]
            fallen = points * (1, 0, 1)
            fallen[:, [0, 2]] -= points[:, 1:2] * along
            self.shadow(fallen, 0.75 * self.light.direct / (self.light.direct + 0.3))


def normal_of(points: np.ndarray) -> np.ndarray:
    """A normal of each planar (..., N, 3) polygon, of either sign and any length."""
    a, b = points[..., 2, :] - points[..., 0, :], points[..., 1, :] - points[..., -1, :]
    return a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]


def facing(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Unit normal of a planar (N, 3) polygon, turned towards the camera."""
    normal = normal_of(points)
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
    with z from 1 (front) to -1 and y in metres. The windscreen lies between its corners 5 and 6, the rear window
    between 8 and 9. ``windows`` are the ends of the side glass, ``pillars`` its interruptions, ``axles`` the wheels,
    all in the unit of z. ``tail`` has the rear lamps' lower and upper edge in metres and inner edge relative to the
    width. Own coordinates are x right, y up, z ahead in metres, with the origin on the ground.
    """

    kind: str
    length: float
    width: float
    outline: tuple[tuple[float, float], ...]
    belt: float  # metres from the ground up to the windows
    roof: float  # width of the roof relative to the body's
    windows: tuple[float, float]
    pillars: tuple[float, ...]
    axles: tuple[float, float]
    wheel: float
    tail: tuple[float, float, float]

    @cached_property
    def corners(self) -> np.ndarray:
        """``outline`` as an array."""
        return np.array(self.outline)

    @cached_property
    def path(self) -> np.ndarray:
        """``outline`` with its corners cut: its segment i is segment 2i + 1 here."""
        a, b = self.corners[:-1], self.corners[1:]
        inner = np.stack([a + (b - a) * 0.14, b - (b - a) * 0.14], 1).reshape(-1, 2)
        return np.concatenate([self.corners[:1], inner, self.corners[-1:]])

    @property
    def low(self) -> float:
        """Height of the body's lower edge."""
        return self.outline[0][1]

    @property
    def top(self) -> float:
        """Height of the roof."""
        return max(y for _, y in self.outline)

    def half_width(self, z, y):
        """Half the width in metres at relative position z and height y."""
        levels = [0.7 * self.low, self.low + 0.12, 0.65 * self.belt, self.belt, self.top]
        section = np.interp(y, levels, [0.94, 0.985, 1.0, 0.97, self.roof])
        return self.width / 2 * section * (1 - 0.13 * np.abs(z) ** 6)

    def ribbon(self, z, y, across) -> np.ndarray:
        """Points on the surface that runs over the vehicle from bumper to bumper; ``across`` from -1 to 1."""
        z, y, across = np.broadcast_arrays(z, y, across)
        bulge = 0.02 if self.kind == "bus" else 0.07
        z = z * (1 - bulge * np.abs(across) ** 2.5 * z * z)
        y = y - 0.04 * across**2 * (y > self.belt)
        return np.stack([across * self.half_width(z, y), y, z * self.length / 2], -1)

    def end(self, sign: int, y, across) -> np.ndarray:
        """Points on the front (sign 1) or the rear (-1) at some heights."""
        part = self.corners[:4] if sign > 0 else self.corners[:8:-1]
        return self.ribbon(np.interp(y, part[:, 1], part[:, 0]), y, across)

    def pane(self, sign: int, up, across) -> np.ndarray:
        """Points on the windscreen (sign 1) or rear window (-1); ``up`` is 0 at its foot and 1 at the roof."""
        foot, roof = self.corners[[5, 6] if sign > 0 else [9, 8]]
        z, y = (foot + (roof - foot) * np.asarray(up)[..., None]).T
        return self.ribbon(z, y, across)

    def side(self, sign: int, z, y) -> np.ndarray:
        """Points on the right (sign 1) or left (-1) flank."""
        z, y = np.broadcast_arrays(np.asarray(z, float), np.asarray(y, float))
        return np.stack([sign * self.half_width(z, y), y, z * self.length / 2], -1)

    def ribbon_faces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quads of the ribbon, (N, 4, 3), which of them are glass, and their outward normals, (N, 3)."""
        across = np.array([-1, -0.9, -0.7, -0.45, -0.15, 0.15, 0.45, 0.7, 0.9, 1])
        glass = np.zeros((len(self.path) - 1, len(across) - 1), bool)
        glass[[11, 17], 1:-1] = True
        faces = quads(self.ribbon(self.path[:, None, 0], self.path[:, None, 1], across))
        return faces, glass.ravel(), -normal_of(faces)

    def side_faces(self, sign: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same for one flank. Its upper edge is the ribbon's."""
        edge = self.ribbon(self.path[:, 0], self.path[:, 1], 1.0)
        edge = edge[edge[:, 2].argmax() : edge[:, 2].argmin() + 1][::-1]
        edge_z = edge[:, 2] / (self.length / 2)
        pillars = np.array([p + d for p in self.pillars for d in (-0.025, 0.025)])
        z = np.unique(np.concatenate([np.linspace(edge_z[0], edge_z[-1], 20), edge_z, pillars, self.windows]))
        roofline = np.interp(z, edge_z, edge[:, 1])
        middle = (self.low + self.belt) / 2
        levels = (self.low, self.low + 0.1, middle - 0.1, middle + 0.1, self.belt - 0.06, self.belt, self.belt + 0.03)
        rows = np.stack([*(np.minimum(level, roofline) for level in levels), roofline, roofline])
        rows[-2] = np.maximum(rows[-3], roofline - 0.12 * (self.top - self.belt))
        centre = (z[:-1] + z[1:]) / 2
        glass = np.zeros((len(rows) - 1, len(z) - 1), bool)
        glass[-2] = (centre > self.windows[0]) & (centre < self.windows[1])
        for pillar in self.pillars:
            glass[-2] &= np.abs(centre - pillar) > 0.024
        faces = quads(self.side(sign, z, rows))
        middles = faces.mean(1)
        z, y = middles[:, 2] / (self.length / 2), middles[:, 1]
        rise = (self.half_width(z, y + 0.02) - self.half_width(z, y - 0.02)) / 0.04
        taper = (self.half_width(z + 0.01, y) - self.half_width(z - 0.01, y)) / (0.01 * self.length)
        return faces, glass.ravel(), np.stack([np.full_like(z, sign), -rise, -taper], 1)


def quads(grid: np.ndarray) -> np.ndarray:
    """The cells of an (M, N, 3) grid as (K, 4, 3)."""
    return np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], 2).reshape(-1, 4, 3)


HATCHBACK = Body(
    "hatchback", 3.9, 1.7,
    ((0.95, 0.22), (1.0, 0.36), (0.99, 0.55), (0.93, 0.72), (0.72, 0.84), (0.5, 0.94), (0.1, 1.37), (-0.25, 1.45),
     (-0.74, 1.39), (-0.93, 0.99), (-0.97, 0.78), (-1.0, 0.58), (-1.0, 0.38), (-0.95, 0.25)),
    0.93, 0.76, (-0.83, 0.44), (-0.08, -0.52), (0.62, -0.66), 0.3, (0.68, 0.98, 0.74),
)  # fmt: skip
SALOON = Body(
    "saloon", 4.5, 1.75,
    ((0.96, 0.2), (1.0, 0.36), (0.99, 0.54), (0.94, 0.69), (0.7, 0.82), (0.4, 0.92), (0.08, 1.34), (-0.16, 1.41),
     (-0.45, 1.36), (-0.72, 0.99), (-0.95, 0.96), (-0.99, 0.7), (-1.0, 0.4), (-0.96, 0.24)),
    0.92, 0.74, (-0.66, 0.34), (-0.1, -0.46), (0.63, -0.61), 0.31, (0.68, 0.86, 0.6),
)  # fmt: skip
ESTATE = Body(
    "estate", 4.6, 1.76,
    ((0.96, 0.2), (1.0, 0.36), (0.99, 0.54), (0.94, 0.69), (0.7, 0.83), (0.42, 0.93), (0.1, 1.37), (-0.2, 1.45),
     (-0.82, 1.4), (-0.94, 1.0), (-0.97, 0.75), (-1.0, 0.56), (-1.0, 0.38), (-0.96, 0.25)),
    0.93, 0.77, (-0.88, 0.36), (-0.1, -0.5), (0.63, -0.6), 0.31, (0.66, 1.02, 0.82),
)  # fmt: skip
SUV = Body(
    "SUV", 4.4, 1.82,
    ((0.95, 0.32), (1.0, 0.48), (0.99, 0.7), (0.95, 0.88), (0.72, 1.0), (0.45, 1.08), (0.16, 1.6), (-0.2, 1.7),
     (-0.85, 1.65), (-0.94, 1.15), (-0.97, 0.9), (-1.0, 0.68), (-1.0, 0.45), (-0.95, 0.34)),
    1.08, 0.8, (-0.88, 0.4), (-0.08, -0.5), (0.62, -0.62), 0.36, (0.78, 1.12, 0.83),
)  # fmt: skip
VAN = Body(
    "van", 4.9, 1.9,
    ((0.96, 0.28), (1.0, 0.45), (0.99, 0.7), (0.95, 0.96), (0.84, 1.07), (0.72, 1.14), (0.44, 1.82), (0.2, 1.93),
     (-0.96, 1.88), (-0.98, 1.2), (-0.99, 0.9), (-1.0, 0.6), (-1.0, 0.45), (-0.97, 0.3)),
    1.14, 0.88, (0.22, 0.66), (), (0.66, -0.6), 0.33, (0.75, 1.25, 0.87),
)  # fmt: skip
BUS = Body(
    "bus", 9.8, 2.5,
    ((0.985, 0.35), (1.0, 0.6), (1.0, 0.85), (0.998, 1.0), (0.996, 1.1), (0.995, 1.2), (0.98, 2.65), (0.95, 3.05),
     (-0.98, 2.9), (-0.985, 1.9), (-0.995, 1.3), (-1.0, 0.8), (-1.0, 0.6), (-0.985, 0.4)),
    1.3, 0.95, (-0.95, 0.95), (0.7, 0.42, 0.14, -0.14, -0.42, -0.7), (0.6, -0.5), 0.48, (0.8, 1.2, 0.88),
)  # fmt: skip
BODIES = (HATCHBACK, SALOON, ESTATE, SUV, VAN, BUS)
PAINTS = np.array([
    (150, 153, 158), (178, 181, 185), (110, 114, 120), (200, 202, 203), (212, 212, 208), (32, 33, 36), (22, 23, 28),
    (32, 42, 78), (44, 66, 120), (24, 30, 52), (120, 26, 30), (158, 34, 34), (30, 62, 46), (112, 96, 72),
    (84, 122, 150), (60, 62, 66), (70, 30, 34), (138, 104, 66),
], float)  # fmt: skip
LIVERIES = {
    "van": [(208, 209, 208)] * 3 + [(60, 80, 130), (150, 30, 30)],
    "bus": [(150, 24, 28), (60, 100, 160), (210, 210, 205)],
}
GLASS = np.array([34.0, 38, 42])


@dataclass(frozen=True)
class Pose:
    """Where a vehicle stands: metres, and the angle it is turned by (0: away from us, pi: towards us)."""

    x: float
    z: float
    turn: float = 0.0

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """Own directions -> world directions, (..., 3)."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return vectors @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Own coordinates -> world coordinates, (..., 3)."""
        return self.rotate(np.asarray(points, float)) + np.array([self.x, 0, self.z])


class Car:
    """One vehicle on the way to the canvas."""

    def __init__(self, p: Painter, rng: np.random.Generator, body: Body, pose: Pose):
        self.p, self.rng, self.body, self.pose = p, rng, body, pose
        paints = LIVERIES.get(body.kind, PAINTS)
        self.paint = np.array(paints[rng.integers(len(paints))]) * rng.uniform(0.9, 1.1)
        self.detailed = pose.z < 35

    def decal(self, points: np.ndarray, colour, glows: bool = False) -> None:
        """Paint a patch on the surface, (N, 3) own coordinates, if it faces the camera."""
        normal = normal_of(points)
        if normal @ (points.mean(0) * (1, 1, 0.3) - (0, 0.55, 0)) < 0:
            normal = -normal
        world = self.pose.place(points)
        if self.pose.rotate(normal) @ ((0, self.p.camera.height, 0) - world[0]) > 0:
            self.p.polygon(world, colour, CAR, 1.0 if glows else None)

    def block(self, points, colour) -> None:
        """Paint a convex solid, (N, 3) own coordinates, in one colour."""
        self.p.hull(self.pose.place(points), np.asarray(colour) * self.p.light.ambient, CAR)

    def shows(self, x: int, z: int, slack: float = 0.0) -> bool:
        """Whether the flank (x = ±1) or end (z = ±1) faces the camera, or with slack misses it by that cosine."""
        out = self.pose.rotate(np.array([x, 0, z]) * (self.body.width / 2, 0, self.body.length / 2))
        view = out + np.array([self.pose.x, 0, self.pose.z])
        return float(out @ view) < slack * np.linalg.norm(out) * np.linalg.norm(view)


def draw_car(p: Painter, rng: np.random.Generator, body: Body, pose: Pose, braking: bool = False) -> None:
    """A vehicle: wheels and underside, body and glass, then what is fixed to it."""
    car = Car(p, rng, body, pose)
    draw_underside(car)
    draw_mirrors(car, hidden=True)
    draw_shell(car, plastic=rng.random() < 0.35)
    for sign in (-1, 1):
        if car.shows(sign, 0):
            draw_flank(car, sign)
    draw_interior(car)
    if car.shows(0, 1, slack=0.3):  # lamps reach round the corners
        draw_front(car)
    if car.shows(0, -1, slack=0.3):
        draw_rear(car, braking)
    draw_mirrors(car, hidden=False)


def draw_underside(car: Car) -> None:
    """The dark floor, and the treads of the four wheels."""
    body = car.body
    half, length = body.width / 2, body.length / 2
    heights = (0.85 * body.low, body.low + 0.15)
    car.block([(x * half * 0.86, y, z * length * 0.9) for x in (-1, 1) for y in heights for z in (-1, 1)], (15, 15, 16))
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for z in body.axles:
        for sign in (-1, 1):
            ring = np.stack([0 * angle, body.wheel * (1 + np.sin(angle)), body.wheel * np.cos(angle) + z * length], 1)
            car.block(np.concatenate([ring + np.array([sign * half * x, 0, 0]) for x in (0.7, 0.96)]), (30, 30, 31))


def draw_shell(car: Car, plastic: bool) -> None:
    """Body and glass, shaded as clear-coated paint: skylight, sun, and the street's reflection.

    The sides turned away are drawn first, dark, so that nothing shines through between two faces.
    """
    p, body = car.p, car.body
    parts = [body.ribbon_faces(), body.side_faces(-1), body.side_faces(1)]
    faces, glass, normals = (np.concatenate(part) for part in zip(*parts, strict=True))
    centres = faces.mean(1)
    colour = np.where(glass[:, None], GLASS, car.paint)
    low = body.low + (0.28 if plastic else 0.06)
    colour = np.where((centres[:, 1:2] < low) & ~glass[:, None], (44.0, 44, 46), colour)
    normals = car.pose.rotate(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))
    world = car.pose.place(faces)
    view = world.mean(1) - (0, p.camera.height, 0)
    distance = np.linalg.norm(view, axis=1)
    view /= distance[:, None]
    toward = -np.sum(normals * view, 1)
    shades = varnish(p.light, colour, normals, view, toward, glass)
    shades[toward <= 0] = 14 * p.light.ambient
    order = np.lexsort((-distance, toward > 0))
    if world[..., 2].min() < NEAR:
        for i in order:
            p.polygon(world[i], shades[i], CAR, 1.0)
        return
    samples = np.rint(p.camera.project(world)).astype(np.int32)
    for i, ink in zip(order, p.inks(shades[order], CAR, car.pose.z), strict=True):
        cv2.fillConvexPoly(p.canvas, samples[i], ink)


def varnish(light: Light, colour, normals, view, toward, glass) -> np.ndarray:
    """Shade (N, 3) colours by light and mirror image (Schlick's approximation of Fresnel's reflectance)."""
    mirror = view + 2 * toward[:, None] * normals
    schlick = (1 - np.clip(toward, 0, 1)) ** 4
    share = np.where(glass, 0.18 + 0.6 * schlick, 0.1 + 0.45 * schlick)[:, None]
    glint = np.clip(mirror @ light.sun, 0, 1)[:, None] ** 8 * light.direct * 60
    matt = colour * light.on(normals)[:, None]
    return matt * (1 - share) + light.mirrored(mirror) * share + glint


def rectangle(y0: float, y1: float, x0: float, x1: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights and positions of a patch's corners, with steps along it so that it follows a curved surface."""
    x = np.linspace(x0, x1, 4)
    return np.repeat([y0, y1], 4), np.concatenate([x, x[::-1]])


def draw_flank(car: Car, sign: int) -> None:
    """Door gaps, handles, trim and wheels of one side."""
    body = car.body

    def patch(z0, z1, y0, y1, tone):
        corners = body.side(sign, [z0, z0, z1, z1], [y0, y1, y1, y0])
        car.decal(corners, car.paint * tone)

    gaps = (*body.pillars, body.windows[1] - 0.02) if body.kind != "bus" else (0.82, 0.6)
    for z in gaps if car.detailed else ():
        patch(z, z + 0.012, body.low + 0.08, body.belt, 0.4)
        if body.kind != "bus":
            patch(z + 0.03, z + 0.1, body.belt - 0.13, body.belt - 0.1, 0.5)
    if body.kind == "bus":
        patch(-0.9, 0.9, body.low + 0.25, body.low + 0.4, 0.6)
    else:
        patch(-0.75, 0.8, 0.62 * body.belt - 0.015, 0.62 * body.belt + 0.015, 0.7)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    disc = np.stack([0 * angle, np.sin(angle), np.cos(angle)], 1)
    bright, turn = car.rng.uniform(95, 160), car.rng.uniform(0, 1)
    for z in body.axles:
        hub = np.array([sign * (body.width / 2 + 0.005), body.wheel, z * body.length / 2])
        arch = disc * body.wheel * 1.18 + hub
        arch[:, 1] = np.maximum(arch[:, 1], body.low)
        car.decal(arch, (16, 16, 17))
        for size, tone in ((1.0, 32), (0.68, 55), (0.62, bright)):
            car.decal(disc * body.wheel * size + hub, (tone, tone, tone + 2))
        for spoke in np.arange(5) * 2 * np.pi / 5 + turn if car.detailed else ():
            corner = spoke + np.array([-0.28, 0.28, 0.2, -0.2])
            ray = body.wheel * np.array([0.56, 0.56, 0.25, 0.25])
            car.decal(np.stack([0 * ray, ray * np.sin(corner), ray * np.cos(corner)], 1) + hub, (42, 42, 44))


def draw_interior(car: Car) -> None:
    """What is seen through windscreen and rear window: dashboard or parcel shelf, seats, perhaps a driver."""
    if not car.detailed or car.body.kind == "bus" or car.body.kind == "van":
        return
    driven = car.rng.random() < 0.5
    for sign in (1, -1):
        car.decal(car.body.pane(sign, *rectangle(0.1, 0.22, -0.8, 0.8)), (20, 21, 23))
        for x in (-0.42, 0.42):
            seat = np.array([x - 0.15, x + 0.15, x + 0.15, x + 0.08, x - 0.08, x - 0.15])
            car.decal(car.body.pane(sign, np.array([0.15, 0.15, 0.5, 0.66, 0.66, 0.5]), seat), (18, 19, 21))
        if sign > 0 and driven:
            face = np.array([0.36, 0.44, 0.49, 0.44, 0.36, 0.31])
            car.decal(car.body.pane(1, np.array([0.45, 0.45, 0.6, 0.76, 0.76, 0.6]), face), (120, 92, 76))


def draw_front(car: Car) -> None:
    """Grille, headlamps, white number plate."""
    low = car.body.low
    tall = car.body.outline[3][1] - low

    def patch(y0, y1, x0, x1, colour, glows=False):
        car.decal(car.body.end(1, *rectangle(low + tall * y0, low + tall * y1, x0, x1)), colour, glows)

    patch(0.08, 0.26, -0.55, 0.55, (20, 20, 21))
    patch(0.56, 0.59, -0.95, 0.95, car.paint * 0.5)
    patch(0.64, 0.86, -0.36, 0.36, (24, 24, 26))
    patch(0.74, 0.77, -0.34, 0.34, (120, 120, 122))
    on = car.rng.random() < (0.75 if car.p.light.dusk else 0.12)
    for sign in (-1, 1):
        patch(0.62, 0.9, sign * 0.5, sign * 0.97, (150, 154, 158))
        patch(0.66, 0.86, sign * 0.6, sign * 0.86, (255, 250, 225) if on else (215, 218, 220), on)
        patch(0.64, 0.88, sign * 0.89, sign * 0.97, (190, 130, 70))
    patch(0.3, 0.47, -0.3, 0.3, (225, 226, 222))
    patch(0.35, 0.42, -0.24, 0.24, (90, 90, 92))


def draw_rear(car: Car, braking: bool) -> None:
    """Tail lamps, boot gap, yellow number plate."""
    low, high, inner = car.body.tail
    bottom, dusk = car.body.low, car.p.light.dusk

    def patch(y0, y1, x0, x1, colour, glows=False):
        car.decal(car.body.end(-1, *rectangle(y0, y1, x0, x1)), colour, glows)

    patch(bottom + 0.3, bottom + 0.325, -0.95, 0.95, car.paint * 0.45)
    glows = braking or (dusk and car.rng.random() < 0.7)
    red = (255, 36, 26) if braking else (180, 20, 18) if glows else (140, 16, 18)
    for sign in (-1, 1):
        patch(low, high, sign * inner, sign * 0.99, red, glows)
        patch(low + 0.03, low + (high - low) * 0.3, sign * (inner + 0.05), sign * 0.93, (170, 150, 140))
        patch(low + (high - low) * 0.32, low + (high - low) * 0.5, sign * (inner + 0.05), sign * 0.95, (176, 84, 34))
    if braking:
        car.decal(car.body.pane(-1, *rectangle(0.88, 0.95, -0.15, 0.15)), (255, 36, 26), glows=True)
    plate = bottom + (0.36 if car.rng.random() < 0.7 else 0.14)
    patch(plate, plate + 0.12, -0.32, 0.32, (206, 172, 60))
    patch(plate + 0.035, plate + 0.085, -0.25, 0.25, (100, 84, 34))


def draw_mirrors(car: Car, hidden: bool) -> None:
    """The wing mirrors on the flanks turned away from the camera, or those on the flanks that show."""
    body = car.body
    foot, z = body.windows[1], body.windows[1] * body.length / 2 - 0.1
    for sign in (-1, 1):
        if car.shows(sign, 0) != hidden:
            x = sign * (body.half_width(foot, body.belt) + 0.09)
            ends = [(dx, dy, dz) for dx in (-0.09, 0.09) for dy in (0, 0.14) for dz in (-0.05, 0.05)]
            car.block(np.add(ends, (x, body.belt, z)), car.paint * 0.7)


def cast_car_shadow(p: Painter, body: Body, pose: Pose) -> None:
    """The dark contact with the road, and what the sun casts."""
    foot = np.array([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]) * (body.width / 2, 1, body.length / 2)
    for grow, strength in ((1.22, 0.16), (1.12, 0.32), (1.02, 0.5), (0.9, 0.72)):
        p.shadow(pose.place(foot * (grow, 1, (grow + 1) / 2)), strength)
    roof, belt = np.add(foot * (0.85, 1, 0.75), (0, 0.9 * body.top, 0)), np.add(foot, (0, body.belt, 0))
    p.sun_shadow(pose.place(np.concatenate([foot, belt, roof])))


# Buildings and greenery ----------------------------------------------------------------------------------------------

WALLS = np.array([
    (150, 128, 96), (168, 148, 112), (124, 78, 62), (138, 92, 72), (96, 66, 54), (206, 198, 180), (222, 220, 212),
    (176, 170, 158), (120, 112, 102), (88, 84, 80), (190, 172, 130),
], float)  # fmt: skip
SIGNBOARDS = np.array([
    (150, 30, 32), (28, 44, 100), (24, 70, 52), (40, 40, 42), (196, 190, 176), (190, 140, 40), (80, 30, 70),
], float)  # fmt: skip


def draw_building(
    p: Painter, rng, side: int, x: float, z0: float, z1: float, storey: float, floors: int, shops: bool
) -> None:
    """A house from z0 to z1 whose front stands at x, facing the road on its other side."""
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
    for y in np.arange(0, eaves, 0.3) if z0 < 25 else ():
        front(z0, z1, y, y + 0.15, wall * rng.uniform(0.92, 1.02))
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
            if z0 < 50:
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
        goods = rng.uniform(70, 170) + rng.uniform(-35, 35, 3)
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
    size = min(max(p.camera.focal * wide / z / 70, 0.15), 2.0)
    clumps = rng.standard_normal((int(14 + 20 * size), 3))
    clumps /= np.linalg.norm(clumps, axis=1, keepdims=True) * rng.uniform(1, 1.8, (len(clumps), 1))
    clumps = clumps[np.argsort(clumps[:, 1] - clumps[:, 2])]
    each = int(8 + 60 * size)
    around = rng.standard_normal((len(clumps), each, 3))
    around *= rng.uniform(0.1, 0.3, (len(clumps), each, 1)) / np.linalg.norm(around, axis=2, keepdims=True)
    spots = (clumps[:, None] + around).reshape(-1, 3)
    tones = (clumps[:, None] * 0.3 + around * 0.9) @ (np.array([0, 1, 0]) + p.light.direct * p.light.sun)
    tones = (p.light.ambient + p.light.direct * 0.4) * (0.6 + tones.ravel() + rng.uniform(-0.1, 0.1, len(spots)))
    colours = leaf * np.clip(tones, 0.1 * p.light.ambient, 1.5)[:, None]
    radii = wide * rng.uniform(0.018, 0.055, len(spots)) / math.sqrt(size)
    p.discs(spots * (wide, tall * 0.34, 0.1) + (x, middle, z), radii, colours, TREE)


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
        """World coordinates of a place on the cut-out."""
        return self.foot + np.array([x, y, 0]) * self.scale

    def limb(self, points, width: float, colour) -> None:
        """A bent line with round joints."""
        for a, b in pairwise(points):
            tone = np.asarray(colour) * self.level
            self.p.stroke(self.at(*a), self.at(*b), width * self.scale, tone, self.label)

    def shape(self, points, colour) -> None:
        """A convex polygon."""
        samples = self.p.camera.project(np.array([self.at(*point) for point in points]))
        self.p.fill(samples, self.p.ink(np.asarray(colour) * self.level, self.label, float(self.foot[2])))

    def ball(self, x: float, y: float, radius: float, colour) -> None:
        """A disc."""
        self.p.disc(self.at(x, y), radius * self.scale, np.asarray(colour) * self.level, self.label)

    def ring(self, x: float, y: float, radius: float, squeeze: float, width: float, colour) -> None:
        """A wheel, seen from the side or, squeezed, along the road."""
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
class Side:
    """One side of the road, in metres from the camera."""

    sign: int  # -1 left, 1 right
    kerb: float
    pavement: float  # width
    parking: str  # "none", "kerb" (one behind the other) or "bays" (side by side)

    @property
    def line(self) -> float:
        """Where the pavement ends."""
        return self.kerb + self.sign * self.pavement


@dataclass(frozen=True)
class Street:
    """A road with a lane each way: we drive left of ``centre``. A side road may cross it."""

    centre: float
    sides: tuple[Side, Side]
    junction: tuple[float, float]  # from, to; far away when there is none
    green: bool  # gardens and trees instead of shops and terraces

    def at_junction(self, z: float, margin: float = 0.0) -> bool:
        """Whether something at z stands in the mouth of the side road."""
        return self.junction[0] - margin < z < self.junction[1] + margin

    def stretches(self, far: float) -> list[tuple[float, float]]:
        """The road from the camera to ``far`` without the junction."""
        ends = [(NEAR, min(self.junction[0], far)), (self.junction[1], far)]
        return [(a, b) for a, b in ends if a < b]


def make_street(rng: np.random.Generator) -> Street:
    """Draw a road's layout."""
    centre, start = rng.uniform(1.5, 1.9), rng.uniform(10, 40)
    sides = []
    for sign, lane in ((-1, rng.uniform(1.7, 2.2)), (1, centre + rng.uniform(3.1, 3.6))):
        parking = str(rng.choice(["none", "kerb", "bays"], p=[0.35, 0.53, 0.12]))
        kerb = sign * (lane + {"none": 0, "kerb": 2.1, "bays": 5.2}[parking])
        sides.append(Side(sign, kerb, rng.uniform(1.8, 4.0), parking))
    junction = (start, start + rng.uniform(6.5, 9)) if rng.random() < 0.6 else (900.0, 910.0)
    return Street(centre, (sides[0], sides[1]), junction, rng.random() < 0.4)


class Ground:
    """Paints flat strips between two positions across the road and two along it, cut short so that they can bend."""

    FAR = 160.0

    def __init__(self, p: Painter):
        self.p, self.level = p, float(p.light.on(np.array([0.0, 1, 0])))
        self.cuts = NEAR * (self.FAR / NEAR) ** np.linspace(0, 1, 40)

    def strip(self, x0, x1, z0, z1, colour, label: int = ROAD, y0: float = 0.0, y1: float | None = None) -> None:
        """A strip from x0 to x1 across the road and z0 to z1 along it, at height y0, or from y0 at x0 to y1 at x1."""
        y1 = y0 if y1 is None else y1
        for a, b in pairwise([z0, *self.cuts[(self.cuts > z0) & (self.cuts < z1)], z1]):
            self.p.polygon([(x0, y0, a), (x1, y1, a), (x1, y1, b), (x0, y0, b)], colour, label, self.level)


def draw_ground(p: Painter, rng, street: Street) -> None:
    """Road, kerbs and pavements, and the marks on the road."""
    asphalt = rng.uniform(84, 118) + np.array([0.0, 1, 3])
    slab = asphalt * rng.uniform(1.1, 1.4) + np.array([6.0, 3, 0])
    grass = np.array([86.0, 96, 58]) * rng.uniform(0.8, 1.1)
    ground = Ground(p)
    ground.strip(-400, 400, NEAR, ground.FAR, asphalt)
    for _ in range(rng.integers(0, 8)):
        x, z = rng.uniform(street.sides[0].kerb, street.sides[1].kerb), rng.uniform(3, 30)
        ground.strip(x, x + rng.uniform(0.4, 1.5), z, z + rng.uniform(0.6, 6), asphalt * rng.uniform(0.82, 1.1))
    for z0, z1 in street.stretches(ground.FAR):
        for side in street.sides:
            beyond = (grass, TREE) if street.green else (slab * 0.8, PAVEMENT)
            ground.strip(side.line, side.sign * 400, z0, z1, *beyond, KERB)
            ground.strip(side.kerb, side.line, z0, z1, slab, PAVEMENT, KERB)
            ground.strip(side.kerb, side.kerb + side.sign * 0.14, z0, z1, slab * 1.2, PAVEMENT, KERB)
            ground.strip(side.kerb, side.kerb, z0, z1, slab * 0.8, PAVEMENT, 0, KERB)
    draw_marks(ground, rng, street)


def draw_marks(ground: Ground, rng, street: Street) -> None:
    """Centre line, give-way line, yellow lines, zebra crossing, arrow, parking bays."""
    white, yellow = np.array([214.0, 214, 208]) * rng.uniform(0.75, 1), np.array([176.0, 150, 70])
    left, right = street.sides
    dash, gap = rng.choice([2.0, 4.0]), rng.choice([2.0, 4.0, 5.0])
    for z in np.arange(rng.uniform(0.6, 4), 110, dash + gap):
        if not street.at_junction(z, 2):
            ground.strip(street.centre - 0.06, street.centre + 0.06, z, z + dash, white)
    for side in street.sides:
        for z0, z1 in street.stretches(90):
            if side.parking == "none" and rng.random() < 0.5:
                for inset in (0.25, 0.45):
                    x = side.kerb - side.sign * inset
                    ground.strip(x - 0.04, x + 0.04, z0, z1 - 1, yellow)
            for z in np.arange(z0, z1, 2.5) if side.parking == "bays" else ():
                ground.strip(side.kerb - side.sign * 5, side.kerb, z, z + 0.1, white)
    if street.junction[0] < 100:
        for x in np.arange(left.kerb, right.kerb, 0.9):
            ground.strip(x, x + 0.5, street.junction[0] - 1.2, street.junction[0] - 0.95, white)
    if rng.random() < 0.15:
        z = rng.uniform(7, 25)
        for x in np.arange(left.kerb + 0.3, right.kerb - 0.3, 1.2):
            ground.strip(x, x + 0.6, z, z + 2.6, white)
    if rng.random() < 0.25:
        x, z = rng.uniform(-0.4, 0.3), rng.uniform(5, 15)
        ground.strip(x - 0.08, x + 0.08, z, z + 2.4, white)
        ground.p.polygon([(x - 0.35, 0, z + 2.4), (x + 0.35, 0, z + 2.4), (x, 0, z + 3.8)], white, ROAD, ground.level)


def fractal(rng: np.random.Generator, height: int, width: int, coarsest: int) -> np.ndarray:
    """Smooth noise of zero mean and about unit spread, (height, width) float32."""
    total, size, weight = np.zeros((height, width), np.float32), coarsest, 1.0
    while size < width:
        grid = rng.standard_normal((max(2, size * height // width), size), dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        size, weight = size * 2, weight * 0.6
    return total


def texture_ground(p: Painter, rng, street: Street) -> None:
    """Grain, wheel tracks, slabs and shadows, on a canvas that has only sky and ground yet."""
    x, z = p.camera.ground()
    metre = 24  # texture cells a metre
    tile = fractal(rng, 512, 512, 8) * 0.04 + rng.standard_normal((512, 512), dtype=np.float32) * 0.06
    # There and back again across the tile, so that it has no seam.
    u, v = (np.abs((along * metre + 200) % 1022 - 511) for along in (x, z))
    grain = cv2.remap(tile, u, v, cv2.INTER_LINEAR) * np.exp(-z / 16)
    grain += rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32) * 0.02
    tracks = 0.06 * np.cos((x - street.centre / 2) * 2 * np.pi / 1.7) * np.exp(-z / 40)
    joints = ((x % 0.6 < 0.04) | (z % 0.9 < 0.05)) * np.float32(-0.14) * np.exp(-z / 8)
    paved = p.canvas[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE, 3] == PAVEMENT
    shade = cv2.GaussianBlur(p.shade, (0, 0), 1.2).astype(np.float32) / 255
    factor = ((1 + grain + np.where(paved, joints, tracks)) * shade).astype(np.float32)
    top = int(p.camera.horizon) * SCALE
    ground = p.canvas[top:, :, :3]
    ground[:] = np.clip(ground * cv2.resize(factor, None, fx=SCALE, fy=SCALE)[top:, :, None], 0, 255).astype(np.uint8)


def draw_sky(p: Painter, rng) -> None:
    """A gradient from horizon to zenith, and clouds."""
    light = p.light
    rise = np.clip(1 - np.arange(HEIGHT) / max(p.camera.horizon, 1), 0, 1)[:, None, None] ** 0.8
    sky = light.horizon * (1 - rise) + light.zenith * rise
    cloud = np.clip(fractal(rng, HEIGHT, WIDTH, 3) * 0.7 + 0.3, 0, 1)[..., None] * light.clouds
    sky = sky * (1 - cloud) + (light.horizon * (0.66 if light.dusk else 0.97)) * cloud
    p.canvas[..., :3] = cv2.resize(np.clip(sky, 0, 255).astype(np.uint8), None, fx=SCALE, fy=SCALE)


def draw_skyline(p: Painter, rng) -> None:
    """Treetops and, before them, houses where the ground ends."""
    base = p.camera.project(np.array([0.0, 0, Ground.FAR]))[1] + 2 * SCALE
    u = np.linspace(0, WIDTH * SCALE, 160)
    tops = base - SCALE * (6 + 4 * np.sin(u / 90 + rng.uniform(0, 6)) + rng.uniform(0, 4, len(u)))
    trees = np.concatenate([np.stack([u, tops], 1), [[WIDTH * SCALE, base], [0, base]]])
    ink = p.ink(np.array([72.0, 78, 62]) * p.light.ambient, TREE, Ground.FAR)
    cv2.fillPoly(p.canvas, [np.rint(trees).astype(np.int32)], ink)
    for _ in range(rng.integers(3, 12)):
        (left, wide, tall), wall = rng.uniform((0, 8, 4), (WIDTH, 36, 14)) * SCALE, WALLS[rng.integers(len(WALLS))]
        outline = [(left, base), (left, base - tall), (left + wide, base - tall), (left + wide, base)]
        p.fill(np.array(outline), p.ink(wall * p.light.ambient * 0.8, BUILDING, Ground.FAR))


# The scene -----------------------------------------------------------------------------------------------------------


class Scene:
    """What stands in the street, to be drawn from far to near."""

    def __init__(self, p: Painter, rng: np.random.Generator, street: Street):
        self.p, self.rng, self.street = p, rng, street
        self.things, self.poses = [], []

    def add(self, depth: float, draw, *arguments) -> None:
        """Have ``draw(painter, rng, *arguments)`` called when it is the turn of ``depth``."""
        self.things.append((-depth, len(self.things), draw, arguments))

    def car(self, body: Body, pose: Pose, braking: bool = False) -> None:
        """Have a vehicle drawn, and its shadow cast now."""
        cast_car_shadow(self.p, body, pose)
        self.poses.append(pose)
        self.add(pose.z, draw_car, body, pose, braking)

    def is_free(self, x: float, z: float) -> bool:
        """Whether somebody at x, z would stand clear of every car."""
        return all(abs(pose.x - x) > 1.4 + abs(math.sin(pose.turn)) or abs(pose.z - z) > 3.2 for pose in self.poses)

    def paint(self) -> None:
        """Draw everything."""
        for _, _, draw, arguments in sorted(self.things, key=lambda thing: thing[:2]):
            draw(self.p, self.rng, *arguments)


def some_body(rng: np.random.Generator, bus: float = 0.0) -> Body:
    """Draw a kind of vehicle, as common as on a British street."""
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
                scene.add(max(end, NEAR), draw_building, side.sign, x, z, end, storey, floors, shops)
                ends = [(x + side.sign * dx, y, dz) for dx in (0, 9) for y in (0, floors * storey) for dz in (z, end)]
                scene.p.sun_shadow(np.array(ends))
            if street.green and end > 1:
                add_garden(scene, side, max(z, NEAR), end)
            z = end


def add_garden(scene: Scene, side: Side, z0: float, z1: float) -> None:
    """What divides a garden from the pavement, and a tree in it."""
    rng, kind = scene.rng, scene.rng.integers(4)
    if kind == 0:
        scene.add(z1, draw_hedge, side.line, z0, z1, rng.uniform(0.9, 2.2))
    elif kind < 3:
        scene.add(z1, draw_fence, side.line, z0, z1, kind == 1)
    if rng.random() < 0.6 and z1 > 6:
        x, z, tall = side.line + side.sign * rng.uniform(1.5, 4), max(rng.uniform(z0, z1), 5), rng.uniform(5, 12)
        scene.add(z1 + 0.1, draw_tree, x, z, tall, rng.random() < 0.5)


def add_furniture(scene: Scene) -> None:
    """Lamp posts, signs, bins, street trees and railings on the pavements."""
    rng, street = scene.rng, scene.street
    bare = rng.random() < 0.5
    for side in street.sides:
        edge, tall = side.kerb + side.sign * 0.5, rng.uniform(5, 8)
        for z in np.arange(rng.uniform(5, 18), 100, rng.uniform(18, 30)):
            scene.add(z, draw_lamp_post, side.sign, edge, z, tall)
        for z in rng.uniform(6, 60, rng.integers(1, 5)):
            scene.add(z, draw_sign, edge, z)
        for z in rng.uniform(6, 30, rng.integers(0, 3)):
            scene.add(z, draw_bin, side.line - side.sign * 0.5, z)
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(7, 16), 80, rng.uniform(9, 16)):
                scene.add(z, draw_tree, edge + side.sign * 0.4, z, rng.uniform(5, 9), bare)
        if rng.random() < 0.25:
            z = rng.uniform(4, 20)
            scene.add(z + 8, draw_fence, side.kerb + side.sign * 0.3, z, z + 8, True)


def add_people(scene: Scene) -> None:
    """Pedestrians on the pavements, some crossing the road, and cyclists."""
    rng, (left, right) = scene.rng, scene.street.sides
    for side in (left, right):
        for z in rng.uniform(5, 45, rng.integers(0, 8)):
            x = side.kerb + side.sign * rng.uniform(0.7, max(side.pavement - 0.3, 0.8))
            scene.add(z, draw_pedestrian, x, KERB, z)
    for _ in range(rng.integers(0, 3)):
        x, z, across = rng.choice([-1.4, 2.7]) + rng.uniform(-0.3, 0.3), rng.uniform(6, 30), rng.random() < 0.2
        if scene.is_free(x, z):
            foot = np.array([(x + dx, 0, z + dz) for dx in (-0.3, 0.3) for dz in (-0.8, 0.8)])
            scene.p.shadow(foot, 0.4)
            scene.add(z, draw_cyclist, x, z, across)
    x, z = rng.uniform(left.kerb, right.kerb), rng.uniform(8, 30)
    if rng.random() < 0.3 and scene.is_free(x, z):
        scene.add(z, draw_pedestrian, x, 0.0, z)


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


# From canvas to frame ------------------------------------------------------------------------------------------------


def develop(p: Painter, rng) -> tuple[np.ndarray, np.ndarray]:
    """Canvas -> frame and labels: averaging, mottling, bloom, lens blur, exposure, contrast, noise."""
    labels = np.ascontiguousarray(p.canvas[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE, 3])
    image = cv2.resize(p.canvas[..., :3], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    mottle = fractal(rng, HEIGHT, WIDTH, 60) * 0.04
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
    draw_skyline(p, rng)
    draw_ground(p, rng, street)
    scene = Scene(p, rng, street)
    for add in (add_frontage, add_furniture, add_traffic, add_parked, add_people):
        add(scene)
    texture_ground(p, rng, street)
    scene.paint()
    if rng.random() < 0.25:
        draw_bonnet(p, rng)
    return develop(p, rng)


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
