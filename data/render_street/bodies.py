"""The shapes of vehicles: what a body is, the six of them, and the colours they come in."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.render_street.camera import normal_of, quads


@dataclass(frozen=True)
class Body:
    """A kind of vehicle: its outline from the side, and where its parts are.

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
