"""Train on synthetic images, test on real films: what a generator's images teach, finding by finding."""

from functools import partial
from pathlib import Path

import numpy as np

from radcommons.classify.trials import Trial, take
from radcommons.experiments.conclusions import transfer_sentence
from radcommons.experiments.folder import IMAGES, begun_precision, claim_experiment, kept_images
from radcommons.experiments.results import run_experiment
from radcommons.experiments.settings import TransferSettings
from radcommons.experiments.sources import (
    common_findings,
    generate_as_trained,
    generation_seed,
    open_generator,
    open_site,
)
from radcommons.folders import alone_in
from radcommons.progress import Track, silent
from radcommons.records import ExperimentResult
from radcommons.seeds import numpy_stream

REAL, SYNTHETIC = "real", "synthetic"


def transfer(settings: TransferSettings, out: Path, *, workers: int = 1, track: Track = silent) -> ExperimentResult:
    """Train on as many synthetic images as films, compare both on test films, and write table, figure and page.

    Raises:
        PatientsSeen: the generator has seen test or validation patients; status 3.
        TooFewImages: fewer films than asked for, or a part has one class only.
        FindingUnknown, PathInUse, and what opening a store or generator raises.
    """
    findings = settings.findings or common_findings(settings.store, [settings.generator])
    site = open_site(settings.store, findings, side=settings.classifier.side)
    generator, note = open_generator(settings.generator, site, findings, begun_precision(out, settings))
    settings = settings.model_copy(update={"precision": generator.precision})
    name, images = settings.generator.name, settings.images or len(site.train)
    take(site.train, np.arange(len(site.train)), arm=REAL, what="training films", count=images)
    with alone_in(out, private=True):
        claim_experiment(out, settings)
        trials = []
        for repeat in range(settings.repeats):
            seed = generation_seed(settings, repeat, 0)
            generate = partial(generate_as_trained, generator, images, findings, name=name, seed=seed, track=track)
            synthetic = kept_images(out / IMAGES / f"synthetic-{repeat}", generate, generator_digest=generator.digest)
            films = site.train.take(numpy_stream(settings.seed, "films", repeat).permutation(len(site.train))[:images])
            chosen = settings.training(repeat)
            trials += [
                Trial(arm, repeat, (part,), site.validation, site.test, chosen)
                for arm, part in ((REAL, films), (SYNTHETIC, synthetic))
            ]
        return run_experiment(
            "transfer",
            out,
            trials,
            settings,
            pairs=[(SYNTHETIC, REAL)],
            sentence=transfer_sentence,
            notes=[note],
            descriptions={REAL: "training films of the site", SYNTHETIC: "as many images with labels as in training"},
            simulated=site.store.simulated,
            workers=workers,
            track=track,
        )
