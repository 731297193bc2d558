import csv
import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radcommons.errors import ClassifierRefused, FindingUnknown, PathInUse, PathMissing, SettingRefused
from radcommons.explain import flow, scores
from radcommons.explain.correlate import follows_training, in_training, own_auc
from radcommons.explain.flow import correlate
from radcommons.explain.scores import score_labels
from radcommons.explain.summary import correlation_text
from radcommons.progress import silent
from radcommons.records import Calibration, Estimate, Evaluation, FindingEvaluation, FindingsRecord

FINDINGS = ("Cardiomegaly", "Effusion", "Nodule", "Edema")


@pytest.fixture
def works(painter, heats, loads):
    """Effusion and Cardiomegaly do what they say; Effusion brings Edema; Nodule does nothing."""
    generator = painter(
        {"Effusion": 120 * heats["Effusion"] + 60 * heats["Edema"], "Cardiomegaly": 120 * heats["Cardiomegaly"]}
    )
    loads(generator)
    return generator


def entry(result, label: str, output: str) -> float | None:
    return result.pearson[result.findings.index(label)][result.findings.index(output)]


def test_a_label_that_works_moves_its_output_and_one_that_does_not_moves_none(
    works, classifier, tmp_path: Path
) -> None:
    result = correlate(Path("run"), Path("eye"), tmp_path / "e", n=300).correlation
    assert sorted(result.findings) == sorted(FINDINGS) and set(result.only_generator) == set(works.findings) - set(
        FINDINGS
    )
    assert entry(result, "Cardiomegaly", "Cardiomegaly") > 0.8 and entry(result, "Effusion", "Effusion") > 0.5
    assert abs(entry(result, "Nodule", "Nodule")) < 0.2
    told = "It is not certain that the classifier sees the label of "
    assert told in result.statement and "Nodule" in result.statement.split(told)[1]
    assert entry(result, "Effusion", "Edema") > 0.5 > 0.2 > abs(entry(result, "Edema", "Effusion"))


def test_the_matrix_is_that_of_the_scores_beside_it(works, classifier, tmp_path: Path) -> None:
    result = correlate(Path("run"), Path("eye"), tmp_path / "e", n=120, seed=3).correlation
    with np.load(tmp_path / "e" / result.scores) as file:
        names, x, y = file["findings"].tolist(), file["strengths"], file["probabilities"]
    assert x.shape == (4, 120) and y.shape == (4, 120, 4)
    i, j = names.index("Effusion"), names.index("Edema")
    assert entry(result, "Effusion", "Edema") == pytest.approx(np.corrcoef(x[i], y[i, :, j])[0, 1], abs=1e-6)
    assert 0 <= x.min() < 0.1 and 0.9 < x.max() <= 1
    with (tmp_path / "e" / result.table).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    row = next(r for r in rows if (r["label"], r["output"]) == ("Effusion", "Edema"))
    assert float(row["pearson"]) == pytest.approx(entry(result, "Effusion", "Edema"), abs=1e-5)
    assert float(row["pearson_low"]) < float(row["pearson"]) < float(row["pearson_high"])


def test_the_first_images_of_a_larger_run_are_those_of_a_smaller(works, classifier, tmp_path: Path) -> None:
    def run(n: int) -> scores.Scores:
        return score_labels(works, classifier, FINDINGS, n=n, seed=0, kept=tmp_path / f"{n}.npy", track=silent)

    small, large = run(30), run(90)
    assert np.array_equal(small.strengths, large.strengths[:, :30])
    assert np.array_equal(small.probabilities, large.probabilities[:, :30])


def test_a_killed_run_continues_and_draws_nothing_twice(works, classifier, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scores, "BLOCK", 64)
    whole = correlate(Path("run"), Path("eye"), tmp_path / "whole", n=150).correlation
    classifier.images = 0
    see = type(classifier).scores

    def see_and_die(self, images: np.ndarray) -> np.ndarray:
        if self.images >= 256:
            raise KeyboardInterrupt
        return see(self, images)

    with monkeypatch.context() as patched:
        patched.setattr(type(classifier), "scores", see_and_die)
        with pytest.raises(KeyboardInterrupt):
            correlate(Path("run"), Path("eye"), tmp_path / "e", n=150)
    done = classifier.images
    again = correlate(Path("run"), Path("eye"), tmp_path / "e", n=150).correlation
    assert classifier.images == 4 * 150 and done >= 256
    assert again == whole
    assert sorted(p.name for p in (tmp_path / "e" / "correlation").iterdir()) == [
        "matrix.csv", "matrix.png", "scatter.png", "scores.npz"
    ]  # fmt: skip


def test_the_page_shows_the_matrix_beside_the_interpolations(works, classifier, tmp_path: Path) -> None:
    flow.explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=flow.InterpolationRequest(2, 1))
    correlate(Path("run"), Path("eye"), tmp_path / "e", n=60, pairs=["Effusion:Edema"])
    page = (tmp_path / "e" / "explain.html").read_text()
    assert "Does a classifier of films recognise the labels?" in page and 'id="Effusion"' in page
    assert "Only the generator knows" in page and "Edema +" in page
    assert page.count("data:image/webp") == page.count("data:image/jpeg") == 1 and page.count("data:image/svg+xml") == 3
    assert "label value and classifier&#39;s probability: Effusion and Edema" in page
    with Image.open(tmp_path / "e" / "correlation" / "scatter.png") as one:
        assert one.width < 300  # a single panel


def evaluated(folder: Path, digest: str = "e" * 64, **changes: object) -> Path:
    """The folder of an evaluation of a classifier that sees Effusion and not Nodule."""
    folder.mkdir()
    empty = Calibration(predicted=(), observed=(), counts=(), expected_error=0, brier=0)
    aucs = {"Effusion": (0.91, 0.85, 0.95, 40), "Nodule": (0.47, 0.36, 0.58, 30), "Hernia": (0.8, 0.7, 0.9, 30)}
    found = Evaluation(
        classifier="the eye", classifier_sha256=digest, store="site-c", images=1200, patients=300, seed=0,
        unit="patients", bootstrap_samples=9, mean={}, mean_at={}, versions={}, **({"part": "test"} | changes),
        findings=tuple(
            FindingEvaluation(
                finding=name, positives=50, negatives=900, patients_of_rarer=patients, roc=(), precision_recall=(),
                auc=Estimate(value=value, low=low, high=high), average_precision=Estimate(value=0.5), rules={},
                calibration=empty,
            )
            for name, (value, low, high, patients) in aucs.items()
        ),
    )  # fmt: skip
    (folder / "evaluation.json").write_text(found.to_json())
    return folder


def test_an_evaluation_of_the_classifier_says_of_which_findings_it_can_judge(works, classifier, tmp_path: Path) -> None:
    flow.explain(Path("run"), tmp_path / "e", every=True, interpolation=flow.InterpolationRequest(2, 1))
    evaluation = evaluated(tmp_path / "evaluation")
    result = correlate(Path("run"), Path("eye"), tmp_path / "e", n=300, evaluation=evaluation).correlation
    assert set(result.on_films) == {"Effusion", "Nodule"}, "those that all three know"
    assert result.on_films["Nodule"].auc.value == 0.47 and result.on_films["Nodule"].patients == 30
    assert result.films == "1,200 films of 300 patients, part 'test' of site-c"
    assert "On films, too, it may not recognise Nodule: that says nothing against" in result.statement
    explanation = flow.explain(Path("run"), tmp_path / "e", ["Effusion"], interpolation=flow.InterpolationRequest(2, 1))
    assert "; the classifier's own AUC on films: 0.47 (0.36 to 0.58)" in correlation_text(explanation, tmp_path)
    page = html.unescape((tmp_path / "e" / "explain.html").read_text())
    assert result.films in page
    assert "its AUC on films is 0.47 (0.36 to 0.58), so it cannot tell what the generator learned" in page
    first = page.partition("<table")[2].partition("</table>")[0]
    effusion = next(row for row in first.split("<tr>") if "#Effusion" in row)
    assert "</span> learned</span>" in effusion and "0.91 (0.85 to 0.95)" in re.sub("<[^>]*>", "", effusion)


def test_a_labels_own_auc_is_between_images_with_it_near_1_and_near_0(works, classifier, tmp_path: Path) -> None:
    result = correlate(Path("run"), Path("eye"), tmp_path / "e", n=300).correlation
    with np.load(tmp_path / "e" / result.scores) as file:
        names, strengths, probabilities = file["findings"].tolist(), file["strengths"], file["probabilities"]
    i = names.index("Edema")
    high, low = (probabilities[i, chosen, i] for chosen in (strengths[i] >= 0.75, strengths[i] <= 0.25))
    by_hand = np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low))
    assert result.own_auc["Edema"].value == pytest.approx(by_hand)
    assert result.own_auc["Cardiomegaly"].low > 0.9
    assert result.own_auc["Nodule"].low < 0.5 < result.own_auc["Nodule"].high
    assert own_auc(np.full(9, 0.9), np.ones(9), rng=np.random.default_rng(0)) is None


def test_an_evaluation_of_another_classifier_or_of_films_it_has_learned_is_refused(
    works, classifier, tmp_path: Path
) -> None:
    other, own = evaluated(tmp_path / "other", digest="f" * 64), evaluated(tmp_path / "own", part="train")
    for folder, error, said in (
        (other, SettingRefused, r"evaluates another classifier \(the eye\), not that of --classifier"),
        (own, SettingRefused, "is of films that the classifier has learned from; evaluate it on its test part"),
        (tmp_path, PathMissing, "name the folder of a finished 'radcommons classify eval'"),
    ):
        with pytest.raises(error, match=said):
            correlate(Path("run"), Path("eye"), tmp_path / "e", n=20, evaluation=folder)
    assert not (tmp_path / "e").exists()


def test_training_is_read_from_the_published_combinations(works) -> None:
    def combination(*present: str) -> tuple[int, ...]:
        return tuple(int(finding in present) for finding in works.findings)

    counts = {combination(): 40, combination("Effusion"): 10, combination("Effusion", "Edema"): 30}
    record = FindingsRecord(
        findings=works.findings, combinations=tuple(counts.items()), smallest_cell=5, withheld_images=20
    )
    matrix, withheld = in_training(replace(works, findings_record=record), ("Edema", "Effusion", "Nodule"))
    edema, effusion = np.repeat([0, 0, 1], [40, 10, 30]), np.repeat([0, 1, 1], [40, 10, 30])
    assert matrix[0, 1] == pytest.approx(np.corrcoef(edema, effusion)[0, 1])
    assert np.isnan(matrix[2]).all() and withheld == 0.2


def test_without_published_combinations_nothing_is_known_of_training(works) -> None:
    record = FindingsRecord(findings=works.findings, combinations=(), smallest_cell=5, withheld_images=20)
    matrix, withheld = in_training(replace(works, findings_record=record), ("Edema", "Effusion"))
    assert np.isnan(matrix).all() and withheld == 1.0


def test_a_matrix_like_training_follows_it_and_a_shuffled_one_does_not() -> None:
    rng = np.random.default_rng(0)
    training = rng.normal(size=(8, 8))
    training += training.T
    assert follows_training(training + 0.1 * rng.normal(size=(8, 8)), training) > 0.8
    shuffled = rng.permutation(8)
    assert follows_training(training[np.ix_(shuffled, shuffled)], training) < 0.5
    assert follows_training(training[:3, :3], training[:3, :3]) is None


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"n": 5}, SettingRefused, "n is 5; a correlation needs 10 or more images per label"),
        ({"pairs": ["Effusion"]}, SettingRefused, "write it as LABEL:OUTPUT, e.g. Cardiomegaly:"),
        ({"pairs": ["Efusion:Edema"]}, FindingUnknown, "the nearest is 'Effusion'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(works, classifier, tmp_path, asked, error, said) -> None:
    with pytest.raises(error) as raised:
        correlate(Path("run"), Path("eye"), tmp_path / "e", **asked)
    assert said in str(raised.value) and not (tmp_path / "e").exists()


def test_a_classifier_of_other_findings_is_refused_with_both_lists(works, classifier, tmp_path: Path) -> None:
    classifier.findings = ("Hernia", "Fibrosis")
    with pytest.raises(
        ClassifierRefused, match="knows Hernia, Fibrosis, the generator .*Effusion.* no finding in common"
    ):
        correlate(Path("run"), Path("eye"), tmp_path / "e", n=20)


def test_a_single_common_finding_makes_a_matrix_of_one_and_a_sentence(works, classifier, tmp_path: Path) -> None:
    classifier.findings, classifier.heats = (
        ("Effusion", "Hernia"),
        classifier.heats | {"Hernia": classifier.heats["Nodule"]},
    )
    result = correlate(Path("run"), Path("eye"), tmp_path / "e", n=50).correlation
    assert result.findings == ("Effusion",) and result.only_classifier == ("Hernia",)
    assert result.statement.startswith("The label of Effusion has a correlation of ")
    assert "Only the classifier knows Hernia; left out." in (tmp_path / "e" / "explain.html").read_text()


def test_the_correlation_with_another_classifier_is_left_alone(works, classifier, tmp_path: Path) -> None:
    correlate(Path("run"), Path("eye"), tmp_path / "e", n=20)
    before = (tmp_path / "e" / "explain.json").read_bytes()
    classifier.digest = "another"
    with pytest.raises(PathInUse, match="was begun with classifier = .*, not another; use those, or choose another --"):
        correlate(Path("run"), Path("eye"), tmp_path / "e", n=20)
    assert (tmp_path / "e" / "explain.json").read_bytes() == before


def test_a_folder_of_another_generator_is_left_alone(works, classifier, painter, loads, tmp_path: Path) -> None:
    correlate(Path("run"), Path("eye"), tmp_path / "e", n=20)
    loads(painter({}))
    with pytest.raises(PathInUse):
        correlate(Path("run"), Path("eye"), tmp_path / "e", n=20)
