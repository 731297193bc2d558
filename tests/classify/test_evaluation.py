"""An evaluation agrees with scikit-learn on its own predictions, and takes nothing from the films that it evaluates."""

import json
import math
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from markupsafe import escape
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from radcommons.classify.evaluation import evaluate, evaluate_scores, require_common
from radcommons.classify.evaluation_page import RULES, as_text, headline, render, table, written
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Examples, Mixture, open_split
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.errors import ClassifierRefused, FindingUnknown, PathInUse, PatientsSeen, TooFewImages
from radcommons.models.classifier_files import Classifier, save_classifier
from radcommons.records import Estimate, Evaluation

Films = Callable[..., Examples]
BOOTSTRAP_SAMPLES = 300
FINDINGS = ["Cardiomegaly", "Effusion"]


@pytest.fixture(scope="module")
def run(clinic: Store, quick: Callable[..., ClassifierSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of two findings that has learned a little."""
    run = tmp_path_factory.mktemp("judged") / "run"
    split = open_split([clinic.path], validation=None, findings=FINDINGS, side=32, seed=0)
    train_classifier(split, quick(epochs=2, log_every=1000), run)
    return run


@pytest.fixture(scope="module")
def found(run: Path, clinic: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    out = tmp_path_factory.mktemp("evaluations") / "e"
    return evaluate(run, clinic.path, out, bootstrap_samples=BOOTSTRAP_SAMPLES), out


def of_one(out: Path, finding: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores that the evaluation wrote, unknown labels left out."""
    frame = pl.read_parquet(out / "predictions.parquet").filter(pl.col(f"{finding} label").is_not_null())
    return frame[f"{finding} label"].to_numpy(), frame[f"{finding} score"].to_numpy()


def test_every_measure_equals_sklearns_on_the_predictions_it_wrote(found: tuple[Evaluation, Path]) -> None:
    evaluation, out = found
    assert [f.finding for f in evaluation.findings] == FINDINGS
    for f in evaluation.findings:
        labels, scores = of_one(out, f.finding)
        assert (f.positives, f.negatives) == (int(labels.sum()), int((1 - labels).sum()))
        assert f.auc.value == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
        assert f.average_precision.value == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
        assert f.calibration.brier == pytest.approx(metrics.brier_score_loss(labels, scores), abs=1e-7)
        for at in f.rules.values():
            alarms = scores >= at.threshold
            undefined: dict[str, Any] = {"zero_division": np.nan}
            expected = {
                "accuracy": metrics.accuracy_score(labels, alarms),
                "sensitivity": metrics.recall_score(labels, alarms),
                "specificity": metrics.recall_score(labels, alarms, pos_label=0),
                "ppv": metrics.precision_score(labels, alarms, **undefined),
                "npv": metrics.precision_score(labels, alarms, pos_label=0, **undefined),
                "f1": metrics.f1_score(labels, alarms, **undefined),
            }
            for name, value in expected.items():
                estimate = getattr(at, name)
                if math.isnan(value):
                    assert estimate is None
                else:
                    assert estimate.value == pytest.approx(value, abs=1e-12), name
                    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_means_are_over_the_findings_at_each_rules_own_thresholds(found: tuple[Evaluation, Path]) -> None:
    evaluation, _ = found
    assert evaluation.mean["auc"].value == pytest.approx(np.mean([f.auc.value for f in evaluation.findings]))
    assert set(evaluation.mean_at) == {"youden", "closest to corner"}
    for rule, means in evaluation.mean_at.items():
        values = [f.rules[rule].sensitivity for f in evaluation.findings]
        mean = means["sensitivity"]
        assert mean is not None
        assert mean.value == pytest.approx(np.mean([v.value for v in values if v is not None]))


def test_the_record_on_disk_is_the_one_returned_and_holds_no_nan(found: tuple[Evaluation, Path]) -> None:
    evaluation, out = found
    text = (out / "evaluation.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert Evaluation.model_validate_json(text) == evaluation
    assert sorted(p.name for p in out.iterdir()) == [
        "evaluation.html",
        "evaluation.json",
        "predictions.parquet",
        "request.json",
        "table.md",
    ]


def test_predictions_carry_rows_and_pseudonyms_only_and_stay_private(
    found: tuple[Evaluation, Path], clinic: Store
) -> None:
    _, out = found
    frame = pl.read_parquet(out / "predictions.parquet")
    assert frame.columns[:3] == ["row", "image_id", "patient"]
    assert set(frame.columns[3:]) == {f"{f} {kind}" for f in FINDINGS for kind in ("label", "score")}
    assert frame["row"].to_list() == clinic.rows("test").tolist()
    assert frame["patient"].to_list() == clinic.manifest["patient"].to_numpy()[clinic.rows("test")].tolist()
    assert out.stat().st_mode & 0o077 == 0, "nobody else reads them"
    for name in ("evaluation.json", "evaluation.html", "table.md"):
        text = (out / name).read_text()
        assert not any(patient in text for patient in frame["patient"].unique()), name
        assert not any(image in text for image in frame["image_id"]), name


def test_an_evaluation_is_the_same_each_time_and_takes_its_own_place(
    found: tuple[Evaluation, Path], run: Path, clinic: Store
) -> None:
    evaluation, out = found
    (out / "evaluation.json").write_text("{")  # of a killed call
    before = (out / "table.md").read_text()
    assert evaluate(run, clinic.path, out, bootstrap_samples=BOOTSTRAP_SAMPLES) == evaluation
    assert (out / "table.md").read_text() == before


def relabelled(store: Store, folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """A copy of the store with other labels."""
    shutil.copytree(store.path, folder)
    change(pl.read_parquet(folder / "manifest.parquet")).write_parquet(folder / "manifest.parquet")
    return folder


def test_thresholds_come_from_validation_whatever_the_test_labels_say(
    found: tuple[Evaluation, Path], run: Path, clinic: Store, tmp_path: Path
) -> None:
    turned = relabelled(
        clinic, tmp_path / "turned", lambda frame: frame.with_columns((1 - pl.col(f)).alias(f) for f in FINDINGS)
    )
    other = evaluate(run, turned, tmp_path / "e", bootstrap_samples=BOOTSTRAP_SAMPLES)
    chosen = Classifier.load(run).record.thresholds
    for column, (f, g) in enumerate(zip(found[0].findings, other.findings, strict=True)):
        assert g.auc.value == pytest.approx(1 - f.auc.value)
        for rule in ("youden", "closest to corner"):
            assert f.rules[rule].threshold == g.rules[rule].threshold == chosen[rule][column]


def test_on_validation_youdens_threshold_is_the_best_there_is(run: Path, clinic: Store, tmp_path: Path) -> None:
    evaluation = evaluate(run, clinic.path, tmp_path / "e", part="val", bootstrap_samples=BOOTSTRAP_SAMPLES)
    for text in (table(evaluation), as_text(evaluation, ""), render(evaluation)):
        assert "thresholds and the end of training were chosen on, and the numbers are too good." in text
    assert "never on these" not in render(evaluation)
    for f in evaluation.findings:
        false_alarms, hits, _ = metrics.roc_curve(*of_one(tmp_path / "e", f.finding))
        at = f.rules["youden"]
        assert at.sensitivity is not None and at.specificity is not None
        assert at.sensitivity.value + at.specificity.value - 1 == pytest.approx((hits - false_alarms).max())


def test_intervals_over_patients_are_wider_where_they_have_many_films(films: Films, trained: Path) -> None:
    classifier = Classifier.load(trained)
    many = films(40, seed=4).take(np.repeat(np.arange(40), 6))  # six films a patient, all alike
    scores = np.random.default_rng(0).random((40, 2)).repeat(6, axis=0)
    by_patient, by_image = (
        evaluate_scores(classifier, many, scores, by_image=by_image, bootstrap_samples=BOOTSTRAP_SAMPLES, seed=0)
        for by_image in (False, True)
    )
    assert (by_patient.images, by_patient.patients, by_patient.unit) == (240, 40, "patients")
    assert by_image.unit == "images"

    def width(estimate: Estimate) -> float:
        assert estimate.low is not None and estimate.high is not None
        return estimate.high - estimate.low

    for f, g in zip(by_patient.findings, by_image.findings, strict=True):
        assert f.auc.value == g.auc.value
        assert width(f.auc) > 1.8 * width(g.auc), "about the root of six"
    assert "films of one patient are treated as independent" in render(by_image)
    assert "films of one patient are treated as independent" not in render(by_patient)


def test_findings_that_only_one_side_knows_are_refused_with_those_of_both(
    run: Path, clinic: Store, tmp_path: Path
) -> None:
    path = Path("site-b")
    with pytest.raises(FindingUnknown, match="site-b does not know Mass; in both are Effusion: name them with --find"):
        require_common(["Effusion", "Mass"], ["Effusion", "Nodule"], path)
    with pytest.raises(FindingUnknown, match="site-b does not know Efusion; the nearest is 'Effusion'"):
        require_common(["Efusion"], ["Effusion", "Nodule"], path)
    missing = next(f for f in clinic.findings if f not in FINDINGS)
    with pytest.raises(FindingUnknown, match=f"run does not know {missing}; in both are Effusion"):
        evaluate(run, clinic.path, tmp_path / "e", findings=["Effusion", missing])
    assert not (tmp_path / "e").exists()


def test_some_of_the_findings_may_be_evaluated_alone(
    found: tuple[Evaluation, Path], run: Path, clinic: Store, tmp_path: Path
) -> None:
    alone = evaluate(run, clinic.path, tmp_path / "e", findings=["Effusion"], bootstrap_samples=BOOTSTRAP_SAMPLES)
    assert alone.findings == found[0].findings[1:]
    assert alone.mean["auc"] == alone.findings[0].auc
    assert "| mean |" not in table(alone)


def test_a_finding_that_no_film_has_is_named_everywhere_and_the_others_are_evaluated(
    found: tuple[Evaluation, Path], run: Path, clinic: Store, tmp_path: Path
) -> None:
    healthy = relabelled(clinic, tmp_path / "healthy", lambda frame: frame.with_columns(Effusion=pl.lit(0)))
    out, films = tmp_path / "e", len(clinic.rows("test"))
    evaluation = evaluate(run, healthy, out, bootstrap_samples=BOOTSTRAP_SAMPLES)
    assert evaluation.findings == found[0].findings[:1] and evaluation.mean["auc"] == evaluation.findings[0].auc
    assert evaluation.one_class == {"Effusion": (0, films)}
    sentence = f"Not evaluated, because all films are of one class: Effusion (0 films with, {films} without)."
    for text in (as_text(evaluation, "page"), (out / "table.md").read_text(), (out / "evaluation.html").read_text()):
        assert sentence in text
    assert Evaluation.model_validate_json((out / "evaluation.json").read_text()) == evaluation
    assert set(of_one(out, "Effusion")[0]) == {0}, "its scores are kept all the same"


def test_a_finding_with_one_class_alone_and_a_part_without_films_are_one_line(
    run: Path, clinic: Store, tmp_path: Path
) -> None:
    healthy = relabelled(clinic, tmp_path / "healthy", lambda frame: frame.with_columns(Effusion=pl.lit(0)))
    with pytest.raises(
        TooFewImages, match="'Effusion' has 0 positive and .* in the part 'test' of .*healthy; it needs"
    ):
        evaluate(run, healthy, tmp_path / "e", findings=["Effusion"])
    untested = relabelled(clinic, tmp_path / "u", lambda frame: frame.with_columns(split=pl.lit("train")))
    with pytest.raises(TooFewImages, match="has no film in its part 'test'; name another --part"):
        evaluate(run, untested, tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_folder_with_anything_else_is_left_alone(run: Path, clinic: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PathInUse, match="already holds something else; choose another --out"):
        evaluate(run, clinic.path, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_another_evaluation_leaves_the_results_that_are_there(
    found: tuple[Evaluation, Path], run: Path, clinic: Store, phantom_store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    shutil.copytree(found[1], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    other = tmp_path / "other"
    shutil.copytree(run, other)
    classifier = Classifier.load(other)
    save_classifier(
        other / "classifier",
        classifier.network.requires_grad_(True).apply(lambda m: m.weight.data.mul_(1.1) if hasattr(m, "weight") else 0),
        name="other",
        findings=FINDINGS,
        images_seen=1,
        validation_loss=None,
        thresholds=classifier.record.thresholds,
    )
    for changes, differs in (
        ({"folder": phantom_store.path, "part": "train"}, "store = [0-9a-f]{8}..., not [0-9a-f]{8}...; part"),
        ({"run": other}, "classifier = "),
        ({"part": "val"}, "part = test, not val"),
        ({"findings": ["Effusion"]}, "findings = "),
        ({"by_image": True}, "by_image = false, not true"),
        ({"bootstrap_samples": 301}, "bootstrap_samples = 300, not 301"),
        ({"seed": 1}, "seed = 0, not 1"),
    ):
        asked: dict[str, Any] = {"run": run, "folder": clinic.path, "bootstrap_samples": BOOTSTRAP_SAMPLES, **changes}
        with pytest.raises(PathInUse, match=rf"^{out} was begun with {differs}.*; use those, or choose another --out$"):
            evaluate(asked.pop("run"), asked.pop("folder"), out, **asked)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert evaluate(run, clinic.path, out, bootstrap_samples=BOOTSTRAP_SAMPLES) == found[0], (
        "the same again is no other"
    )


def test_the_table_and_the_page_name_what_was_evaluated_and_how(found: tuple[Evaluation, Path]) -> None:
    evaluation, out = found
    text = (out / "table.md").read_text()
    assert text.startswith(
        f"clinic (train), evaluated on the part 'test' of {evaluation.store}: {evaluation.images} films"
    )
    assert "95% intervals from 300 bootstrap samples of patients; thresholds by Youden's rule on validation." in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| finding", *(f"| {f}" for f in FINDINGS), "| mean"]
    f = evaluation.findings[0]
    assert f"| Cardiomegaly | {f.positives} / {f.negatives} | {written(f.auc)} |" in text
    assert len({line.count("|") for line in text.splitlines()[2:]}) == 1, "as many cells in every line"
    page = (out / "evaluation.html").read_text()
    assert "Thresholds were chosen on validation films, never on these." in page
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", ""), "nothing is fetched"
    assert as_text(evaluation, "p.html").endswith("Page: p.html") and "flatter" not in text + page


def test_the_page_gives_each_rule_its_own_mean(found: tuple[Evaluation, Path]) -> None:
    evaluation, _ = found
    page = render(evaluation)
    for rule, means in evaluation.mean_at.items():
        sensitivity = means["sensitivity"]
        assert sensitivity is not None
        assert written(sensitivity) in re.sub("<[^>]*>", "", page), rule
        assert f"At the threshold {escape(RULES[rule])}</" in page


def test_the_page_begins_with_the_mean_auc_and_both_ends(found: tuple[Evaluation, Path]) -> None:
    evaluation, _ = found
    many = tuple(f.model_copy(update={"patients_of_rarer": 10}) for f in evaluation.findings)
    evaluation = evaluation.model_copy(update={"findings": many})
    high, low = sorted(many, key=lambda f: -f.auc.value)
    assert headline(evaluation) == (
        f"Mean AUC {evaluation.mean['auc'].text()} over 2 findings; highest for {high.finding}, {high.auc.text()}, "
        f"lowest for {low.finding}, {low.auc.text()}."
    )
    one = evaluation.model_copy(update={"findings": (high,)})
    assert headline(one) == f"AUC for {high.finding} {high.auc.text()}."
    few = high.model_copy(update={"patients_of_rarer": 9})
    assert "highest" not in headline(evaluation.model_copy(update={"findings": (few, low)}))
    text = render(evaluation)
    assert text.index(headline(evaluation)) < text.index("<table") < text.index("<img")
    assert "No patient is involved" in text and evaluation.simulated, "phantoms"
    assert "No patient is involved" not in render(evaluation.model_copy(update={"simulated": False}))


def test_a_measure_that_is_not_defined_is_said_to_be(films: Films, trained: Path, tmp_path: Path) -> None:
    record = Classifier.load(trained).record
    save_classifier(
        tmp_path / "c",
        Classifier.load(trained).network,
        name=record.name,
        findings=record.findings,
        images_seen=1,
        validation_loss=None,
        thresholds=dict.fromkeys(record.thresholds, (1.0, 0.5)),  # never an alarm for the first
    )
    part = films(60, seed=7)
    scores = np.random.default_rng(1).random((60, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = evaluate_scores(
            Classifier.load(tmp_path / "c"), part, scores, by_image=False, bootstrap_samples=100, seed=0
        )
    at = evaluation.findings[0].rules["youden"]
    assert at.ppv is None and at.sensitivity is not None and at.sensitivity.value == 0
    few = len(np.unique(part.patients[part.labels[:, 0] == 1]))
    expected = proportion_confint(0, few, method="wilson")
    assert (at.sensitivity.low, at.sensitivity.high) == pytest.approx(expected, abs=1e-9)
    assert evaluation.findings[0].patients_of_rarer == min(few, len(np.unique(part.patients[part.labels[:, 0] == 0])))
    mean = evaluation.mean_at["youden"]["sensitivity"]
    assert mean is not None and (mean.low, mean.high) == (None, None), (
        "one of its parts is the same in every bootstrap sample"
    )
    by_image = evaluate_scores(
        Classifier.load(tmp_path / "c"), part, scores, by_image=True, bootstrap_samples=100, seed=0
    )
    assert by_image.findings[0].patients_of_rarer == evaluation.findings[0].patients_of_rarer
    assert at.f1 is not None and (at.f1.value, at.f1.low, at.f1.high) == (0, None, None), "no interval known"
    assert evaluation.mean_at["youden"]["ppv"] is None, "a mean with a part that is not defined is not defined"
    assert "not defined" in table(evaluation) and "not defined" in render(evaluation)
    assert "NaN" not in evaluation.to_json()


def test_findings_of_few_patients_are_named_before_their_numbers(found: tuple[Evaluation, Path]) -> None:
    evaluation, _ = found
    one = evaluation.findings[0]
    few = evaluation.model_copy(update={"findings": (one.model_copy(update={"patients_of_rarer": 9}),)})
    enough = evaluation.model_copy(update={"findings": (one.model_copy(update={"patients_of_rarer": 10}),)})
    said = "Fewer than 10 patients of the rarer class: Cardiomegaly (9). Do not rely on these numbers."
    assert said in table(few) and said in render(few) and said in as_text(few, "p.html")
    assert "Fewer" not in table(enough) + render(enough) + as_text(enough, "p.html")
    assert "never on these" in render(few), "the part is still the test part"


def test_scores_of_a_split_of_two_sources_are_those_of_the_films(films: Films, trained: Path) -> None:
    """What training reads through a mixture and what an evaluation reads from the array is the same film."""
    part = films(12, seed=8, side=64)
    classifier = Classifier.load(trained, device="cpu")
    mixture = Mixture([part], part.findings, side=32)
    logits = classifier.network(mixture.read(np.arange(12))).numpy()
    np.testing.assert_allclose(classifier.logits(part.images), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_test_patients_that_the_classifier_has_seen_are_refused(
    run: Path, clinic: Store, found: tuple[Evaluation, Path], tmp_path: Path
) -> None:
    evaluation, _ = found
    assert evaluation.overlap == (
        f"none of {evaluation.patients} test patients was in this classifier's training or validation"
    )
    ingest_phantoms(tmp_path / "again", patients=120, site="A", resolution=32, seed=11, split_salt="another way")
    with pytest.raises(PatientsSeen, match=r"\d+ of \d+ test patients were in this classifier's training") as refusal:
        evaluate(run, tmp_path / "again", tmp_path / "e", bootstrap_samples=100)
    assert refusal.value.exit_code == 3 and not (tmp_path / "e").exists()
    silent_run = shutil.copytree(run, tmp_path / "silent")
    (silent_run / "classifier" / "patients.json").unlink()
    untold = evaluate(silent_run, clinic.path, tmp_path / "f", bootstrap_samples=100)
    assert untold.overlap.endswith("training or validation: it comes without patients.json")
    assert "it comes without patients.json" in (tmp_path / "f" / "evaluation.html").read_text()
    (silent_run / "classifier" / "patients.json").write_text("{ half")
    with pytest.raises(ClassifierRefused, match=r"patients\.json is damaged; train the classifier again"):
        evaluate(silent_run, clinic.path, tmp_path / "g", bootstrap_samples=100)


def test_an_evaluation_with_the_older_name_of_its_bootstrap_samples_is_read(found: tuple[Evaluation, Path]) -> None:
    text = found[0].to_json().replace('"bootstrap_samples"', '"redraws"')
    assert Evaluation.model_validate_json(text) == found[0]
