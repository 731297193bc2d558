"""The simulated hospitals: their patients, the prevalence of findings, and the look of their films."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from radcommons.data.phantom.film import Film
from radcommons.data.phantom.findings import FINDINGS
from radcommons.errors import SettingRefused, nearest_hint
from radcommons.seeds import numpy_stream
from radcommons.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class Site(Settings):
    """One hospital: its patients and its X-ray department."""

    name: str
    prevalence: dict[str, Share] = Field(description="share of films with each finding")
    ap_share: Share = Field(description="share of films taken from the front, at the bedside")
    female_share: Share = Field(0.5, description="share of women among the patients")
    age_mean_years: float = Field(55, ge=18, le=90, description="mean age of the patients")
    exposure: float = Field(0, ge=-0.5, le=0.5, description="darker film above 0, in widths of its scale")
    contrast: float = Field(1, ge=0.5, le=2, description="slope of the film's curve")
    photons: float = Field(6e4, ge=1e2, description="quanta per 1/256 of the film squared, before the patient")
    blur: float = Field(0.002, ge=0, le=0.02, description="sigma of the detector's blur, in film widths")
    scatter: float = Field(0.05, ge=0, le=0.6, description="scattered share of the rays behind the patient")
    zoom: float = Field(1, ge=0.7, le=1.4, description="magnification; above 1 shows less of the body")
    collimated_share: Share = Field(0, description="share of films with black borders")
    marker: str = Field("L", min_length=1, max_length=3, description="letters burned in beside the patient")
    marker_place: tuple[float, float] = Field((0.88, 0.10), description="their centre, in film widths from top left")

    @model_validator(mode="after")
    def _every_finding_once(self) -> Self:
        for name in self.prevalence:
            if name not in FINDINGS:
                raise ValueError(f"prevalence of '{name}': not a finding; {nearest_hint(name, FINDINGS)}")
        if missing := [name for name in FINDINGS if name not in self.prevalence]:
            raise ValueError(f"prevalence lacks {', '.join(missing)}")
        return self


_HAND_SET = {
    "A": Site(
        name="A",
        prevalence=dict(zip(FINDINGS, (0.16, 0.16, 0.05, 0.16, 0.06, 0.08, 0.05, 0.10), strict=True)),
        ap_share=0.25,
        age_mean_years=52,
        exposure=0.03,
        contrast=1.12,
    ),
    "B": Site(
        name="B",
        prevalence=dict(zip(FINDINGS, (0.20, 0.24, 0.08, 0.20, 0.15, 0.06, 0.03, 0.04), strict=True)),
        ap_share=0.7,
        female_share=0.42,
        age_mean_years=64,
        exposure=-0.06,
        contrast=0.9,
        photons=6e3,
        blur=0.0035,
        scatter=0.22,
        zoom=0.93,
        collimated_share=0.45,
        marker="R",
        marker_place=(0.10, 0.12),
    ),
}


def site(name: str) -> Site:
    """The hospital `name`: A and B are set by hand; any other is random, with its name as the seed.

    Raises:
        SettingRefused: the name is empty.
    """
    if not name.strip():
        raise SettingRefused(f"site is {name!r}; give it a name, such as A")
    if name in _HAND_SET:
        return _HAND_SET[name]
    rng = numpy_stream(0, "phantom site", name)
    common = {"Cardiomegaly", "Effusion", "Atelectasis"}
    left = bool(rng.random() < 0.5)
    return Site(
        name=name,
        prevalence={f: float(rng.uniform(0.13, 0.22) if f in common else rng.uniform(0.03, 0.11)) for f in FINDINGS},
        ap_share=float(rng.uniform(0.1, 0.8)),
        female_share=float(rng.uniform(0.4, 0.55)),
        age_mean_years=float(rng.uniform(45, 68)),
        exposure=float(rng.uniform(-0.1, 0.1)),
        contrast=float(rng.uniform(0.75, 1.25)),
        photons=float(10 ** rng.uniform(3.7, 5)),
        blur=float(rng.uniform(0.001, 0.004)),
        scatter=float(rng.uniform(0.02, 0.25)),
        zoom=float(rng.uniform(0.9, 1.1)),
        collimated_share=float(rng.choice((0.0, 0.2, 0.5))),
        marker=str(rng.choice(("L", "PA", "S") if left else ("R", "AP", "Z"))),
        marker_place=(
            float(rng.uniform(0.86, 0.92) if left else rng.uniform(0.08, 0.14)),
            float(rng.uniform(0.07, 0.2)),
        ),
    )


def draw_film(rng: np.random.Generator, hospital: Site, view: str, seed: int) -> Film:
    """One film of `hospital` on one day; a bedside film has more scatter, fewer quanta and a tilt."""
    ap = view == "AP"
    border = rng.uniform(0.0, 0.05, 4) * (rng.random() < hospital.collimated_share)
    return Film(
        exposure=hospital.exposure + float(rng.normal(0, 0.05)),
        contrast=hospital.contrast * float(rng.normal(0.93 if ap else 1, 0.05)),
        photons=hospital.photons * (0.6 if ap else 1.0),
        blur=hospital.blur,
        scatter=hospital.scatter + (0.05 if ap else 0.0),
        zoom=hospital.zoom * float(rng.normal(1, 0.05)),
        shift=(float(rng.normal(0, 0.04)), float(rng.normal(0.0, 0.05))),
        tilt_degrees=float(rng.normal(0, 2.5 if ap else 1.0)),
        border=(float(border[0]), float(border[1]), float(border[2]), float(border[3])),
        marker=hospital.marker,
        marker_place=(
            hospital.marker_place[0] + float(rng.normal(0, 0.012)),
            hospital.marker_place[1] + float(rng.normal(0, 0.02)),
        ),
        seed=seed,
    )
