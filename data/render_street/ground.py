"""Lays out the street and paints its ground, the sky, and what stands on the horizon."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from data.render_street.camera import BUILDING, HEIGHT, KERB, NEAR, PAVEMENT, ROAD, SCALE, TREE, WIDTH, Painter
from data.render_street.surroundings import WALLS


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
    """Choose a road's layout at random."""
    centre, start = rng.uniform(1.5, 1.9), rng.uniform(10, 40)
    sides = []
    for sign, lane in ((-1, rng.uniform(1.7, 2.2)), (1, centre + rng.uniform(3.1, 3.6))):
        parking = str(rng.choice(["none", "kerb", "bays"], p=[0.35, 0.53, 0.12]))
        kerb = sign * (lane + {"none": 0, "kerb": 2.1, "bays": 5.2}[parking])
        sides.append(Side(sign, kerb, rng.uniform(1.8, 4.0), parking))
    junction = (start, start + rng.uniform(6.5, 9)) if rng.random() < 0.6 else (900.0, 910.0)
    return Street(centre, (sides[0], sides[1]), junction, rng.random() < 0.4)


class Ground:
    """Paints flat strips on the ground, each in short pieces, so that it can follow a bend."""

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
    # Mirror the tile at its edges, so that no seam shows.
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
