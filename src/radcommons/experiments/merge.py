"""Fig. 3: are two sites' synthetic images better to learn from than one's?"""

from functools import partial
from pathlib import Path

import numpy as np

from radcommons.classify.material import Examples
from radcommons.classify.trials import Trial, run_trials, take
from radcommons.data.listing import PARTS
from radcommons.data.store import Store
from radcommons.errors import FindingUnknown, TooFewImages
from radcommons.experiments import finish, report
from radcommons.experiments.compare import RELEVANT
from radcommons.experiments.settings import MergeSettings
from radcommons.experiments.sources import draw_as_trained, draw_seed, open_generators, open_site
from radcommons.experiments.words import merge_sentence
from radcommons.experiments.work import Work
from radcommons.folders import alone_in
from radcommons.models.generator import Generator
from radcommons.progress import Track, silent
from radcommons.records import ExperimentResult
from radcommons.seeds import numpy_stream
from radcommons.versions import versions

A, MERGED, MERGED_FULL, REAL, REAL_B = "A", "A + B", "A + B full", "real A", "real A + B"
PAIRS = ((MERGED, A), (MERGED_FULL, A), (REAL_B, REAL), (REAL, A))


def merge(settings: MergeSettings, out: Path, *, workers: int = 1, track: Track = silent) -> ExperimentResult:
    """Train every arm as often as asked, judge all on site A's test films, and write table and figure.

    Raises:
        PatientsSeen: a generator has seen test or validation patients; status 3.
        TooFewImages: an arm asks for more than there is, or a part has one class only.
        FindingUnknown, PathInUse, and what opening a store or generator raises.
    """
    findings = settings.findings or _common(settings)
    site = open_site(settings.store, findings, side=settings.classifier.side)
    references = (settings.generator_a, settings.generator_b)
    opened = open_generators(references, site, findings)
    n = settings.images
    take(site.train, np.arange(len(site.train)), arm=REAL, what="training films", count=n)
    with alone_in(out, private=True):
        work = Work.claim(out, settings)
        trials = []
        for repeat in range(settings.repeats):
            drawn: list[Examples] = []
            for (generator, _), path in zip(opened, references, strict=True):
                seed = draw_seed(settings, repeat, len(drawn))
                draw = partial(draw_as_trained, generator, n, findings, name=path.name, seed=seed, track=track)
                name = f"{'ab'[len(drawn)]}-{repeat}"
                drawn.append(work.kept(name, draw, generator_digest=generator.digest))
            a, b = drawn
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
        trained = run_trials(trials, work.trials, workers=workers, track=track)
        judged = finish.judge(trials, trained, settings)
        comparisons = judged.comparisons(PAIRS)
        result = ExperimentResult(
            experiment="merge",
            sentence=merge_sentence([c for c in comparisons if (c.arm, c.against) == (MERGED, A)]),
            notes=work.notes([*judged.notes(), *(note for _, note in opened)], settings),
            test_images=len(site.test),
            test_patients=len(np.unique(site.test.patients)),
            test_positives={f: int((site.test.labels[:, i] >= 0.5).sum()) for i, f in enumerate(findings)},
            arms=finish.arms(descriptions(n), trials, trained, judged, settings),
            comparisons=comparisons,
            relevant=RELEVANT,
            settings=settings.model_dump(mode="json"),
            versions=versions("torch", "monai", "numpy", "scipy"),
        )
        report.write(result, out)
        return result


def descriptions(images: int) -> dict[str, str]:
    """The arms in the order of the table, in words."""
    return {
        A: "synthetic images of A's generator",
        MERGED: "half of A's, half of B's: as many in all",
        MERGED_FULL: "all of A's and all of B's: twice as many",
        REAL: f"{images:,} films of A",
        REAL_B: "the films of A and all of B's synthetic images",
    }


def _common(settings: MergeSettings) -> tuple[str, ...]:
    """The findings that A's store and both generators know, and that A's films of each part have and have not."""
    store = Store.open(settings.store)
    known = [Generator.load(path).findings for path in (settings.generator_a, settings.generator_b)]
    common = tuple(f for f in store.findings if all(f in names for names in known))
    if not common:
        raise FindingUnknown(
            f"{settings.store}, {settings.generator_a} and {settings.generator_b} have no finding in common "
            f"({', '.join(store.findings)}; {', '.join(known[0])}; {', '.join(known[1])})"
        )
    parts = [store.labels(store.rows(part))[:, [store.findings.index(f) for f in common]] for part in PARTS]
    both = np.all([(labels >= 0.5).any(axis=0) & (labels < 0.5).any(axis=0) for labels in parts], axis=0)
    if not both.any():
        raise TooFewImages(
            f"none of {', '.join(common)} has both positive and negative films in training, validation and test of "
            f"{settings.store}; take a larger store"
        )
    return tuple(f for f, usable in zip(common, both, strict=True) if usable)
