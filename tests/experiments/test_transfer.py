"""Train on synthetic images, test on real films: two arms of one size, every finding, and the share that is kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from radcommons.classify import trials
from radcommons.data.store import Store
from radcommons.errors import PathInUse, TooFewImages
from radcommons.experiments.report import as_text
from radcommons.experiments.settings import TransferSettings
from radcommons.experiments.transfer import transfer
from radcommons.records import ExperimentResult

Make = Callable[..., TransferSettings]
FINDINGS = ["Nodule", "Cardiomegaly"]


@pytest.fixture(scope="module")
def settings(hospital: Store, generator: Path, quick: dict[str, object]) -> Make:
    def make(**changes: object) -> TransferSettings:
        values = {"store": hospital.path, "generator": generator, "findings": FINDINGS, **quick, **changes}
        return TransferSettings.parse(values, source="test")

    return make


@pytest.fixture(scope="module")
def finished(settings: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[ExperimentResult, Path]:
    out = tmp_path_factory.mktemp("transfer") / "out"
    return transfer(settings(), out), out


def test_both_arms_have_as_many_images_as_the_store_has_training_films(
    finished: tuple[ExperimentResult, Path], hospital: Store
) -> None:
    films = len(hospital.rows("train"))
    images = {arm.name: arm.images for arm in finished[0].arms}
    assert images == {"real": {"real all": films}, "synthetic": {"synthetic all": films}}


def test_every_finding_is_compared_and_has_a_share_in_table_and_text(finished: tuple[ExperimentResult, Path]) -> None:
    result, out = finished
    compared = [(c.arm, c.against, c.finding) for c in result.comparisons]
    assert compared == [("synthetic", "real", finding) for finding in FINDINGS]
    assert result.sentence.startswith("Training on synthetic images instead of as many films ")
    assert all(finding in result.sentence for finding in FINDINGS)
    assert "| share of the AUC above 0.5 |" in (out / "table.md").read_text()
    assert "share of the AUC above 0.5 that synthetic images reach: Nodule " in as_text(result, out)
    assert ExperimentResult.model_validate(json.loads((out / "result.json").read_text())) == result


def test_called_again_it_trains_nothing_and_other_settings_are_refused(
    finished: tuple[ExperimentResult, Path], settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "train_one", None)
    assert transfer(settings(), finished[1]) == finished[0]
    with pytest.raises(PathInUse, match="was begun with images = null, not 20"):
        transfer(settings(images=20), finished[1])


def test_more_images_than_the_store_has_films_names_the_arm(settings: Make, tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match=r"arm 'real' asks for 900 training films and hospital \(train\) has 142"):
        transfer(settings(images=900), tmp_path / "out")
    assert not (tmp_path / "out").exists()
