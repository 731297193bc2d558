"""Fig. 2: does a small local set get better with synthetic images, and is it they that do it?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from radcommons.classify.material import Examples
from radcommons.classify.trials import Trial, run_trials, take
from radcommons.experiments import finish, report
from radcommons.experiments.compare import RELEVANT
from radcommons.experiments.settings import EnrichSettings
from radcommons.experiments.sources import Site, draw_seed, draw_with, learned_from, open_generators, open_site
from radcommons.experiments.words import enrich_sentence
from radcommons.experiments.work import Work
from radcommons.folders import alone_in
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.records import ExperimentResult
from radcommons.seeds import numpy_stream
from radcommons.versions import versions

LOCAL, KEPT, ENRICHED, ADDED = "local", "kept", "enriched", "added"
OVERSAMPLED, REWEIGHTED, AUGMENTED = "oversampled", "reweighted", "augmented"
SYNTHETIC, ORACLE = "synthetic only", "oracle"
CONTROLS = (KEPT, OVERSAMPLED, REWEIGHTED, AUGMENTED)  # none has a synthetic image or another film


def enrich(settings: EnrichSettings, out: Path, *, workers: int = 1, track: Track = silent) -> ExperimentResult:
    """Train every arm as often as asked, judge all on the site's test films, and write table and figure.

    Raises:
        PatientsSeen: a generator has seen test or validation patients; status 3.
        TooFewImages: an arm asks for more than there is, or a part has one class only.
        FindingUnknown, PathInUse, and what opening a store or generator raises.
    """
    site = open_site(settings.store, [settings.finding], side=settings.classifier.side)
    opened = open_generators(settings.generators, site, [settings.finding])
    _Local(settings, site, 0).films()  # refuses what the store cannot give, before anything is written
    with alone_in(out, private=True):
        work = Work.claim(out, settings)
        trials = []
        for repeat in range(settings.repeats):
            local = _Local(settings, site, repeat)
            drawn = _Drawn(settings, [g for g, _ in opened], repeat, work, track)
            for arm, parts in local.arms(drawn).items():
                chosen = settings.training(repeat, **local.changes.get(arm, {}))
                trials.append(Trial(arm, repeat, parts, site.validation, site.test, chosen))
        trained = run_trials(trials, work.trials, workers=workers, track=track)
        judged = finish.judge(trials, trained, settings)
        pairs = [
            (ENRICHED, LOCAL),
            *((ENRICHED, c) for c in CONTROLS),
            (ADDED, LOCAL),
            (SYNTHETIC, LOCAL),
            (ORACLE, LOCAL),
        ]
        comparisons = {(c.arm, c.against): c for c in judged.comparisons(pairs)}
        result = ExperimentResult(
            experiment="enrich",
            sentence=enrich_sentence(
                comparisons[ENRICHED, LOCAL], [comparisons[ENRICHED, c] for c in CONTROLS], comparisons[ORACLE, LOCAL]
            ),
            notes=work.notes(
                [
                    *judged.notes(),
                    *(note for _, note in opened),
                    *(learned_from(path, site) for path in settings.generators),
                ],
                settings,
            ),
            test_images=len(site.test),
            test_patients=len(np.unique(site.test.patients)),
            test_positives={settings.finding: int((site.test.labels >= 0.5).sum())},
            arms=finish.arms(descriptions(settings), trials, trained, judged, settings),
            comparisons=tuple(comparisons.values()),
            relevant=RELEVANT,
            settings=settings.model_dump(mode="json"),
            versions=versions("torch", "monai", "numpy", "scipy"),
        )
        report.write(result, out)
        return result


def descriptions(s: EnrichSettings) -> dict[str, str]:
    """The arms in the order of the table, in words."""
    share = s.positives / s.total
    return {
        LOCAL: f"the local films, {s.real_positives / s.real_images:.0%} with the finding",
        KEPT: "the films that the enriched set keeps, alone",
        OVERSAMPLED: f"local films repeated to as many as the enriched set, {share:.0%} with the finding",
        REWEIGHTED: f"local films, those with the finding weighted as if they were {share:.0%}",
        AUGMENTED: "local films, moved and recoloured a little each time",
        ENRICHED: f"the kept films and synthetic images, {share:.0%} with the finding",
        ADDED: "all local films and the synthetic images",
        SYNTHETIC: f"synthetic images alone, {share:.0%} with the finding",
        ORACLE: f"films alone, {share:.0%} with the finding: what the local site does not have",
    }


class _Local:
    """The local films of one repeat; every arm's are a beginning of the same two shuffled lists."""

    def __init__(self, settings: EnrichSettings, site: Site, repeat: int) -> None:
        self._settings, self._films = settings, site.train
        present = site.train.labels[:, 0]
        shuffle = numpy_stream(settings.seed, "local films", repeat).permutation
        self._with, self._without = (shuffle(np.flatnonzero(c)) for c in (present >= 0.5, present < 0.5))
        share, given = settings.positives / settings.total, settings.real_positives / settings.real_images
        weight = (share / (1 - share)) / (given / (1 - given)) if 0 < given < 1 and share < 1 else 1.0
        self.changes: dict[str, dict[str, object]] = {
            REWEIGHTED: {"positive_weight": weight},
            AUGMENTED: {"augment": settings.augment},
        }

    def films(self) -> dict[str, tuple[Examples, ...]]:
        """Films of the arms that have no synthetic image; raises TooFewImages where the store has too few."""
        s = self._settings
        local = self._real(LOCAL, s.real_positives, s.real_images - s.real_positives)
        repeated = (
            films.take(np.resize(np.arange(len(films)), count))
            for films, count in zip(local, (s.positives, s.total - s.positives), strict=True)
        )
        return {
            LOCAL: local,
            KEPT: self._real(KEPT, s.kept_positives, s.kept_images - s.kept_positives),
            OVERSAMPLED: tuple(repeated),
            REWEIGHTED: local,
            AUGMENTED: local,
            ORACLE: self._real(ORACLE, s.positives, s.total - s.positives),
        }

    def arms(self, drawn: "_Drawn") -> dict[str, tuple[Examples, ...]]:
        """Training images of every arm."""
        s, films = self._settings, self.films()
        extra = drawn.some(s.synthetic_positives, s.synthetic_images - s.synthetic_positives)
        return films | {
            ENRICHED: (*films[KEPT], *extra),
            ADDED: (*films[LOCAL], *extra),
            SYNTHETIC: drawn.some(s.positives, s.total - s.positives),
        }

    def _real(self, arm: str, positives: int, negatives: int) -> tuple[Examples, ...]:
        return (
            take(self._films, self._with, arm=arm, what="training films with the finding", count=positives),
            take(self._films, self._without, arm=arm, what="training films without the finding", count=negatives),
        )


class _Drawn:
    """Synthetic images of one repeat, of every generator; drawn once and kept on disk."""

    def __init__(
        self, settings: EnrichSettings, generators: Sequence[Generator], repeat: int, work: Work, track: Track
    ) -> None:
        positives, negatives = settings.positives, settings.total - settings.positives
        self._parts = [
            work.kept(
                f"synthetic-{repeat}-{number}",
                partial(
                    draw_with,
                    generator,
                    settings.finding,
                    positives=_share(positives, number, len(generators)),
                    negatives=_share(negatives, number, len(generators)),
                    name=settings.generators[number].name,
                    seed=draw_seed(settings, repeat, number),
                    track=track,
                ),
                generator_digest=generator.digest,
            )
            for number, generator in enumerate(generators)
        ]

    def some(self, positives: int, negatives: int) -> tuple[Examples, ...]:
        """Images with the finding and without, in equal shares of every generator."""
        found = []
        for number, part in enumerate(self._parts):
            present = part.labels[:, 0] >= 0.5
            for places, count in ((np.flatnonzero(present), positives), (np.flatnonzero(~present), negatives)):
                found.append(part.take(places[: _share(count, number, len(self._parts))]))
        return tuple(part for part in found if len(part))


def _share(count: int, number: int, of: int) -> int:
    """How many of `count` fall to one of several."""
    return count // of + (number < count % of)
