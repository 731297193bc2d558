"""Parameters of a simulated patient, of the pose for one film, and of the changes that findings make.

Lengths are in half-widths of the film, depths in depths of an average thorax from front to back.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The parameters that are the same in every film of a patient.

    Attributes:
        width: of the thorax, 1 = average.
        depth: of the body from front to back, 1 = average.
        wall: soft tissue outside the ribs, in half-widths of the film.
        breast: thickness of the breast shadows in depths, 0 in men.
        breast_drop: how far the breasts are below the average position.
        heart: size of the heart, 1 = average.
        heart_tilt: of the heart's long axis below the horizontal, radians.
        aorta: radius of the aortic knob.
        dome: y of the right diaphragm's top in full inspiration.
        dome_gap: how much lower the left dome is.
        bone: mineral content, 1 = average.
        rib_gap: from one rib to the next.
        rib_phase: place of the ribs, in gaps.
        rib_slope: how steeply the posterior ribs fall.
        spine_bow: sideways bow of the spine.
        bubble: size of the stomach's air, 0 for none.
        seed: of the vessels and the lungs' texture.
    """

    width: float
    depth: float
    wall: float
    breast: float
    breast_drop: float
    heart: float
    heart_tilt: float
    aorta: float
    dome: float
    dome_gap: float
    bone: float
    rib_gap: float
    rib_phase: float
    rib_slope: float
    spine_bow: float
    bubble: float
    seed: int


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stood for one film.

    Attributes:
        inspiration: 0 = full; the diaphragm rises by this much.
        turn: of the chest about its long axis, in units of the sideways shift of the heart.
        heart_magnified: by projection, more in AP films.
        arms: 0 = lifted out of the way, 1 = beside the body.
    """

    inspiration: float
    turn: float
    heart_magnified: float
    arms: float


@dataclass(frozen=True, slots=True)
class Changes:
    """How findings deform the anatomy: `heart` enlarges it, `raised` lifts the (right, left) diaphragm,
    `shift` moves the mediastinum, `congestion` thickens the vessels."""

    heart: float = 1.0
    raised: tuple[float, float] = (0.0, 0.0)
    shift: float = 0.0
    congestion: float = 1.0


def draw_anatomy(rng: np.random.Generator, age: float, sex: str, seed: int) -> Anatomy:
    """A random patient of this age and sex (F or M); men have no breast shadows, the old larger hearts and aortas."""
    female, old = sex == "F", (age - 55) / 40
    fat = float(np.clip(rng.normal(0, 1), -1.8, 2.4))
    return Anatomy(
        width=float(np.clip(rng.normal(0.97 if female else 1.03, 0.05), 0.84, 1.15)),
        depth=float(np.clip(rng.normal(0.97 if female else 1.02, 0.06) + 0.07 * fat, 0.8, 1.3)),
        wall=float(np.clip(0.11 + 0.055 * fat + rng.normal(0, 0.01), 0.03, 0.26)),
        breast=float(np.clip(0.17 + 0.05 * fat + rng.normal(0, 0.04), 0.06, 0.34)) if female else 0.0,
        breast_drop=float(0.06 * max(old, 0) + rng.normal(0, 0.03)),
        heart=float(np.clip(rng.normal(0.98, 0.06) + 0.03 * old + 0.01 * fat, 0.82, 1.1)),
        heart_tilt=float(np.clip(rng.normal(0.45, 0.12) - 0.05 * fat, 0.15, 0.75)),
        aorta=float(np.clip(0.078 + 0.016 * old + rng.normal(0, 0.006), 0.055, 0.11)),
        dome=float(rng.normal(0.42, 0.045) - 0.03 * old - 0.012 * fat),
        dome_gap=float(rng.uniform(0.01, 0.07)),
        bone=float(np.clip(1.02 - 0.16 * old + (-0.05 if female else 0.05) + rng.normal(0, 0.06), 0.7, 1.3)),
        rib_gap=float(rng.normal(0.124, 0.004)),
        rib_phase=float(rng.uniform(-0.4, 0.4)),
        rib_slope=float(rng.normal(0.14, 0.03)),
        spine_bow=float(rng.normal(0, 0.016)),
        bubble=float(rng.uniform(0.06, 0.15)) if rng.random() < 0.6 else 0.0,
        seed=seed,
    )


def draw_pose(rng: np.random.Generator, view: str) -> Pose:
    """A random pose: standing for a PA film, or lying for an AP film, with arms down and a shallower breath."""
    ap = view == "AP"
    return Pose(
        inspiration=float(np.clip(rng.normal(0.09 if ap else 0.02, 0.03), -0.02, 0.18)),
        turn=float(rng.normal(0, 0.6 if ap else 0.3)),
        heart_magnified=1.1 if ap else 1.0,
        arms=float(rng.uniform(0.6, 1) if ap else rng.uniform(0, 0.35)),
    )


def dome_top(anatomy: Anatomy, pose: Pose, side: int) -> float:
    """y of the top of one healthy diaphragm; `side` -1 is the patient's right."""
    return anatomy.dome - pose.inspiration + (anatomy.dome_gap if side > 0 else 0.0)
