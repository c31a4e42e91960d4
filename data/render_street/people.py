"""Draws pedestrians and cyclists."""

from itertools import pairwise

import numpy as np

from data.render_street.camera import BICYCLIST, PEDESTRIAN, Painter


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
