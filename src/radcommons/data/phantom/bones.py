"""Ribs, spine and shoulders as maps of the attenuation they add to soft tissue."""

import math

import numpy as np

from radcommons.data.phantom.anatomy import Anatomy, Pose
from radcommons.data.phantom.shapes import EXTENT, SIDES, Map, capsule, dome_of, ellipse, polygon, step, window


def bones(x: Map, y: Map, lateral: Map, anatomy: Anatomy, pose: Pose) -> Map:
    """All bones of a thorax with inner half-width `lateral`, (canvas, 1), at each y."""
    bone = _ribs(x, y, lateral, anatomy)
    here = window(x, y, (-0.3, 0.3), (-EXTENT, EXTENT))
    bone[here] += _spine(x[:, here[1]], y, anatomy, pose)
    for side in SIDES:
        bone += _shoulder_blade(x.shape[1], anatomy, pose, side)
        here = window(x, y, (0.0, EXTENT) if side > 0 else (-EXTENT, 0.0), (-0.85, 0.8))
        bone[here] += _collar_and_arm(x[:, here[1]] * side, y[here[0]], anatomy, pose, side)
    return bone


def _tube(q: Map) -> Map:
    """Path through the cortex of a hollow bone at `q` radii from its axis: brightest near both edges."""
    q = q * q
    return dome_of(q) - 0.72 * np.sqrt(np.maximum(0.62 - q, 0))


def _ribs(x: Map, y: Map, lateral: Map, anatomy: Anatomy) -> Map:
    cage = lateral + 0.025
    s = np.minimum(np.abs(x) / cage, 1.0)
    gap, slope = anatomy.rib_gap, anatomy.rib_slope
    turn = np.maximum(s - 0.72, 0)
    inside = step(cage - np.abs(x), 0.02) * step(0.72 - y, 0.3)
    # towards the side a ray meets the rib along its length
    tangent = np.minimum(1 / np.sqrt(1.05 - 0.97 * s * s), 2.2)
    first = -0.78 + anatomy.rib_phase * gap

    posterior = slope * s * s - 0.05 * np.sin(math.pi * s) + 2.6 * turn * turn
    steepness = (2 * slope * s - 0.12 * np.cos(math.pi * s) + 5.2 * turn) / 0.66
    number, offset = _nearest_rib(y - first - posterior, gap)
    seen = inside * ((number >= 0) & (number <= 10))
    ribs = 0.42 * _tube(offset / np.sqrt(1 + steepness * steepness) / 0.034) * tangent * seen

    # the front ends come down and inwards, and turn to cartilage before the breastbone
    inward = 1 - s
    anterior = slope + 0.2 + 0.75 * inward - 0.35 * inward * inward
    number, offset = _nearest_rib(y - first - anterior, gap)
    seen = inside * step(s - 0.5 + 0.03 * number, 0.16) * ((number >= 0) & (number <= 6))
    ribs += 0.22 * _tube(offset / 1.3 / 0.036) * tangent * seen
    return np.asarray(ribs, np.float32)


def _nearest_rib(depth: Map, gap: float) -> tuple[Map, Map]:
    number = np.rint(depth / gap)
    return number, depth - number * gap


def _spine(x: Map, y: Map, anatomy: Anatomy, pose: Pose) -> Map:
    middle = -0.02 * pose.turn + anatomy.spine_bow * np.sin(2.2 * y + 0.5)
    half = 0.082 + 0.012 * np.clip(y, -1, 1)
    off = (x - middle) / half
    level = y / 0.118
    within = level - np.rint(level)  # -0.5..0.5 in one vertebra, the disc at its ends
    disc = step(np.abs(within) - 0.40, 0.06)
    plate = np.exp(-(((np.abs(within) - 0.36) / 0.05) ** 2))
    body = (0.40 * (1 - 0.35 * disc) + 0.10 * plate) * dome_of(off**4)
    pedicles = np.exp(-(((np.abs(off) - 0.55) / 0.2) ** 2)) * np.exp(-(((within + 0.12) / 0.14) ** 2))
    processes = np.exp(-((off / 0.14) ** 2)) * np.exp(-(((within - 0.15) / 0.16) ** 2))
    wings = 0.12 * np.exp(-(((within + 0.15) / 0.13) ** 2)) * step(1.75 - np.abs(off), 0.5)
    return np.asarray(body + 0.12 * pedicles + 0.12 * processes + wings, np.float32)


def _beside(anatomy: Anatomy, pose: Pose) -> float:
    """How far out the shoulders are: lifted arms swing the blades off the lungs."""
    return 0.07 * (1 - pose.arms) + 0.5 * anatomy.wall + 0.7 * (anatomy.width - 1)


def _shoulder_blade(canvas: int, anatomy: Anatomy, pose: Pose, side: int) -> Map:
    outline = np.array(((0.82, -0.56), (0.62, -0.63), (0.56, -0.55), (0.60, -0.12), (0.65, -0.05), (0.74, -0.3)))
    outline += (_beside(anatomy, pose), 0.0)
    inner = (outline - outline.mean(0)) * 0.86 + outline.mean(0)
    flip = np.array((side, 1.0))
    return 0.32 * polygon(canvas, outline * flip, 0.012) - 0.17 * polygon(canvas, inner * flip, 0.02)


def _collar_and_arm(x: Map, y: Map, anatomy: Anatomy, pose: Pose, side: int) -> Map:
    """Clavicle and humerus of one side, in mirrored coordinates (x >= 0 is that side)."""
    start = 0.075 + 0.045 * side * pose.turn
    s = np.clip((x - start) / (0.80 - start), 0, 1)
    middle = -0.50 - 0.17 * s - 0.045 * np.sin((2.4 * math.pi) * s) * (1 - s)
    radius = 0.036 - 0.012 * np.sin(math.pi * s)
    ends = step(x - start, 0.03) * step(0.80 - x, 0.05)
    bone = 0.58 * _tube((y - middle) * 0.93 / radius) * ends
    head = (0.96 + _beside(anatomy, pose) / 2, -0.56)
    q = ellipse(x, y, head, (0.115, 0.12))
    bone += 0.34 * dome_of(q) + 0.10 * np.exp(-(((q - 0.86) / 0.16) ** 2))
    along, across = capsule(x, y, head, (1.5 - 0.42 * pose.arms, -0.05 + 0.6 * pose.arms))
    bone += 0.5 * _tube(across / 0.055) * step(along - 0.12, 0.1)
    return np.asarray(bone, np.float32)
