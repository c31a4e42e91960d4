"""Draws what stands beside the road: buildings, plants, fences, lamp posts, signs and bins."""

import math
from itertools import pairwise

import numpy as np

from data.render_street.camera import BUILDING, FENCE, KERB, POLE, SIGN, TREE, UNLABELLED, Painter

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
    """A house from z0 to z1. Its front is at x and faces the road."""
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
