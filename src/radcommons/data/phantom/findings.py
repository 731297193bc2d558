"""The eight findings of the phantom: how each changes a thorax, and the mask of the change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from radcommons.data.phantom.anatomy import Anatomy, Changes, Pose
from radcommons.data.phantom.shapes import SIDES, Map, curve, ellipse, smooth_field, step
from radcommons.data.phantom.thorax import MEDIASTINUM, Thorax, heart_map
from radcommons.seeds import numpy_stream

FINDINGS: tuple[str, ...] = ("Cardiomegaly", "Effusion", "Pneumothorax", "Atelectasis", "Edema", "Consolidation",
                             "Pneumonia", "Nodule")  # fmt: skip

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """The look of one finding in one film, if it is present.

    Attributes:
        severity: 0 = mild, 1 = severe.
        side: -1 = the patient's right, 1 = left.
        bilateral: on the other side as well, milder.
        across, down: place within the lung, 0..1.
        seed: of its irregular outline, the same in all films of a patient.
    """

    severity: float
    side: int
    bilateral: bool
    across: float
    down: float
    seed: int


def deformation(labels: Sequence[int], lesions: Sequence[Lesion]) -> Changes:
    """How the present findings change the shape of heart, diaphragm, mediastinum and vessels."""
    present = {name: lesion for name, lesion, label in zip(FINDINGS, lesions, labels, strict=True) if label}
    heart, congestion, shift = 1.0, 1.0, 0.0
    raised = dict.fromkeys(SIDES, 0.0)
    if lesion := present.get("Cardiomegaly"):
        heart = 1.22 + 0.32 * lesion.severity
    if lesion := present.get("Edema"):
        congestion = 1.3 + 0.3 * lesion.severity
    if lesion := present.get("Atelectasis"):
        raised[lesion.side] = 0.05 + 0.12 * lesion.severity
        shift = lesion.side * (0.01 + 0.02 * lesion.severity)
    return Changes(heart, (raised[-1], raised[1]), shift, congestion)


def add_findings(
    chest: Thorax,
    anatomy: Anatomy,
    pose: Pose,
    changes: Changes,
    labels: Sequence[int],
    lesions: Sequence[Lesion],
) -> dict[str, Mask]:
    """Add the present findings to `chest`, in place; returns their masks, (canvas, canvas)."""
    lung = (chest.cavity > 0.06) & (chest.from_dome < 0.02)
    masks: dict[str, Mask] = {}
    for name, lesion, label in zip(FINDINGS, lesions, labels, strict=True):
        if not label:
            continue
        if name == "Cardiomegaly":
            masks[name] = _growth_of_heart(chest, anatomy, pose, changes)
        elif name == "Pneumothorax":
            masks[name] = _pneumothorax(chest, lesion) & lung
        else:
            opacity = np.clip(sum(_OPACITIES[name](chest, anatomy, one) for one in _each_side(lesion)), 0, 0.97)
            edge = 0.5 if name == "Effusion" else 0.4  # share of the densest point
            masks[name] = (opacity > edge * opacity.max()) & lung
            chest.density = 1 - (1 - chest.density) * (1 - opacity)
        if name == "Atelectasis":
            masks[name] |= _raised_floor(chest, changes)
    return masks


def _each_side(lesion: Lesion) -> list[Lesion]:
    if not lesion.bilateral:
        return [lesion]
    return [lesion, replace(lesion, side=-lesion.side, severity=0.6 * lesion.severity, seed=lesion.seed + 1)]


def _growth_of_heart(chest: Thorax, anatomy: Anatomy, pose: Pose, changes: Changes) -> Mask:
    """The lung that the growth hides: inside the border, outside the former one, beside the mediastinum."""
    former = heart_map(chest.x, chest.y, anatomy, pose, replace(changes, heart=1.0))
    middle = 0.03 * pose.turn + changes.shift
    beside = np.abs(chest.x - middle) > 1.05 * curve(chest.y, MEDIASTINUM)
    grown = (chest.heart > 0) & (former <= 0)
    return np.asarray(grown & beside & (chest.from_dome < -0.01) & (chest.from_wall > 0))


def _raised_floor(chest: Thorax, changes: Changes) -> Mask:
    """Where the diaphragm has risen into the lung."""
    right, left = changes.raised
    raised = np.where(chest.x > 0, np.float32(left), np.float32(right))
    risen = (chest.from_dome > 0) & (chest.from_dome < raised) & (chest.from_wall > 0.03)
    return np.asarray(risen & (np.abs(chest.x) > 0.16) & (chest.heart < 0))


def _floor(chest: Thorax, side: int) -> float:
    """y of the top of the diaphragm on one side."""
    dome = chest.y[0] - chest.from_dome[0]
    return float(dome[side * chest.x[0] > 0].min())


def _on_side(chest: Thorax, side: int) -> Map:
    return step(side * chest.x, 0.02)


def _effusion(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """Fluid that fills the costophrenic angle first and climbs the wall: a meniscus."""
    level = _floor(chest, lesion.side) + 0.08 - 0.05 * lesion.down - 0.40 * lesion.severity
    climb = (0.10 + 0.10 * lesion.severity) * np.exp(-np.maximum(chest.from_wall, 0) / 0.085)
    medial = 0.04 * np.exp(-np.abs(chest.x) / 0.15)
    under = chest.y - (level - climb - medial)
    return 0.95 * _on_side(chest, lesion.side) * step(under - 0.02, 0.075)


def _pneumothorax(chest: Thorax, lesion: Lesion) -> Mask:
    """Air without vessels between the chest wall and the lung's edge, widest at the apex, and that edge as a line."""
    apical = np.clip((0.42 - chest.y) / 1.0, 0, 1)
    gap = (0.06 + 0.20 * lesion.severity) * apical**0.8 * (1 + 0.6 * step(-0.4 - chest.y, 0.3))
    inside = gap - chest.from_wall
    side = _on_side(chest, lesion.side)
    free = side * step(inside, 0.012)
    # the lung that has shrunk is a little denser
    shrunk = 0.10 * (0.4 + lesion.severity) * side * (1 - step(inside, 0.012))
    chest.density = 1 - (1 - chest.density) * (1 - shrunk)
    chest.density = chest.density * (1 - free) + 0.01 * free
    chest.extra += 0.40 * side * np.exp(-((inside / 0.010) ** 2)) * (chest.cavity > 0.1) * (gap > 0.01)
    # the air pushes outwards: the rim is a little deeper than lung is there
    chest.cavity = chest.cavity + 0.05 * free * (chest.cavity > 0.02)
    return np.asarray((free > 0.5) & (gap > 0.01))


def _atelectasis(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """Plates of airless lung above a raised diaphragm, denser and thicker when severe."""
    rng = numpy_stream(lesion.seed, "atelectasis")
    bands = np.zeros_like(chest.cavity)
    for number in range(1 + (lesion.severity > 0.4)):
        x = lesion.side * (0.36 + 0.1 * (lesion.across - 0.5)) * anatomy.width
        y = _floor(chest, lesion.side) - 0.07 - 0.12 * lesion.down - 0.14 * number
        angle = lesion.side * rng.uniform(-0.1, 0.45)
        thick = (0.034 + 0.026 * lesion.severity) * (1 - 0.25 * number)
        q = ellipse(chest.x, chest.y, (x, y), (0.18 + 0.08 * lesion.severity, thick), angle)
        bands = np.maximum(bands, (0.38 + 0.34 * lesion.severity) * (1 - 0.2 * number) * np.exp(-0.8 * q))
    return np.asarray(bands * _on_side(chest, lesion.side))


def _edema(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """A haze around both hila that spares the periphery: a bat's wings."""
    canvas = chest.cavity.shape[0]
    rng = numpy_stream(lesion.seed, "edema")
    mottle = 1 + 0.16 * smooth_field(rng, 26, canvas) + 0.10 * smooth_field(rng, 60, canvas)
    wings = sum(
        np.exp(-0.9 * ellipse(chest.x, chest.y, (side * 0.27, 0.04), (0.24, 0.36), -0.35 * side) ** 1.5)
        for side in SIDES
    )
    return np.asarray((0.26 + 0.44 * lesion.severity) * wings * mottle, np.float32)


def _consolidation(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """One lobe filled, sharp where a fissure bounds it, with air-filled bronchi in it."""
    canvas = chest.cavity.shape[0]
    rng = numpy_stream(lesion.seed, "consolidation")
    rough = 0.20 * smooth_field(rng, 14, canvas) + 0.10 * smooth_field(rng, 32, canvas)
    upper = lesion.down < 0.4
    y = -0.34 + 0.08 * lesion.down if upper else _floor(chest, lesion.side) - 0.26 + 0.1 * lesion.down
    x = lesion.side * (0.30 + 0.14 * lesion.across) * anatomy.width
    size = 0.8 + 0.35 * lesion.severity
    q = ellipse(chest.x, chest.y, (x, y), (0.22 * size, 0.23 * size), 0.5 * lesion.side) ** 0.5
    # the fissure: the lower border of an upper lobe, the upper border of a lower one
    fissure = -0.09 + 0.12 * (lesion.side * chest.x - 0.3)
    beyond = step((fissure - chest.y if upper else chest.y - fissure) + 0.02 * rough, 0.04)
    bronchi = 1 - np.clip(2.2 * (chest.vessels - 0.03), 0, 0.3)
    solid = step(1.05 - q - rough, 0.6) * beyond * bronchi
    return np.asarray((0.52 + 0.40 * lesion.severity) * solid * _on_side(chest, lesion.side))


def _pneumonia(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """Two to four patches with ragged borders in one lung."""
    canvas = chest.cavity.shape[0]
    rng = numpy_stream(lesion.seed, "pneumonia")
    rough = 0.40 * smooth_field(rng, 20, canvas) + 0.28 * smooth_field(rng, 44, canvas)
    patches = np.zeros_like(chest.cavity)
    for _ in range(2 + round(2 * lesion.severity)):
        x = lesion.side * (0.40 + 0.20 * (lesion.across - 0.5) + rng.uniform(-0.13, 0.13)) * anatomy.width
        y = -0.30 + 0.5 * lesion.down + rng.uniform(-0.15, 0.2)
        radius = rng.uniform(0.09, 0.15)
        q = ellipse(chest.x, chest.y, (x, y), (radius, radius * rng.uniform(0.8, 1.2)))
        patches = np.maximum(patches, np.exp(-0.8 * q) * np.clip(0.95 + rough, 0.2, 1.5))
    return (0.34 + 0.36 * lesion.severity) * patches * _on_side(chest, lesion.side)


def _nodule(chest: Thorax, anatomy: Anatomy, lesion: Lesion) -> Map:
    """A round opacity of 1.5 to 3 cm in the free lung."""
    rng = numpy_stream(lesion.seed, "nodule")
    radius = 0.040 + 0.032 * lesion.severity
    x = lesion.side * (0.30 + 0.24 * lesion.across) * anatomy.width
    y = -0.42 + (0.32 + _floor(chest, lesion.side)) * lesion.down
    stretch = rng.uniform(0.88, 1.12)
    q = ellipse(chest.x, chest.y, (x, y), (radius * stretch, radius / stretch), rng.uniform(0, 3))
    return (0.36 + 0.30 * lesion.severity) * step(1 - q, 1.0)


_OPACITIES: dict[str, Callable[[Thorax, Anatomy, Lesion], Map]] = {
    "Effusion": _effusion,
    "Atelectasis": _atelectasis,
    "Edema": _edema,
    "Consolidation": _consolidation,
    "Pneumonia": _pneumonia,
    "Nodule": _nodule,
}
