"""Do images show the finding of their label? A classifier trained on real films looks at images of each finding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radcommons.audit.inputs.material import BALANCED, Material
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Mixture, Split, chosen_findings, of_store
from radcommons.errors import ClassifierRefused, TooFewImages
from radcommons.metrics.bootstrap import FEW_PATIENTS, auc_interval
from radcommons.metrics.classification import area_under_roc
from radcommons.models.classifier import SMALLEST_SIDE
from radcommons.models.classifier_files import Classifier
from radcommons.records import Estimate, Fidelity
from radcommons.seeds import derive, numpy_stream
from radcommons.settings import preset_path

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # label values of the curve
IMAGES = 64  # drawn at each, from the same latents
PRESET = "small-64"  # of the classifier that the audit trains itself
VALIDATIONS = 16  # at most


@dataclass(frozen=True)
class LabelClassifier:
    """A classifier trained on real films, and what it is in words."""

    classifier: Classifier
    description: str


def given_classifier(run: Path) -> LabelClassifier:
    """The classifier of a run that the user names."""
    classifier = Classifier.load(run)
    network = classifier.network.config
    return LabelClassifier(
        classifier, f"{network.network} at {network.side} pixels, trained on {classifier.record.name}"
    )


def common_findings(label_classifier: LabelClassifier, findings: Sequence[str]) -> list[str]:
    """Those of some findings that the classifier knows; raises ClassifierRefused if it knows none."""
    known = [finding for finding in findings if finding in label_classifier.classifier.findings]
    if not known:
        raise ClassifierRefused(
            f"the classifier knows {', '.join(label_classifier.classifier.findings)} and the subject "
            f"{', '.join(findings) or 'no finding'}; name a classifier with a finding in common"
        )
    return known


def trained_classifier(material: Material, run: Path) -> LabelClassifier | None:
    """A small classifier trained here, on the store's training films; None if no finding has enough films.

    It sees `classifier_images` films at most, repeats included. If it is stopped, the same call goes on.
    """
    preset = ClassifierSettings.load(preset_path("classify", PRESET))
    sizes = {
        "side": max(SMALLEST_SIDE, min(preset.side, material.subject.resolution)),
        "seed": derive(material.settings.seed, "judge") % 2**31,
        "epochs": VALIDATIONS,
        "epoch_images": max(1, material.settings.classifier_images // VALIDATIONS),
    }
    settings = preset.model_copy(update=sizes)
    train, held_out = (of_store(material.store, part, side=settings.side) for part in ("train", "val"))
    if not material.subject.findings or not len(held_out):
        return None
    parts = [part.about(material.subject.findings) for part in (train, held_out)]
    try:
        findings = chosen_findings(parts[:1], parts[1:], None)
    except TooFewImages:
        return None
    learned, stopping = (Mixture([part], findings, side=settings.side) for part in parts)
    split = Split(learned, stopping)
    train_classifier(split, settings, run, track=material.track)
    words = (
        f"{settings.network} at {settings.side} pixels, trained here on {len(train):,} films for {', '.join(findings)}"
    )
    return LabelClassifier(Classifier.load(run), words)


def fidelities(material: Material, label_classifier: LabelClassifier) -> list[Fidelity]:
    """Each finding that the classifier knows, if there are enough films and images with and without it."""
    classifier, settings, generator = label_classifier.classifier, material.settings, material.subject.generator
    scores = {
        "test": classifier.scores(material.images, rows=material.rows["test"], track=material.track),
        BALANCED: classifier.scores(material.synthetic[BALANCED].images, track=material.track),
    }
    found = []
    for finding in common_findings(label_classifier, material.subject.findings):
        column, output = material.subject.findings.index(finding), classifier.findings.index(finding)
        labels = {name: material.films[name].labels[:, column] for name in ("train", "test", BALANCED)}
        counts = [count for known in labels.values() for count in ((known >= 0.5).sum(), (known < 0.5).sum())]
        if min(counts) < min(settings.fewest, FEW_PATIENTS):
            continue
        rng = numpy_stream(settings.seed, "fidelity", finding)
        real, synthetic = (
            _auc(scores[name][:, output], labels[name], material.films[name].patients, settings.bootstrap_samples, rng)
            for name in ("test", BALANCED)
        )
        means: list[float] = []
        if generator is not None:
            seed = derive(settings.seed, "audit", "strength")
            drawn = (generator.generate(IMAGES, findings={finding: s}, seed=seed).images for s in STRENGTHS)
            means = [float(classifier.scores(images)[:, output].mean()) for images in drawn]
        found.append(
            Fidelity(
                finding=finding,
                positives=int((labels["train"] >= 0.5).sum()),
                patients=len(np.unique(material.films["test"].patients[labels["test"] >= 0.5])),
                images=int((labels[BALANCED] >= 0.5).sum()),
                auc_real=real,
                auc_synthetic=synthetic,
                strengths=STRENGTHS if means else (),
                scores=tuple(means),
            )
        )
    return found


def _auc(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, bootstrap_samples: int, rng: np.random.Generator
) -> Estimate:
    """AUC of scores by label with its interval over patients."""
    present, absent = labels >= 0.5, labels < 0.5
    groups = scores[present], scores[absent], patients[present], patients[absent]
    low, high = auc_interval(*groups, bootstrap_samples=bootstrap_samples, rng=rng)
    return Estimate(value=area_under_roc(*groups[:2]), low=low, high=high)
