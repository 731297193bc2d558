"""A digital phantom: procedural frontal chest radiographs with known findings, so that everything runs without data.

A parametric thorax (`thorax`) with findings (`findings`) is X-rayed (`film`) at a hospital (`sites`). Nothing was
measured on a patient: prevalences, sizes and densities are set by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from radcommons.data.phantom import sites
from radcommons.data.phantom.anatomy import Anatomy, Pose, draw_anatomy, draw_pose
from radcommons.data.phantom.film import Film, attenuation, burn_in, expose, placement
from radcommons.data.phantom.findings import FINDINGS, Lesion, add_findings, deformation
from radcommons.data.phantom.sites import Site, draw_film
from radcommons.data.phantom.thorax import thorax
from radcommons.errors import SettingRefused
from radcommons.seeds import derive, numpy_stream

RESOLUTIONS = (16, 32, 64, 128, 256, 512, 1024)
PERSISTENCE = 0.8  # share of a finding's liability that belongs to the patient, not to the day


@dataclass(frozen=True, slots=True)
class Exam:
    """All parameters of one image except the resolution.

    Attributes:
        patient: number of the patient, from 0.
        index: number of the image of that patient, from 0.
        view: PA, or AP at the bedside.
        age_years, sex: of the patient.
        labels: 1 or 0 for each of FINDINGS.
        anatomy: the same for all of a patient's images.
        pose, film: how this image was taken.
        lesions: how each of FINDINGS looks where its label is 1.
    """

    patient: int
    index: int
    view: Literal["PA", "AP"]
    age_years: float
    sex: Literal["F", "M"]
    labels: tuple[int, ...]
    anatomy: Anatomy
    pose: Pose
    film: Film
    lesions: tuple[Lesion, ...]


def draw_exams(patients: int, *, site: str, seed: int) -> list[Exam]:
    """One to four exams of each of `patients` patients; patient i depends on (seed, site, i) only.

    Raises:
        SettingRefused: fewer than one patient, or a site without a name.
    """
    if patients < 1:
        raise SettingRefused(f"patients is {patients}; the phantom needs 1 or more")
    hospital = sites.site(site)
    return [exam for patient in range(patients) for exam in _draw_patient(hospital, seed, patient)]


def render(exams: Sequence[Exam], resolution: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Render the images of `exams` and the masks of their findings.

    Args:
        exams: n exams.
        resolution: R, pixels a side; one of RESOLUTIONS.
    Returns:
        Images uint8 (n, R, R), bright where the body is dense; masks bool (n, F, R, R), F = len(FINDINGS),
        empty for a finding that is absent.
    Raises:
        SettingRefused: another resolution.
    """
    if resolution not in RESOLUTIONS:
        raise SettingRefused(f"resolution is {resolution}; the phantom has {', '.join(map(str, RESOLUTIONS))}")
    images = np.empty((len(exams), resolution, resolution), np.uint8)
    masks = np.zeros((len(exams), len(FINDINGS), resolution, resolution), np.bool_)
    for exam, image, mask in zip(exams, images, masks, strict=True):
        _render_one(exam, image, mask)
    return images, masks


def _render_one(exam: Exam, image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_]) -> None:
    resolution = image.shape[0]
    # small pictures are reduced from one of 128, so that they show the same anatomy
    pixels = max(resolution, 128)
    canvas = max(224, pixels * 5 // 4)
    changes = deformation(exam.labels, exam.lesions)
    chest = thorax(exam.anatomy, exam.pose, canvas, changes)
    found = add_findings(chest, exam.anatomy, exam.pose, changes, exam.labels, exam.lesions)

    to_canvas = placement(exam.film, canvas, pixels)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    exponent = cv2.warpAffine(
        attenuation(chest), to_canvas, (pixels, pixels), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    picture = expose(np.asarray(exponent), exam.film, exam.anatomy.depth)
    burn_in(picture, exam.film)
    small = cv2.resize(picture, (resolution, resolution), interpolation=cv2.INTER_AREA)
    image[:] = np.rint(np.clip(small, 0, 1) * 255)

    for name, mask in found.items():
        on_film = cv2.warpAffine(mask.astype(np.float32), to_canvas, (pixels, pixels), flags=flags)
        on_film[picture == 0] = 0  # behind the black border
        share = cv2.resize(on_film, (resolution, resolution), interpolation=cv2.INTER_AREA)
        # a finding smaller than a pixel marks the pixel with most of it
        masks[FINDINGS.index(name)] = share >= min(0.5, max(share.max(), 1e-6))


# correlations of the liabilities, above 0 where two findings come together; the last is an AP film
_TOGETHER = {
    ("Cardiomegaly", "Effusion"): 0.45,
    ("Cardiomegaly", "Edema"): 0.50,
    ("Cardiomegaly", "Atelectasis"): 0.25,
    ("Effusion", "Edema"): 0.50,
    ("Effusion", "Atelectasis"): 0.50,
    ("Effusion", "Consolidation"): 0.30,
    ("Effusion", "Pneumothorax"): 0.15,
    ("Effusion", "Pneumonia"): 0.20,
    ("Pneumothorax", "Atelectasis"): 0.20,
    ("Atelectasis", "Edema"): 0.25,
    ("Atelectasis", "Consolidation"): 0.30,
    ("Atelectasis", "Pneumonia"): 0.15,
    ("Edema", "Consolidation"): 0.15,
    ("Edema", "Pneumonia"): 0.15,
    ("Consolidation", "Pneumonia"): 0.65,
    ("Effusion", "AP"): 0.25,
    ("Edema", "AP"): 0.35,
    ("Atelectasis", "AP"): 0.20,
    ("Pneumothorax", "AP"): 0.20,
    ("Consolidation", "AP"): 0.20,
    ("Cardiomegaly", "AP"): 0.15,
}


@cache
def _correlating() -> npt.NDArray[np.float64]:
    """The Cholesky factor of the liabilities' correlations, (F + 1, F + 1)."""
    names = (*FINDINGS, "AP")
    correlation = np.eye(len(names))
    for (first, second), value in _TOGETHER.items():
        i, j = names.index(first), names.index(second)
        correlation[i, j] = correlation[j, i] = value
    return np.asarray(np.linalg.cholesky(correlation))


def _draw_patient(hospital: Site, seed: int, patient: int) -> list[Exam]:
    rng = numpy_stream(seed, "phantom", hospital.name, patient)
    sex: Literal["F", "M"] = "F" if rng.random() < hospital.female_share else "M"
    age = float(np.clip(rng.normal(hospital.age_mean_years, 16), 18, 95))
    anatomy = draw_anatomy(rng, age, sex, derive(seed, "anatomy", hospital.name, patient))
    # a label is 1 where a standard normal liability passes the threshold of its prevalence
    shares = (*(hospital.prevalence[name] for name in FINDINGS), hospital.ap_share)
    thresholds = np.array([NormalDist().inv_cdf(1 - min(max(share, 1e-9), 1 - 1e-9)) for share in shares])
    lasting = _correlating() @ rng.standard_normal(len(shares))
    lesions = _draw_lesions(rng, seed, hospital.name, patient)
    exams = []
    for index in range(int(rng.choice(4, p=(0.55, 0.22, 0.13, 0.10))) + 1):
        today = _correlating() @ rng.standard_normal(len(shares))
        liability = PERSISTENCE**0.5 * lasting + (1 - PERSISTENCE) ** 0.5 * today
        *labels, ap = (int(above) for above in liability > thresholds)
        view: Literal["PA", "AP"] = "AP" if ap else "PA"
        exams.append(
            Exam(
                patient=patient,
                index=index,
                view=view,
                age_years=round(age + 0.1 * index, 1),
                sex=sex,
                labels=tuple(labels),
                anatomy=anatomy,
                pose=draw_pose(rng, view),
                film=draw_film(rng, hospital, view, derive(seed, "film", hospital.name, patient, index)),
                lesions=tuple(_today(rng, lesion) for lesion in lesions),
            )
        )
    return exams


def _draw_lesions(rng: np.random.Generator, seed: int, site_name: str, patient: int) -> list[Lesion]:
    """The look of each finding in this patient, if present; most are on the same side."""
    side = 1 if rng.random() < 0.5 else -1
    return [
        Lesion(
            severity=float(rng.beta(1.6, 1.6)),
            side=side if rng.random() < 0.75 else -side,
            bilateral=name == "Effusion" and bool(rng.random() < 0.35),
            across=float(rng.random()),
            down=float(rng.random()),
            seed=derive(seed, "lesion", site_name, patient, name),
        )
        for name in FINDINGS
    ]


def _today(rng: np.random.Generator, lesion: Lesion) -> Lesion:
    return replace(lesion, severity=float(np.clip(lesion.severity + rng.normal(0, 0.12), 0, 1)))
