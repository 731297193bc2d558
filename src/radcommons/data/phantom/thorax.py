"""A thorax as maps: how much tissue, air and bone an X-ray crosses at each point of a canvas.

Depths are in units of an average thorax from front to back; for lengths see `shapes`.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from radcommons.data.phantom.anatomy import Anatomy, Changes, Pose, dome_top
from radcommons.data.phantom.bones import bones
from radcommons.data.phantom.shapes import (
    EXTENT,
    SIDES,
    Map,
    axes,
    blurred,
    capsule,
    curve,
    dome_of,
    ellipse,
    smooth_field,
    softened,
    step,
    to_pixels,
    window,
)
from radcommons.seeds import numpy_stream

LUNG_DEPTH = 0.74  # of the body's depth
LUNG_DENSITY = 0.26  # tissue per volume of healthy lung

# (y, half-width or factor) of outlines, top to bottom
LATERAL = ((-0.74, 0.29), (-0.70, 0.40), (-0.60, 0.51), (-0.40, 0.61), (0.0, 0.69), (0.35, 0.72), (0.8, 0.70))
MEDIAL = ((-0.74, 0.27), (-0.70, 0.18), (-0.62, 0.12), (-0.4, 0.05), (0.8, 0.02))
BODY_DEPTH = ((-1.0, 0.70), (-0.78, 0.72), (-0.5, 0.84), (-0.15, 0.95), (0.2, 1.0), (1.0, 1.06))
LUNG_FILL = ((-0.72, 0.60), (-0.5, 0.74), (-0.15, 0.92), (0.15, 1.0), (0.8, 1.0))
MEDIASTINUM = ((-1.0, 0.11), (-0.60, 0.125), (-0.36, 0.135), (-0.15, 0.15), (0.1, 0.13), (0.8, 0.12))


@dataclass(slots=True)
class Thorax:
    """Maps of one thorax, (canvas, canvas) unless noted; findings change `density` and add to `extra`.

    Attributes:
        x: (1, canvas), y: (canvas, 1): coordinates.
        body: depth of everything inside the skin.
        cavity: depth of lung beside heart and mediastinum.
        density: share of tissue in the lung, 0..1.
        vessels: share of it that is vessels and texture.
        air: depth of air outside the lungs: trachea, stomach.
        bone: attenuation of bone above that of soft tissue.
        extra: attenuation of anything else.
        heart: 1 at the heart's centre, 0 on its border, below 0 outside.
        from_wall: distance from the inner chest wall, lateral or apical; negative outside.
        from_dome: distance above (negative) or below (positive) the diaphragm.
    """

    x: Map
    y: Map
    body: Map
    cavity: Map
    density: Map
    vessels: Map
    air: Map
    bone: Map
    extra: Map
    heart: Map
    from_wall: Map
    from_dome: Map


def thorax(anatomy: Anatomy, pose: Pose, canvas: int, changes: Changes) -> Thorax:
    """The maps of `anatomy` in `pose`, deformed by `changes`, on a canvas of `canvas` pixels a side."""
    x, y = axes(canvas)
    lateral = curve(y, LATERAL) * anatomy.width
    from_dome = y - _dome(x, anatomy, pose, changes)
    # the apex is a cap, so near it the wall is above as well as beside
    from_wall = np.minimum(lateral - np.abs(x), (y + 0.71) * 1.1)
    depth_of_lung = _lungs(x, y, anatomy, from_wall, from_dome)
    heart = heart_map(x, y, anatomy, pose, changes)
    cavity = np.maximum(depth_of_lung - anatomy.depth * _centre(x, y, anatomy, pose, changes, heart), 0)
    vessels = _vessels(anatomy, pose, changes, canvas)
    density = LUNG_DENSITY + vessels
    return Thorax(
        x=x,
        y=y,
        body=_body(x, y, anatomy, pose),
        cavity=cavity,
        density=density,
        vessels=vessels,
        air=_free_air(x, y, anatomy, pose, changes),
        bone=anatomy.bone * bones(x, y, lateral, anatomy, pose),
        extra=np.zeros_like(cavity),
        heart=heart,
        from_wall=from_wall,
        from_dome=from_dome,
    )


def _dome(x: Map, anatomy: Anatomy, pose: Pose, changes: Changes) -> Map:
    """y of the diaphragm along x, (1, canvas): falls steeply to the wall and gently to the spine."""
    a = np.abs(x)
    peak, wall = 0.34 * anatomy.width, 0.72 * anatomy.width
    lateral = np.clip((a - peak) / (wall - peak), 0, 1.4)
    medial = np.clip((peak - a) / peak, 0, 1)
    right, left = (dome_top(anatomy, pose, s) - up for s, up in zip(SIDES, changes.raised, strict=True))
    top = right + (left - right) * step(x, 0.25)
    return top + 0.24 * lateral**2.3 + 0.07 * medial**2


def _lungs(x: Map, y: Map, anatomy: Anatomy, from_wall: Map, from_dome: Map) -> Map:
    edge = np.minimum(from_wall, np.abs(x) - curve(y, MEDIAL) * anatomy.width)
    # a circular section: steep at the wall, flat inside
    section = dome_of((1 - np.clip(edge / 0.16, 0, 1)) ** 2)
    # behind the dome the lung reaches down into the posterior recess
    behind = 0.10 * np.exp(-np.maximum(from_dome, 0) / 0.06)
    above = behind + (1 - behind) * step(-from_dome, 0.016)
    return (LUNG_DEPTH * anatomy.depth) * curve(y, LUNG_FILL) * section * above


def heart_map(x: Map, y: Map, anatomy: Anatomy, pose: Pose, changes: Changes) -> Map:
    """1 at the heart's centre, 0 on the border, negative outside: ventricles and the right atrium together."""
    size = anatomy.heart * pose.heart_magnified * changes.heart
    floor = (dome_top(anatomy, pose, -1) + dome_top(anatomy, pose, 1)) / 2
    grown = changes.heart - 1
    cx = 0.04 + 0.05 * pose.turn + changes.shift
    cy = floor - 0.155 * anatomy.heart - 0.03 * grown
    tilt = anatomy.heart_tilt
    ventricles = ellipse(x, y, (cx + 0.065 + 0.14 * grown, cy), (0.27 * size, 0.19 * size), tilt)
    atrium = ellipse(x, y, (cx - 0.075, cy - 0.04), (0.13 * size, 0.22 * size), -0.1)
    # the great vessels make a blunt cone of it
    base = ellipse(x, y, (cx + 0.01, cy - 0.27), (0.115, 0.20), -0.2)
    # a smooth union of the three ellipses, kept from dividing by a centre's 0
    return np.asarray(1 - sum((q + 1e-6) ** -2 for q in (ventricles, atrium, base)) ** -0.5)


def _centre(x: Map, y: Map, anatomy: Anatomy, pose: Pose, changes: Changes, heart: Map) -> Map:
    """Depth of heart, great vessels, mediastinum and hila, which displace lung."""
    mid = 0.03 * pose.turn + changes.shift
    half = curve(y, MEDIASTINUM)
    depth: Map = 0.74 * np.sqrt(np.maximum(heart, 0))
    here = window(x, y, (-0.5, 0.5), (-EXTENT, EXTENT))
    x = x[:, here[1]]
    column = np.maximum(1 - ((x - mid) / half) ** 2, 0)
    # the descending aorta runs down the left of the spine
    aorta = np.maximum(1 - ((x - mid - 0.085 - 0.35 * (anatomy.aorta - 0.07)) / 0.065) ** 2, 0)
    vessels = np.maximum(0.74 * column**0.7, 0.45 * np.sqrt(aorta) * step(y + 0.33, 0.1))
    knob = dome_of(ellipse(x, y, (mid + 0.105, -0.34), (anatomy.aorta, anatomy.aorta * 1.2)))
    trunk = dome_of(ellipse(x, y, (mid + 0.10, -0.10), (0.085, 0.19), -0.12))
    np.maximum(vessels, np.maximum(0.58 * knob, 0.42 * trunk), out=vessels)
    np.maximum(depth[here], vessels, out=depth[here])
    depth = blurred(depth, 0.010)
    for side in SIDES:
        hilum = ellipse(x, y, (mid + side * 0.165, -0.035 - 0.02 * side), (0.06, 0.13), -0.25 * side)
        depth[here] += (0.15 * changes.congestion) * np.exp(-1.3 * hilum)
    return depth


def _body(x: Map, y: Map, anatomy: Anatomy, pose: Pose) -> Map:
    flank = 0.73 * anatomy.width + anatomy.wall
    outline = curve(
        y,
        ((-1.3, 0.24), (-0.98, 0.23), (-0.88, 0.33), (-0.8, 0.60), (-0.7, 0.98), (-0.6, 1.08 + anatomy.wall / 2),
         (-0.42, 1.02 + anatomy.wall / 2), (-0.2, flank + 0.06), (0.05, flank), (0.7, flank + 0.01),
         (1.3, flank + 0.05 + anatomy.wall / 2)),
    )  # fmt: skip
    body = curve(y, BODY_DEPTH) * dome_of((x / outline) ** 2) ** 0.75
    for side in SIDES:
        # the upper arm: a cylinder from the shoulder to the elbow
        here = window(x, y, (0.6, EXTENT) if side > 0 else (-EXTENT, -0.6), (-0.9, EXTENT))
        elbow = (1.55 - 0.42 * pose.arms, -0.05 + 0.6 * pose.arms)
        along, across = capsule(x[:, here[1]] * side, y[here[0]], (0.98, -0.55), elbow)
        arm = 0.55 * dome_of((across / (0.16 + anatomy.wall / 4)) ** 2) * step(1.15 - along, 0.1)
        body[here] = np.maximum(body[here], arm)
        if anatomy.breast > 0:
            place = (side * 0.46 * anatomy.width, 0.31 + anatomy.breast_drop)
            radii = (0.31 + anatomy.wall / 3, 0.27 + anatomy.breast / 3)
            here = window(x, y, (place[0] - 0.5, place[0] + 0.5), (place[1] - 0.5, place[1] + 0.5))
            # heavier below: the lower border is the visible one
            weight = np.clip(0.55 + 1.2 * (y[here[0]] - place[1]), 0, 1)
            body[here] += (
                anatomy.breast * weight * dome_of(ellipse(x[:, here[1]], y[here[0]], place, radii, 0.12 * side))
            )
    return body * anatomy.depth


def _free_air(x: Map, y: Map, anatomy: Anatomy, pose: Pose, changes: Changes) -> Map:
    mid = 0.045 * pose.turn + 1.4 * changes.shift + 0.012 * step(y + 0.45, 0.3)
    air = np.zeros((y.shape[0], x.shape[1]), np.float32)
    here = window(x, y, (-0.3, 0.3), (-EXTENT, 0.0))
    wide, high = x[:, here[1]], y[here[0]]
    mid_here = mid[here[0]]
    air[here] = 0.16 * dome_of(((wide - mid_here) / 0.045) ** 2) * step(-0.2 - high, 0.06)
    for side in SIDES:
        # main bronchi leave at the carina
        centre = mid_here + side * (0.02 + 0.9 * (high + 0.22))
        bronchus = dome_of(((wide - centre) / 0.04) ** 2) * step(high + 0.22, 0.03) * step(-0.09 - high, 0.06)
        air[here] = np.maximum(air[here], 0.1 * bronchus)
    if anatomy.bubble > 0:
        size = anatomy.bubble
        place = (0.33 * anatomy.width, dome_top(anatomy, pose, 1) - changes.raised[1] + 0.035 + 0.45 * size)
        here = window(x, y, (0.0, 0.7), (place[1] - size, place[1] + size))
        wide, high = x[:, here[1]], y[here[0]]
        q = ellipse(wide, high, place, (size * 1.15, size * 0.6), -0.1)
        air[here] += 0.2 * dome_of(q) ** 0.7 * step(place[1] + 0.35 * size - high, 0.02)
    return air * anatomy.depth


def _vessels(anatomy: Anatomy, pose: Pose, changes: Changes, canvas: int) -> Map:
    """Share of vessels in the lung: trees that leave both hila, fork four times and thin out; and texture."""
    rng = numpy_stream(anatomy.seed, "vessels")
    drawn = np.zeros((canvas, canvas), np.uint8)
    pixels = canvas / (2 * EXTENT)
    fans = np.linspace(-1.35, 1.45, 9)
    fans = np.concatenate([fans, math.pi - fans]) + rng.normal(0, 0.16, 18)
    side = np.repeat((1.0, -1.0), 9)
    at = np.stack([side * 0.15 + 0.03 * pose.turn + changes.shift, -0.035 - 0.02 * side], 1)
    at[:, 1] += 0.09 * np.sin(fans) - 0.3 * pose.inspiration
    heading, length, width = fans, rng.uniform(0.10, 0.22, 18), 0.019
    # the lower lobes' vessels are the larger ones
    length *= 1 + 0.25 * np.sin(heading)
    branches = []
    for generation in range(5):
        bend = rng.normal(0, 0.22, heading.shape)
        middle = at + 0.5 * length[:, None] * np.stack([np.cos(heading + bend), np.sin(heading + bend)], 1)
        end = middle + 0.5 * length[:, None] * np.stack([np.cos(heading - bend), np.sin(heading - bend)], 1)
        branches.append((np.stack([at, middle, end], 1), width * changes.congestion))
        fork = rng.uniform(0.15, 0.6, heading.shape)
        heading = np.concatenate([heading + fork, heading - rng.permutation(fork)])
        at, length = np.concatenate([end, end]), np.concatenate([length, length]) * rng.uniform(0.6, 0.95)
        width *= 0.66 if generation else 0.75
    for lines, wide in reversed(branches):
        thickness = max(1, round(wide * pixels))
        # a vessel thinner than a pixel is drawn fainter instead
        shade = min(255.0, 255 * wide / 0.02) * min(1.0, wide * pixels / thickness)
        cv2.polylines(drawn, list(to_pixels(lines, canvas)), False, shade, thickness, cv2.LINE_AA, shift=4)
    vessels = 0.16 * softened(drawn, 0.006)
    texture = 0.014 * smooth_field(rng, 16, canvas) + 0.014 * smooth_field(rng, 64, canvas)
    return vessels + texture
