"""A run's classifier attacked on the films of a store: ``robustness.json``, ``table.md``, ``figure.svg``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from radcommons.classify.attacked import films_to_attack
from radcommons.classify.evaluation import films_of_part, require_common
from radcommons.classify.pgd import AttackSettings
from radcommons.classify.robustness import BOOTSTRAP_SAMPLES, compare
from radcommons.classify.robustness_report import robustness_figure, table
from radcommons.data.listing import Part
from radcommons.data.store import Store
from radcommons.errors import ClassifierRefused
from radcommons.files import write_whole
from radcommons.folders import alone_in, claim
from radcommons.models.classifier_files import Classifier
from radcommons.pages import svg
from radcommons.progress import Track, silent
from radcommons.records import AttackedClassifier, Robustness
from radcommons.seeds import numpy_stream
from radcommons.versions import versions

RECORD, TABLE, FIGURE = "robustness.json", "table.md", "figure.svg"
EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
CPU_BATCH, GPU_BATCH = 32, 64


class Outputs(nn.Module):
    """Some outputs of a network in a given order: an attack on them leaves the network's other outputs alone."""

    def __init__(self, network: nn.Module, columns: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.columns = list(columns)

    def forward(self, grey: Tensor) -> Tensor:
        """Logits, (n, columns)."""
        logits: Tensor = self.network(grey)
        return logits[:, self.columns]


def attack_run(
    run: Path,
    folder: Path,
    out: Path,
    settings: AttackSettings,
    *,
    other: Path | None = None,
    part: Part = "test",
    findings: Sequence[str] | None = None,
    epsilons: Sequence[float] = EPSILONS,
    films: int | None = None,
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
    track: Track = silent,
) -> Robustness:
    """Attack a run's classifier, and another beside it, on films of one part of a store.

    Args:
        run: of `train_classifier`.
        folder: the store.
        settings: the attack; the checks are made at its epsilon.
        other: a run of the same input side that knows the same findings, e.g. one with adversarial training.
        findings: which to attack; all that the classifier knows by default.
        epsilons: of the curve, grey levels; 0 and the epsilon of the settings are added.
        films: number of films to attack, sampled by the seed; by default, or where the part has fewer, all of it.
    Raises:
        FindingUnknown: the store or the other run does not know a finding.
        ClassifierRefused: the other run is the same, or has another input side.
        TooFewImages: no finding has both classes in the part, or among the films sampled. Findings of one class are
            named and left out where others have both.
        PathInUse: `out` holds something else, or an attack on another classifier, store or settings.
    """
    with alone_in(out, private=True):
        classifier, store = Classifier.load(run), Store.open(folder)
        examples = films_of_part(store, part, findings, classifier=classifier, run=run)
        chosen = examples.findings
        classifiers = {name_of(run, other): classifier}
        if other is not None:
            if other.resolve() == run.resolve():
                raise ClassifierRefused(f"{other} is the run itself; name another with --other")
            classifiers[name_of(other, run)] = beside = Classifier.load(other)
            require_common(chosen, beside.findings, other)
            if beside.side != classifier.side:
                raise ClassifierRefused(
                    f"{other} sees films of {beside.side} pixels and {run} of {classifier.side}, so that the same "
                    f"epsilon is not the same attack; train one with --set side={classifier.side}"
                )
        request = {
            "command": "classify attack",
            "classifiers": {name: c.digest for name, c in classifiers.items()},
            "store": store.record.manifest_sha256,
            "part": part,
            "findings": chosen,
            "epsilons": list(epsilons),
            "films": films,
            "bootstrap_samples": bootstrap_samples,
            "seed": seed,
            **settings.model_dump(mode="json"),
        }
        claim(out, request)
        attacked = examples
        if films is not None and films < len(examples):
            attacked = examples.take(
                np.sort(numpy_stream(seed, "films").choice(len(examples), size=films, replace=False))
            )
        result = compare(
            {name: Outputs(c.network, [c.findings.index(f) for f in chosen]) for name, c in classifiers.items()},
            films_to_attack(attacked, side=classifier.side),
            epsilons,
            settings,
            seed=seed,
            batch_size=GPU_BATCH if classifier.device.type == "cuda" else CPU_BATCH,
            bootstrap_samples=bootstrap_samples,
            track=track,
        )
        robustness = Robustness(
            classifiers={
                name: AttackedClassifier(trained_on=c.record.name, weights_sha256=c.digest)
                for name, c in classifiers.items()
            },
            store=store.name,
            part=part,
            films_in_part=len(examples),
            seed=seed,
            bootstrap_samples=bootstrap_samples,
            result=result,
            versions=versions("torch", "monai", "numpy"),
        )
        write_whole(out / FIGURE, svg(robustness_figure(result)))
        write_whole(out / TABLE, table(robustness))
        write_whole(out / RECORD, robustness.to_json())
        return robustness


def name_of(run: Path, other: Path | None) -> str:
    """The name of a run in the results: its folder's name, with the parent's where both runs have the same name."""
    name = run.resolve().name
    return name if other is None or other.resolve().name != name else f"{run.resolve().parent.name}/{name}"
