"""Fig. 2: do synthetic images improve a classifier of a small local set, and are they the cause of the gain?"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from radcommons.classify.training_data import Examples
from radcommons.classify.trials import Trial, folder_of, take
from radcommons.experiments.conclusions import enrich_sentence
from radcommons.experiments.folder import IMAGES, TRIALS, begun_precision, claim_experiment, kept_images
from radcommons.experiments.results import run_experiment
from radcommons.experiments.settings import EnrichSettings
from radcommons.experiments.sources import (
    Site,
    generate_with_and_without,
    generation_seed,
    learned_from,
    open_generators,
    open_site,
)
from radcommons.folders import alone_in
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.records import Comparison, ExperimentResult
from radcommons.records.experiment import RENAMED_ARMS
from radcommons.seeds import numpy_stream

REAL_ONLY, FEWER_REAL, ALL_REAL = "real only", "fewer real", "all real (reference)"
ENRICHED, ADDED, PRETRAINED, SYNTHETIC = "enriched", "added", "pre-trained", "synthetic only"
OVERSAMPLED, REWEIGHTED, AUGMENTED = "oversampled", "reweighted", "augmented"
CONTROLS = (FEWER_REAL, OVERSAMPLED, REWEIGHTED, AUGMENTED)  # without synthetic images, and without further films
PAIRS = (
    (ENRICHED, REAL_ONLY),
    *((ENRICHED, control) for control in CONTROLS),
    *((arm, REAL_ONLY) for arm in (ADDED, SYNTHETIC, ALL_REAL)),
)
PRETRAINED_PAIRS = tuple((PRETRAINED, arm) for arm in (REAL_ONLY, ENRICHED, ADDED))


def enrich(settings: EnrichSettings, out: Path, *, workers: int = 1, track: Track = silent) -> ExperimentResult:
    """Train every arm as often as asked, compare all on the site's test films, and write table, figure and page.

    Raises:
        PatientsSeen: a generator has seen test or validation patients; status 3.
        TooFewImages: an arm asks for more than there is, or a part has one class only.
        FindingUnknown, PathInUse, and what opening a store or generator raises.
    """
    site = open_site(settings.store, [settings.finding], side=settings.classifier.side)
    opened = open_generators(settings.generators, site, [settings.finding], begun_precision(out, settings))
    settings = settings.model_copy(update={"precision": opened[0][0].precision})
    _arms_of_films(settings, site, 0)  # refuses what the store cannot give, before anything is written
    with alone_in(out, private=True):
        claim_experiment(out, settings)
        for before, arm in RENAMED_ARMS.items():  # trainings that an older version has finished
            if (out / TRIALS / before).is_dir():
                (out / TRIALS / before).rename(out / TRIALS / folder_of(arm))
        trials: list[Trial] = []
        for repeat in range(settings.repeats):
            synthetic = _synthetic_images(settings, [g for g, _ in opened], repeat, out, track)
            trials += _trials(settings, site, repeat, synthetic)
        lacking = settings.lacks_pretraining if settings.pretrained else None
        return run_experiment(
            "enrich",
            out,
            trials,
            settings,
            pairs=PAIRS + PRETRAINED_PAIRS if _pretrains(settings) else PAIRS,
            sentence=_sentence,
            notes=[
                *(note for _, note in opened),
                *(learned_from(path, site) for path in settings.generators),
                None if lacking is None else f"there is no arm '{PRETRAINED}': {lacking}",
            ],
            descriptions=descriptions(settings),
            simulated=site.store.simulated,
            workers=workers,
            track=track,
        )


def _sentence(comparisons: Sequence[Comparison]) -> str:
    of = {(c.arm, c.against): c for c in comparisons}
    controls = [of[ENRICHED, c] for c in CONTROLS]
    pretrained = [of[pair] for pair in PRETRAINED_PAIRS if pair in of]
    return enrich_sentence(of[ENRICHED, REAL_ONLY], controls, of[ALL_REAL, REAL_ONLY], pretrained)


def descriptions(s: EnrichSettings) -> dict[str, str]:
    """The arms in the order of the table, in words."""
    share = s.positives / s.total
    first, then = _divided_epochs(s)
    pretrained = (
        f"the synthetic images of '{ADDED}' for at most {first} epochs, then all local films for at most {then} at "
        f"{s.fine_tuning_rate:g} of the learning rate: as many images shown at most as to every other arm"
    )
    return {
        REAL_ONLY: f"the local films, {s.real_positives / s.real_images:.0%} with the finding",
        FEWER_REAL: "the films of the enriched set, without its synthetic images",
        OVERSAMPLED: f"local films repeated to as many as the enriched set, {share:.0%} with the finding",
        REWEIGHTED: f"local films, those with the finding weighted as if they were {share:.0%}",
        AUGMENTED: "local films, each time moved a little, with another brightness and contrast",
        ENRICHED: f"fewer films and synthetic images, {share:.0%} with the finding",
        ADDED: "all local films and the synthetic images",
        **({PRETRAINED: pretrained} if _pretrains(s) else {}),
        SYNTHETIC: f"synthetic images alone, {share:.0%} with the finding",
        ALL_REAL: f"films alone, {share:.0%} with the finding: more than the local site has",
    }


def _pretrains(s: EnrichSettings) -> bool:
    return s.pretrained and s.lacks_pretraining is None


def _divided_epochs(s: EnrichSettings) -> tuple[int, int]:
    """Largest number of epochs of pre-training and of fine-tuning: together those of every other arm."""
    return s.classifier.epochs // 2, s.classifier.epochs - s.classifier.epochs // 2


def _trials(s: EnrichSettings, site: Site, repeat: int, synthetic: Sequence[Examples]) -> list[Trial]:
    """The trainings of one repeat."""
    arms, changes = _arms(s, site, repeat, synthetic), _changed_settings(s)

    def trial(
        arm: str, parts: tuple[Examples, ...], different: Mapping[str, object], before: Trial | None = None
    ) -> Trial:
        return Trial(arm, repeat, parts, site.validation, site.test, s.training(repeat, **different), before)

    trials = [trial(arm, parts, changes.get(arm, {})) for arm, parts in arms.items()]
    if _pretrains(s):
        films, added = arms[REAL_ONLY], arms[ADDED]
        (first, then), rate = _divided_epochs(s), s.classifier.learning_rate * s.fine_tuning_rate
        before = trial(PRETRAINED, added[len(films) :], {"epochs": first})  # the synthetic images alone
        trials.append(trial(PRETRAINED, films, {"epochs": then, "learning_rate": rate}, before))
    return trials


def _arms(s: EnrichSettings, site: Site, repeat: int, synthetic: Sequence[Examples]) -> dict[str, tuple[Examples, ...]]:
    """Training images of every arm."""
    films = _arms_of_films(s, site, repeat)
    extra = _in_equal_shares(synthetic, s.synthetic_positives, s.synthetic_images - s.synthetic_positives)
    return films | {
        ENRICHED: (*films[FEWER_REAL], *extra),
        ADDED: (*films[REAL_ONLY], *extra),
        SYNTHETIC: _in_equal_shares(synthetic, s.positives, s.total - s.positives),
    }


def _arms_of_films(s: EnrichSettings, site: Site, repeat: int) -> dict[str, tuple[Examples, ...]]:
    """The arms of one repeat that have no synthetic image: each takes the first ones of the same two shuffled lists.

    Raises TooFewImages where the store has too few films.
    """
    present = site.train.labels[:, 0]
    shuffle = numpy_stream(s.seed, "local films", repeat).permutation
    having, lacking = (shuffle(np.flatnonzero(c)) for c in (present >= 0.5, present < 0.5))

    def first(arm: str, positives: int, negatives: int) -> tuple[Examples, ...]:
        return (
            take(site.train, having, arm=arm, what="training films with the finding", count=positives),
            take(site.train, lacking, arm=arm, what="training films without the finding", count=negatives),
        )

    local = first(REAL_ONLY, s.real_positives, s.real_images - s.real_positives)
    repeated = (
        films.take(np.resize(np.arange(len(films)), count))
        for films, count in zip(local, (s.positives, s.total - s.positives), strict=True)
    )
    return {
        REAL_ONLY: local,
        FEWER_REAL: first(FEWER_REAL, s.kept_positives, s.kept_images - s.kept_positives),
        OVERSAMPLED: tuple(repeated),
        REWEIGHTED: local,
        AUGMENTED: local,
        ALL_REAL: first(ALL_REAL, s.positives, s.total - s.positives),
    }


def _changed_settings(s: EnrichSettings) -> dict[str, dict[str, object]]:
    """What is different in the training of an arm."""
    share, given = s.positives / s.total, s.real_positives / s.real_images
    weight = (share / (1 - share)) / (given / (1 - given)) if 0 < given < 1 and share < 1 else 1.0
    return {REWEIGHTED: {"positive_weight": weight}, AUGMENTED: {"augment": s.augment}}


def _synthetic_images(
    s: EnrichSettings, generators: Sequence[Generator], repeat: int, out: Path, track: Track
) -> list[Examples]:
    """Synthetic images of one repeat from every generator; generated once and kept on disk."""
    return [
        kept_images(
            out / IMAGES / f"synthetic-{repeat}-{number}",
            partial(
                generate_with_and_without,
                generator,
                s.finding,
                positives=_share(s.positives, number, len(generators)),
                negatives=_share(s.total - s.positives, number, len(generators)),
                name=s.generators[number].name,
                seed=generation_seed(s, repeat, number),
                track=track,
            ),
            generator_digest=generator.digest,
        )
        for number, generator in enumerate(generators)
    ]


def _in_equal_shares(parts: Sequence[Examples], positives: int, negatives: int) -> tuple[Examples, ...]:
    """Images with the finding and without, in equal shares of every generator."""
    found = []
    for number, part in enumerate(parts):
        present = part.labels[:, 0] >= 0.5
        for places, count in ((np.flatnonzero(present), positives), (np.flatnonzero(~present), negatives)):
            found.append(part.take(places[: _share(count, number, len(parts))]))
    return tuple(part for part in found if len(part))


def _share(count: int, number: int, of: int) -> int:
    """The part of `count` that one of several generators gives."""
    return count // of + (number < count % of)
