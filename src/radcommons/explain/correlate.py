"""Correlate every label of a generator with every output of a classifier of films (paper section 5, Fig. 5)."""

import csv
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from radcommons.errors import ClassifierRefused, FindingUnknown, SettingRefused, nearest_hint
from radcommons.explain.drawing import as_picture
from radcommons.explain.finding_sets import title
from radcommons.explain.folder import CORRELATION, ExplainFolder
from radcommons.explain.matrix_drawing import matrix_figure, scatter_figure
from radcommons.explain.scores import Scores, score_labels
from radcommons.files import put_whole, write_arrays
from radcommons.metrics.bootstrap import auc_interval
from radcommons.metrics.classification import area_under_roc
from radcommons.metrics.correlation import clusters, fisher_interval, pearson, spearman, weighted_pearson
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.progress import Track
from radcommons.records import Correlation, Estimate, Evaluation
from radcommons.records.explain import JudgeOnFilms, Matrix
from radcommons.seeds import numpy_stream
from radcommons.settings import require_once

FEWEST_IMAGES = 10  # images per label
JOINED_AT = 0.3  # mean correlation at which findings form a block
FOLLOWS, LITTLE = 0.5, 0.2  # rank correlation with training
EDGE = 0.25  # labels this near to 0 and to 1 count as without and with the finding
BOOTSTRAP_SAMPLES = 1000
FEWEST_TO_FOLLOW = 4  # findings, and entries
TABLE, SCORES = f"{CORRELATION}/matrix.csv", f"{CORRELATION}/scores.npz"


def common_findings(generator: Generator, classifier: Classifier) -> tuple[str, ...]:
    """Findings that both know, in label order; raises ClassifierRefused if there are none."""
    common = tuple(finding for finding in generator.findings if finding in classifier.findings)
    if not common:
        raise ClassifierRefused(
            f"the classifier knows {', '.join(classifier.findings)}, the generator {', '.join(generator.findings)}: "
            "they have no finding in common; train one on films with the same labels"
        )
    return common


def parse_pairs(texts: Sequence[str], findings: tuple[str, ...]) -> list[tuple[str, str]]:
    """Read "LABEL:OUTPUT", one per scatter plot; raises SettingRefused or FindingUnknown with the nearest name."""
    require_once("--pair", texts)
    pairs = []
    for text in texts:
        label, colon, output = text.partition(":")
        if not colon:
            raise SettingRefused(f"--pair {text}: write it as LABEL:OUTPUT, e.g. {findings[0]}:{findings[-1]}")
        for finding in (label, output):
            if finding not in findings:
                raise FindingUnknown(
                    f"--pair {text}: '{finding}' is not known to both; {nearest_hint(finding, findings)}"
                )
        pairs.append((label, output))
    return pairs


def correlate(
    generator: Generator,
    classifier: Classifier,
    folder: ExplainFolder,
    *,
    n: int,
    seed: int,
    pairs: Sequence[tuple[str, str]],
    evaluation: Evaluation | None,
    track: Track,
) -> None:
    """Draw, score, correlate, and write the matrix, the scatter plots and the table into the folder.

    Args:
        pairs: label and output of each scatter plot; if empty, the diagonal and the strongest other pairs.
        evaluation: of the classifier, on real films; None if there is none.
    """
    findings = common_findings(generator, classifier)
    kept = folder.path / CORRELATION / ".scores"
    found = score_labels(generator, classifier, findings, n=n, seed=seed, kept=kept, track=track)
    result = summarise(generator, classifier, findings, found, seed, evaluation)
    result = result.model_copy(update={"pairs": tuple(pairs or strongest_pairs(result))})
    put_whole(folder.path / result.picture, partial(as_picture(matrix_figure(result)).save, optimize=True))
    scatter = scatter_figure(result, findings, found)
    put_whole(folder.path / result.scatter, partial(as_picture(scatter).save, optimize=True))
    put_whole(folder.path / TABLE, lambda path: _write_table(path, result))
    write_arrays(
        folder.path / SCORES,
        findings=np.array(findings),
        strengths=found.strengths,
        probabilities=found.probabilities,
    )
    folder.put(correlation=result)
    shutil.rmtree(kept)


def summarise(
    generator: Generator,
    classifier: Classifier,
    findings: tuple[str, ...],
    found: Scores,
    seed: int,
    evaluation: Evaluation | None,
) -> Correlation:
    """The record; `found` is in the order of `findings`, the record in the order of the clusters."""
    n = found.strengths.shape[1]
    linear, ranked = (
        np.stack([kind(x, y) for x, y in zip(found.strengths, found.probabilities, strict=True)])
        for kind in (pearson, spearman)
    )
    training, withheld = in_training(generator, findings)
    order, blocks = clusters(linear, joined_at=JOINED_AT)
    names = tuple(findings[i] for i in order)

    def rows(matrix: np.ndarray) -> Matrix:
        ordered = matrix[np.ix_(order, order)]
        return tuple(tuple(float(v) if np.isfinite(v) else None for v in row) for row in ordered)

    together = [tuple(findings[i] for i in order if blocks[i] == b) for b in dict.fromkeys(blocks[order])]
    follows = follows_training(linear, training)
    areas = [
        own_auc(found.strengths[i], found.probabilities[i, :, i], rng=numpy_stream(seed, "own AUC", finding))
        for i, finding in enumerate(findings)
    ]
    result = Correlation(
        findings=names,
        only_generator=tuple(f for f in generator.findings if f not in findings),
        only_classifier=tuple(f for f in classifier.findings if f not in findings),
        images=n,
        seed=seed,
        classifier=classifier.record.name,
        classifier_sha256=classifier.digest,
        pearson=rows(linear),
        pearson_low=rows(fisher_interval(linear, n)[0]),
        pearson_high=rows(fisher_interval(linear, n)[1]),
        spearman=rows(ranked),
        spearman_low=rows(fisher_interval(ranked, n, ranks=True)[0]),
        spearman_high=rows(fisher_interval(ranked, n, ranks=True)[1]),
        training=rows(training),
        withheld=withheld,
        blocks=tuple(block for block in together if len(block) > 1),
        own_auc={finding: area for finding, area in zip(findings, areas, strict=True) if area is not None},
        on_films={
            one.finding: JudgeOnFilms(auc=one.auc, patients=one.patients_of_rarer)
            for one in (evaluation.findings if evaluation else ())
            if one.finding in findings
        },
        films=films_in_words(evaluation) if evaluation else "",
        follows_training=follows,
        statement="",
        picture=f"{CORRELATION}/matrix.png",
        scatter=f"{CORRELATION}/scatter.png",
        table=TABLE,
        scores=SCORES,
    )
    return result.model_copy(update={"statement": statement(result)})


def own_auc(strengths: np.ndarray, probabilities: np.ndarray, *, rng: np.random.Generator) -> Estimate | None:
    """AUC of a finding's output, (n,), between images with its label near 1 and near 0; None if one kind is missing."""
    present, absent = probabilities[strengths >= 1 - EDGE], probabilities[strengths <= EDGE]
    if not len(present) or not len(absent):
        return None
    persons = np.arange(len(present)), np.arange(len(present), len(present) + len(absent))
    low, high = auc_interval(present, absent, *persons, bootstrap_samples=BOOTSTRAP_SAMPLES, rng=rng)
    return Estimate(value=area_under_roc(present, absent), low=low, high=high)


def films_in_words(evaluation: Evaluation) -> str:
    """The films of an evaluation."""
    count = f"{evaluation.images:,} films of {evaluation.patients:,} patients"
    return f"{count}, part '{evaluation.part}' of {evaluation.store}"


def in_training(generator: Generator, findings: tuple[str, ...]) -> tuple[np.ndarray, float]:
    """Correlation of the labels in training, (k, k), from the published combinations, and the share withheld.

    NaN for a label that is constant in them; all NaN if no combination is published.
    """
    record = generator.findings_record
    places = [generator.findings.index(finding) for finding in findings]
    if not record.combinations:
        return np.full((len(findings), len(findings)), np.nan), 1.0
    vectors = np.array([labels for labels, _ in record.combinations], np.float64)[:, places]
    counts = np.array([count for _, count in record.combinations], np.float64)
    return weighted_pearson(vectors, counts), record.withheld_images / (record.withheld_images + counts.sum())


def follows_training(linear: np.ndarray, training: np.ndarray) -> float | None:
    """Rank correlation of the off-diagonal entries of both matrices, directions averaged; None if too few."""
    above = np.triu_indices(len(linear), 1)
    mine, theirs = ((linear + linear.T) / 2)[above], training[above]
    known = np.isfinite(mine) & np.isfinite(theirs)
    if len(linear) < FEWEST_TO_FOLLOW or known.sum() < FEWEST_TO_FOLLOW:
        return None
    value = float(spearman(mine[known], theirs[known, None])[0])
    return value if np.isfinite(value) else None


def strongest_pairs(result: Correlation) -> list[tuple[str, str]]:
    """At most eight entries of the diagonal, then as many of the strongest other entries."""
    names = result.findings
    entries = [
        (abs(value), label, output)
        for label, row in zip(names, result.pearson, strict=True)
        for output, value in zip(names, row, strict=True)
        if label != output and value is not None
    ]
    strongest = [(label, output) for _, label, output in sorted(entries, reverse=True)]
    count = min(8, len(names))
    return [(name, name) for name in names[:count]] + strongest[:count]


def statement(result: Correlation) -> str:
    """What the matrix says, in words."""
    diagonal = {name: result.pearson[i][i] for i, name in enumerate(result.findings)}
    known = {name: value for name, value in diagonal.items() if value is not None}
    if not known:
        return "No label changes the classifier's output."
    if len(diagonal) == 1:
        ((name, value),) = known.items()
        return f"The label of {title((name,))} has a correlation of {value:.2f} with the classifier's own output."
    best, worst = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    own = sum(
        value is not None and value == max(v for v in column if v is not None)
        for value, column in zip(diagonal.values(), zip(*result.pearson, strict=True), strict=True)
    )
    text = [
        f"A label's own correlation with the classifier is from {known[worst]:.2f} ({title((worst,))}) to "
        f"{known[best]:.2f} ({title((best,))}), {np.mean(list(known.values())):.2f} on average; "
        f"{own} of {len(diagonal)} outputs follow their own label most."
    ]
    lows = [result.pearson_low[i][i] for i in range(len(result.findings))]
    unseen = [name for name, low in zip(result.findings, lows, strict=True) if low is None or low <= 0]
    if unseen:
        names = ", ".join(title((name,)) for name in unseen)
        text.append(f"It is not certain that the classifier sees the label of {names}.")
    if blind := [title((name,)) for name in unseen if _blind_to(name, result)]:
        text.append(f"On films, too, it may not recognise {', '.join(blind)}: that says nothing against the generator.")
    if result.follows_training is not None:
        told = f"(rank correlation of the other entries {result.follows_training:.2f})"
        if result.follows_training >= FOLLOWS:
            text.append(
                f"Findings that correlate here also occurred together in training {told}: "
                "a label may bring other findings with it."
            )
        elif result.follows_training > LITTLE:
            text.append(f"Findings that correlate here in part also occurred together in training {told}.")
        else:
            text.append(f"The correlations here have little to do with which findings occurred together {told}.")
    return " ".join(text)


def _blind_to(finding: str, result: Correlation) -> bool:
    """Whether the classifier's own AUC on films is known and not clearly above 0.5."""
    found = result.on_films.get(finding)
    return found is not None and (found.auc.low is None or found.auc.low <= 0.5)


def _write_table(path: Path, result: Correlation) -> None:
    kinds = ("pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "training")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "output", *kinds])
        for i, label in enumerate(result.findings):
            for j, output in enumerate(result.findings):
                values = [getattr(result, kind)[i][j] for kind in kinds]
                writer.writerow([label, output, *("" if v is None else f"{v:.6f}" for v in values)])
