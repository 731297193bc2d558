"""Fig. 3: does a classifier learn more from two sites' synthetic images than from one site's?"""

from functools import partial
from pathlib import Path

import numpy as np

from radcommons.classify.training_data import Examples
from radcommons.classify.trials import Trial, take
from radcommons.experiments.conclusions import merge_sentence
from radcommons.experiments.folder import IMAGES, begun_precision, claim_experiment, kept_images
from radcommons.experiments.results import run_experiment
from radcommons.experiments.settings import MergeSettings
from radcommons.experiments.sources import (
    common_findings,
    generate_as_trained,
    generation_seed,
    open_generators,
    open_site,
)
from radcommons.folders import alone_in
from radcommons.progress import Track, silent
from radcommons.records import ExperimentResult
from radcommons.seeds import numpy_stream

A, MERGED, MERGED_FULL, REAL, REAL_B = "A", "A + B", "A + B full", "real A", "real A + B"
PAIRS = ((MERGED, A), (MERGED_FULL, A), (REAL_B, REAL), (REAL, A))


def merge(settings: MergeSettings, out: Path, *, workers: int = 1, track: Track = silent) -> ExperimentResult:
    """Train every arm as often as asked, compare all on site A's test films, and write table, figure and page.

    Raises:
        PatientsSeen: a generator has seen test or validation patients; status 3.
        TooFewImages: an arm asks for more than there is, or a part has one class only.
        FindingUnknown, PathInUse, and what opening a store or generator raises.
    """
    references = (settings.generator_a, settings.generator_b)
    findings = settings.findings or common_findings(settings.store, references)
    site = open_site(settings.store, findings, side=settings.classifier.side)
    opened = open_generators(references, site, findings, begun_precision(out, settings))
    settings = settings.model_copy(update={"precision": opened[0][0].precision})
    n = settings.images
    take(site.train, np.arange(len(site.train)), arm=REAL, what="training films", count=n)
    with alone_in(out, private=True):
        claim_experiment(out, settings)
        trials = []
        for repeat in range(settings.repeats):
            synthetic: list[Examples] = []
            for (generator, _), path in zip(opened, references, strict=True):
                seed = generation_seed(settings, repeat, len(synthetic))
                generate = partial(generate_as_trained, generator, n, findings, name=path.name, seed=seed, track=track)
                folder = out / IMAGES / f"{'ab'[len(synthetic)]}-{repeat}"
                synthetic.append(kept_images(folder, generate, generator_digest=generator.digest))
            a, b = synthetic
            films = site.train.take(numpy_stream(settings.seed, "films", repeat).permutation(len(site.train))[:n])
            half = np.arange(n // 2)
            parts: dict[str, tuple[Examples, ...]] = {
                A: (a,),
                MERGED: (a.take(half), b.take(np.arange(n - n // 2))),
                MERGED_FULL: (a, b),
                REAL: (films,),
                REAL_B: (films, b),
            }
            chosen = settings.training(repeat)
            trials += [Trial(arm, repeat, p, site.validation, site.test, chosen) for arm, p in parts.items()]
        return run_experiment(
            "merge",
            out,
            trials,
            settings,
            pairs=PAIRS,
            sentence=lambda found: merge_sentence([c for c in found if (c.arm, c.against) == (MERGED, A)]),
            notes=[note for _, note in opened],
            descriptions=descriptions(n),
            simulated=site.store.simulated,
            workers=workers,
            track=track,
        )


def descriptions(images: int) -> dict[str, str]:
    """The arms in the order of the table, in words."""
    return {
        A: "synthetic images of A's generator",
        MERGED: "half of A's, half of B's: the same number",
        MERGED_FULL: "all of A's and all of B's: twice the number",
        REAL: f"{images:,} films of A",
        REAL_B: "the films of A and all of B's synthetic images",
    }
