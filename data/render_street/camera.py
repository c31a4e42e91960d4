"""What every picture needs: its size and classes, the light, the camera, and the painter that fills the canvas."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

HEIGHT, WIDTH = 360, 480


SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, UNLABELLED = range(12)

SCALE = 3  # canvas samples per pixel and axis: odd, so that a pixel has a centre sample
NEAR = 0.6  # metres; what is closer to the camera is cut off
YZX, ZXY = np.array([1, 2, 0]), np.array([2, 0, 1])  # the order of axes in a cross product
KERB = 0.12  # metres from the road up to the pavement


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
    """Choose a time of day at random: bright, overcast or dusk."""
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
    """The canvas and the ways to fill it. Later strokes cover earlier ones, colour and label alike.

    A label is a class id. Each car gets its own label above 11, so that two cars can be distinguished.
    """

    def __init__(self, camera: Camera, light: Light):
        self.camera, self.light = camera, light
        self.air = (light.horizon * 0.9).tolist()
        self.canvas = np.zeros((HEIGHT * SCALE, WIDTH * SCALE, 4), np.uint8)
        self.shade = np.full((HEIGHT, WIDTH), 255, np.uint8)  # shadows on the ground, per pixel
        self.cars = 0  # painted so far

    def next_car(self) -> int:
        """Return the label of the next car."""
        self.cars += 1
        return UNLABELLED + self.cars

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
        """Darken the ground in the sun's shadow of a convex body: (N, 3) points, those of its foot included."""
        if self.light.direct > 0.2:
            along = self.light.sun[[0, 2]] / self.light.sun[1]
            fallen = points * (1, 0, 1)
            fallen[:, [0, 2]] -= points[:, 1:2] * along
            self.shadow(fallen, 0.75 * self.light.direct / (self.light.direct + 0.3))


def normal_of(points: np.ndarray) -> np.ndarray:
    """A normal of each planar (..., N, 3) polygon, of either sign and any length."""
    a, b = points[..., 2, :] - points[..., 0, :], points[..., 1, :] - points[..., -1, :]
    # The cross product of the diagonals. np.cross is several times slower for a single polygon.
    return a.take(YZX, -1) * b.take(ZXY, -1) - a.take(ZXY, -1) * b.take(YZX, -1)


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


def quads(grid: np.ndarray) -> np.ndarray:
    """The cells of an (M, N, 3) grid as (K, 4, 3)."""
    return np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], 2).reshape(-1, 4, 3)
