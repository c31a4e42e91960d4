"""Draws cars, vans and buses, and their shadows."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from data.render_street.bodies import GLASS, LIVERIES, PAINTS, Body
from data.render_street.camera import NEAR, Light, Painter, normal_of


@dataclass(frozen=True)
class Pose:
    """Where a vehicle stands: metres, and the angle it is turned by (0: away from us, pi: towards us)."""

    x: float
    z: float
    turn: float = 0.0

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """The vehicle's directions -> the world's directions, (..., 3)."""
        c, s = math.cos(self.turn), math.sin(self.turn)
        return vectors @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])

    def place(self, points: np.ndarray) -> np.ndarray:
        """The vehicle's coordinates -> the world's coordinates, (..., 3)."""
        return self.rotate(np.asarray(points, float)) + np.array([self.x, 0, self.z])


class Car:
    """One vehicle on the way to the canvas."""

    def __init__(self, p: Painter, rng: np.random.Generator, body: Body, pose: Pose):
        self.p, self.rng, self.body, self.pose = p, rng, body, pose
        paints = LIVERIES.get(body.kind, PAINTS)
        self.paint = np.array(paints[rng.integers(len(paints))]) * rng.uniform(0.9, 1.1)
        self.detailed = pose.z < 35
        self.label = p.next_car()

    def decal(self, points: np.ndarray, colour, glows: bool = False) -> None:
        """Paint a patch on the surface, (N, 3) own coordinates, if it faces the camera."""
        normal = normal_of(points)
        if normal @ (points.mean(0) * (1, 1, 0.3) - (0, 0.55, 0)) < 0:
            normal = -normal
        world = self.pose.place(points)
        if self.pose.rotate(normal) @ ((0, self.p.camera.height, 0) - world[0]) > 0:
            self.p.polygon(world, colour, self.label, 1.0 if glows else None)

    def block(self, points, colour) -> None:
        """Paint a convex solid, (N, 3) own coordinates, in one colour."""
        self.p.hull(self.pose.place(points), np.asarray(colour) * self.p.light.ambient, self.label)

    def shows(self, x: int, z: int, slack: float = 0.0) -> bool:
        """Whether the flank (x = ±1) or end (z = ±1) faces the camera; ``slack`` admits sides turned slightly away."""
        out = self.pose.rotate(np.array([x, 0, z]) * (self.body.width / 2, 0, self.body.length / 2))
        view = out + np.array([self.pose.x, 0, self.pose.z])
        return float(out @ view) < float(slack * np.linalg.norm(out) * np.linalg.norm(view))


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
            p.polygon(world[i], shades[i], car.label, 1.0)
        return
    samples = np.rint(p.camera.project(world)).astype(np.int32)
    for i, ink in zip(order, p.inks(shades[order], car.label, car.pose.z), strict=True):
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
    """The dark area under the car, and its shadow in the sun."""
    foot = np.array([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]) * (body.width / 2, 1, body.length / 2)
    for grow, strength in ((1.22, 0.16), (1.12, 0.32), (1.02, 0.5), (0.9, 0.72)):
        p.shadow(pose.place(foot * (grow, 1, (grow + 1) / 2)), strength)
    roof, belt = np.add(foot * (0.85, 1, 0.75), (0, 0.9 * body.top, 0)), np.add(foot, (0, body.belt, 0))
    p.sun_shadow(pose.place(np.concatenate([foot, belt, roof])))
