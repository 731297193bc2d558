import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.errors import PathInUse, SettingRefused, TooFewImages
from radcommons.experiments.federated.flow import compare_federated
from radcommons.experiments.federated.report import as_text, figure
from radcommons.experiments.federated.settings import FederatedExperimentSettings
from radcommons.records import FederatedExperimentResult

Make = Callable[..., FederatedExperimentSettings]
TWO = {"arms": ["centralised", "federated"], "repeats": 1}


@pytest.fixture(scope="module")
def finished(
    federated_settings: Make, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FederatedExperimentResult, Path]:
    out = tmp_path_factory.mktemp("federated") / "all"
    result = compare_federated(federated_settings(repeats=2), out)
    assert result is not None
    return result, out


@pytest.mark.slow
def test_every_arm_is_measured_at_every_point_of_every_repeat(
    finished: tuple[FederatedExperimentResult, Path], hospital: Store
) -> None:
    result, _ = finished
    assert [arm.name for arm in result.arms] == [
        "centralised", "one client", "federated", "skewed", "generator shared", "pool"
    ]  # fmt: skip
    for arm in result.arms:
        assert [point.images_seen for point in arm.points] == [48, 96] and len(arm.repeats) == 2
        assert arm.points[-1].fid.low is not None and arm.points[-1].fid.value > result.real.fid > 0
    assert result.arms[0].films == (len(hospital.rows("train")),) and len(result.arms[-1].films) == 3
    assert result.held_out_films == len(hospital.rows("val")) + len(hospital.rows("test"))
    assert len(result.comparisons) == 6 and all(c.p_corrected >= c.p_value for c in result.comparisons)


@pytest.mark.slow
def test_the_files_say_what_the_record_says(finished: tuple[FederatedExperimentResult, Path]) -> None:
    result, out = finished
    assert FederatedExperimentResult.model_validate_json((out / "result.json").read_bytes()) == result
    rows = list(csv.DictReader((out / "points.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 6 * 2 * 2
    assert float(rows[-1]["fid"]) == result.arms[-1].repeats[-1][-1].fid and rows[-1]["own_critic"] == ""
    page, table = ((out / name).read_text(encoding="utf-8") for name in ("report.html", "table.md"))
    for text in (page, table, as_text(result, out)):
        assert result.sentence in text.replace("&#39;", "'")
        assert result.arms[0].points[-1].fid.text(".1f").split(" ")[0] in text
    assert page.count("<img") == 2 and "http" not in page.replace("http://www.w3.org", "")
    assert (out / "figure.svg").stat().st_size > 10_000
    assert result.simulated and "No patient is involved" in page
    assert page.count('scope="row"') == 7 + 6, "arms and films, comparisons"


@pytest.mark.slow
def test_the_page_is_accessible_and_fits_every_screen(
    finished: tuple[FederatedExperimentResult, Path], faults_of_file: Callable[[Path], list[str]]
) -> None:
    assert faults_of_file(finished[1] / "report.html") == []


@pytest.mark.slow
def test_the_arms_of_the_figure_differ_in_colour_line_and_marker(
    finished: tuple[FederatedExperimentResult, Path],
) -> None:
    for panel in figure(finished[0]).axes:
        lines = [line for line in panel.lines if line.get_label() != "training films"]
        for property in ("color", "marker"):
            assert len({str(getattr(line, f"get_{property}")()) for line in lines}) == len(lines)
        assert panel.get_xlabel() and "lower is better" in panel.get_ylabel()


@pytest.mark.slow
def test_another_repeat_or_fewer_arms_use_what_is_there(
    finished: tuple[FederatedExperimentResult, Path], federated_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, out = finished
    monkeypatch.setattr("radcommons.experiments.federated.measures.negative_critic_loss", _not_again)
    fewer = compare_federated(federated_settings(**TWO), out)
    assert fewer is not None and fewer.arms[1].repeats == result.arms[2].repeats[:1]
    assert fewer.comparisons == () and "one repeat" in (out / "table.md").read_text()


def _not_again(*_: object, **__: object) -> float:
    pytest.fail("it was measured again")


@pytest.mark.slow
def test_stopped_at_any_moment_and_continued_gives_the_same_numbers(federated_settings: Make, tmp_path: Path) -> None:
    settings = federated_settings(**TWO)
    whole = compare_federated(settings, tmp_path / "whole")
    again, calls = None, 0
    while again is None:
        again = compare_federated(settings, tmp_path / "parts", should_stop=partial(next, iter([False] * 3), True))
        calls += 1
    assert calls > 3 and whole is not None
    assert again.arms == whole.arms and again.real == whole.real


@pytest.mark.slow
def test_two_hospitals_are_two_clients(federated_settings: Make, hospital: Store, tmp_path: Path) -> None:
    ingest_phantoms(tmp_path / "b", patients=40, site="B", resolution=16, seed=8)
    stores = [hospital.path, tmp_path / "b"]
    settings = federated_settings(clients=2, clients_are="stores", stores=stores, arms=["federated"], repeats=1)
    result = compare_federated(settings, tmp_path / "out")
    films = tuple(len(store.rows("train")) for store in (hospital, Store.open(tmp_path / "b")))
    assert result is not None and result.arms[0].films == films and result.training_films == sum(films)
    assert "worst" in result.sentence or "With one repeat" in result.sentence


def test_auto_is_decided_once_for_all_trainings(
    federated_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = federated_settings(arms=["centralised", "federated"], repeats=1, train={"precision": "auto"})
    fast = iter([True])
    monkeypatch.setattr("radcommons.precision.bf16_is_fast", lambda device: next(fast))  # asked a second time, it fails
    result = compare_federated(settings, tmp_path / "out")
    assert result is not None and result.settings["train"]["precision"] == "bf16"
    assert compare_federated(settings, tmp_path / "out") == result


def test_bad_input_is_refused_before_anything_is_written(
    federated_settings: Make, hospital: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for changes, error, said in (
        ({"clients": 40, "train": {"total_images": 960}}, TooFewImages, "a client would have"),
        ({"train": {"resolution": 64, "channels": dict.fromkeys((4, 8, 16, 32, 64), 4)}}, SettingRefused, "up to 32"),
        ({"train": {"findings": ["Fracture"]}}, SettingRefused, "'Fracture' is not labelled everywhere"),
        ({"extractor": "inception"}, SettingRefused, "the nearest is 'inception-2015'"),
    ):
        with pytest.raises(error, match=said):
            compare_federated(federated_settings(**changes), out)
    assert not out.exists()


@pytest.mark.slow
def test_a_folder_begun_with_other_settings_is_refused(
    finished: tuple[FederatedExperimentResult, Path], federated_settings: Make
) -> None:
    before = json.loads((finished[1] / "result.json").read_text())
    with pytest.raises(PathInUse, match="seed = 0, not 1"):
        compare_federated(federated_settings(seed=1), finished[1])
    assert json.loads((finished[1] / "result.json").read_text()) == before
    assert np.isfinite(before["real"]["fid"])
