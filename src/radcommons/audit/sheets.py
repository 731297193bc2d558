"""The films and images on an audit's page: by finding, without and with it, and beside their nearest films."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from radcommons.audit.inputs.material import BALANCED, COPIED, SYNTHETIC, Material
from radcommons.audit.inputs.privacy import SHOWN, PrivacyInputs
from radcommons.audit.neighbours.nearest import Nearest, nearest
from radcommons.data.store import Store
from radcommons.pages import picture
from radcommons.pictures import contact_sheet
from radcommons.records import Space
from radcommons.seeds import derive

COLUMNS = 8
SIDE = 64  # CSS pixels of an image on the grids and beside a finding
STRIP_SIDE = 80  # and beside its nearest films
FIRST = 3  # synthetic images that are shown with their nearest films before the others
HELD_OUT, COPIES = 2, 1  # held-out films and planted copies that show the ends of the scale
STAMP = "SIMULATED"


def stamp(store: Store) -> str:
    """What stands on each film of the store, so that nobody takes a simulated one for a patient's."""
    return STAMP if store.simulated else ""


def film_grid(material: Material) -> Markup:
    """Films in training: some without a finding, then some of each finding."""
    sources = [(material.images, material.rows["train"], material.films["train"].labels)]
    sheet = _grid(material, sources, stamp(material.store))
    return picture(sheet, "Films in training, one row for each finding and one without")


def synthetic_grid(material: Material) -> Markup:
    """Synthetic images: some without a finding, then some of each finding."""
    drawn = [material.synthetic[name] for name in (BALANCED, SYNTHETIC)]
    sheet = _grid(material, [(d.images, np.arange(len(d.images)), d.labels) for d in drawn], "")
    return picture(sheet, "Synthetic images, one row for each finding and one without")


def _grid(material: Material, sources: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], word: str) -> Image.Image:
    """The first images without a finding, then those of each finding, one row each.

    Args:
        sources: images, the rows of them that may be shown, and these rows' labels.
        word: stamped on each image.
    """

    def first(column: int | None) -> np.ndarray:
        found = []
        for images, rows, labels in sources:
            known = np.nan_to_num(labels)
            shows = (known < 0.5).all(axis=1) if column is None else known[:, column] >= 0.5
            found.append(images[rows[np.flatnonzero(shows)[:COLUMNS]]])
        return np.concatenate(found)[:COLUMNS]

    rows = {"No finding": first(None)}
    rows |= {name.replace("_", " "): first(i) for i, name in enumerate(material.subject.findings)}
    shown = {name: images for name, images in rows.items() if len(images)}
    return contact_sheet(list(shown.values()), list(shown), side=SIDE, stamp=word)


def finding_pairs(material: Material) -> dict[str, Markup]:
    """For each finding two images of the same latent vector, without and with it; empty without a generator."""
    generator = material.subject.generator
    if generator is None:
        return {}
    seed = derive(material.settings.seed, "audit", "strength")
    pairs = {}
    for finding in generator.findings:
        both = [generator.generate(1, findings={finding: label}, seed=seed).images for label in (0.0, 1.0)]
        words = f"{finding.replace('_', ' ')}: the same latent vector without the finding and with it, synthetic"
        pairs[finding] = picture(contact_sheet([np.concatenate(both)], side=SIDE), words)
    return pairs


# An image and its nearest training films, each with what is written under it.
Strip = list[tuple[Markup, str]]


@dataclass(frozen=True)
class NeighbourSheet:
    """The images most like a training film in one space, and both ends of the scale.

    Attributes:
        first, more: synthetic images, the most similar first.
        held_out: held-out films, likewise: how like a training film a film of another patient can be.
        copies: slightly changed training films: what a copy would look like.
        tells_copies: whether this space tells copies of a film from films of other patients.
    """

    first: list[Strip]
    more: list[Strip]
    held_out: list[Strip]
    copies: list[Strip]
    tells_copies: bool


def neighbour_sheet(material: Material, inputs: PrivacyInputs, space: Space) -> NeighbourSheet:
    """The sheet of one space."""
    word = stamp(material.store)
    synthetic, copied = inputs.synthetic[space].to_train, inputs.copies[space].to_train
    most = np.argsort(-synthetic.best, kind="stable")[: material.settings.sheet_images]
    drawn = material.synthetic[SYNTHETIC].images[most]
    strips = _strips(material, drawn, "synthetic", synthetic.take(most), space)
    rows = np.argsort(-inputs.neighbours[space].held_to_train.best, kind="stable")[:HELD_OUT]
    to_train = nearest(space, inputs.real.held_out.take(rows), inputs.real.train, SHOWN)
    films = material.images[material.rows["test"][rows]]
    middle = np.argsort(copied.best, kind="stable")[len(copied.best) // 2 :][:COPIES]
    copies = material.films[COPIED].small[middle]
    return NeighbourSheet(
        first=strips[:FIRST],
        more=strips[FIRST:],
        held_out=_strips(material, films, "held out", to_train, space, word),
        copies=_strips(material, copies, "copy", copied.take(middle), space, word),
        tells_copies=inputs.neighbours[space].tells_copies,
    )


def _strips(
    material: Material, images: np.ndarray, name: str, neighbours: Nearest, space: Space, word: str = ""
) -> list[Strip]:
    """Images, each with the training films that are nearest to it; `word` is stamped on the images."""
    strips, of_films = [], stamp(material.store)
    for number, (image, rows, similarity) in enumerate(
        zip(images, neighbours.rows, neighbours.similarity, strict=True), start=1
    ):
        films = np.asarray(material.images[material.rows["train"][rows]])
        strip = [(_small(image, word, f"{name} {number} ({space})"), name)]
        for place, (film, alike) in enumerate(zip(films, similarity, strict=True), start=1):
            words = f"Film in training, number {place} of those nearest to {name} {number} ({space}): {alike:.3f}"
            strip.append((_small(film, of_films, words), f"{alike:.3f}"))
        strips.append(strip)
    return strips


def _small(image: np.ndarray, word: str, description: str) -> Markup:
    return picture(contact_sheet([np.asarray(image)[None]], side=STRIP_SIDE, stamp=word), description)
