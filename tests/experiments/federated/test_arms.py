from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radcommons.data.store import Store
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.experiments.federated.arms import Clients, clients_of, runs_of
from radcommons.experiments.federated.settings import Arm, FederatedExperimentSettings
from radcommons.models.generator import Generator

Make = Callable[..., FederatedExperimentSettings]


def clients(settings: FederatedExperimentSettings, store: Store) -> list[Clients]:
    return clients_of(settings, store.manifest, [store.record.images], store.findings)


def test_no_patient_is_at_two_clients_and_no_film_is_left_out(federated_settings: Make, hospital: Store) -> None:
    for found in clients(federated_settings(repeats=2), hospital):
        for parts in (found.equal, found.skewed):
            assert sorted(np.concatenate(parts)) == hospital.rows("train").tolist()
            patients = [set(hospital.manifest["patient"][part]) for part in parts]
            assert len(set.union(*patients)) == sum(map(len, patients))


def test_another_repeat_divides_the_patients_otherwise(federated_settings: Make, hospital: Store) -> None:
    first, second = clients(federated_settings(repeats=2), hospital)
    assert first.equal[0].tolist() != second.equal[0].tolist()


def test_stores_that_are_clients_keep_their_films(federated_settings: Make, hospital: Store) -> None:
    settings = federated_settings(clients=2, clients_are="stores", stores=[hospital.path] * 2)
    twice = hospital.manifest.vstack(hospital.manifest)
    count = hospital.record.images
    (found, *_) = clients_of(settings, twice, [count, count], hospital.findings)
    rows = hospital.rows("train")
    assert [part.tolist() for part in found.equal] == [rows.tolist(), (rows + count).tolist()]


def test_too_many_clients_are_refused_with_what_to_do(federated_settings: Make, hospital: Store) -> None:
    with pytest.raises(SettingRefused, match="lower 'clients'"):
        clients(federated_settings(clients=500, train={"total_images": 9_600}), hospital)
    with pytest.raises(TooFewImages, match="fewer than the batch of 8; lower 'clients'"):
        clients(federated_settings(clients=30), hospital)


def of(arm: Arm, settings: FederatedExperimentSettings, store: Store, out: Path, repeat: int = 0) -> list:
    return runs_of(arm, settings, store, clients(settings, store)[repeat], repeat, out)


@pytest.mark.parametrize("arm", ["centralised", "federated"])
def test_a_generator_is_kept_at_each_point_and_a_stop_between_changes_none(
    arm: Arm, federated_settings: Make, hospital: Store, tmp_path: Path
) -> None:
    settings = federated_settings(repeats=1)
    shown: list[int] = []
    (whole,) = of(arm, settings, hospital, tmp_path / "whole")
    assert whole.go_on(shown.append, lambda: False) and sum(shown) == 96
    (parts,) = of(arm, settings, hospital, tmp_path / "parts")
    assert not parts.go_on(lambda count: None, lambda: True)
    (again,) = of(arm, settings, hospital, tmp_path / "parts")
    counted: list[int] = []
    assert again.go_on(counted.append, lambda: False) and sum(counted) == 96
    for one, other in zip(whole.generators(), again.generators(), strict=True):
        first, second = Generator.load(one), Generator.load(other)
        assert first.digest == second.digest and first.record.images_seen == second.record.images_seen
    assert len({Generator.load(folder).digest for folder in whole.generators()}) == 2


def test_a_finished_training_is_not_begun_again(federated_settings: Make, hospital: Store, tmp_path: Path) -> None:
    settings = federated_settings(repeats=1)
    (run,) = of("one client", settings, hospital, tmp_path)
    assert run.go_on(lambda count: None, lambda: False)
    (again,) = of("one client", settings, hospital, tmp_path)
    again.begin = lambda *_, **__: pytest.fail("it was begun again")
    assert again.go_on(lambda count: None, lambda: True)


def test_the_generators_of_a_pool_share_the_images_and_are_not_alike(
    federated_settings: Make, hospital: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = of("pool", federated_settings(repeats=1), hospital, tmp_path)
    assert [run.points for run in runs] == [[16, 32]] * 3
    assert all(run.go_on(lambda count: None, lambda: False) for run in runs)
    generators = [Generator.load(run.generators()[-1]) for run in runs]
    assert [g.record.images_seen for g in generators] == [32, 32, 32] and len({g.digest for g in generators}) == 3
    assert caplog.text == "", "a client's rare labels are no matter here"


def test_one_client_has_its_own_films_and_each_repeat_another(
    federated_settings: Make, hospital: Store, tmp_path: Path
) -> None:
    settings = federated_settings(repeats=2)
    for repeat in (0, 1):
        (run,) = of("one client", settings, hospital, tmp_path, repeat)
        rows = clients(settings, hospital)[repeat].equal[repeat]
        assert run.begin.keywords["rows"].tolist() == rows.tolist()


def test_only_a_family_with_wasserstein_loss_has_a_critic_of_its_own_to_show(
    federated_settings: Make, hospital: Store, tmp_path: Path
) -> None:
    progan = {
        "family": "progan", "noise": None, "images_per_phase": 16, "batch_size": {4: 8, 8: 8, 16: 8},
        "learning_rate": {4: 0.003}, "log_every": 8,
    }  # fmt: skip
    settings = federated_settings(repeats=1)
    values = settings.model_dump(mode="json") | {
        "train": {k: v for k, v in {**_tiny(settings), **progan}.items() if v is not None}
    }
    with_own = FederatedExperimentSettings.parse(values, source="test")
    for chosen, known in ((settings, False), (with_own, True)):
        (run,) = of("centralised", chosen, hospital, tmp_path / str(known))
        run.go_on(lambda count: None, lambda: False)
        assert [value is not None for value in run.own_critic()] == [known, known]


def _tiny(settings: FederatedExperimentSettings) -> dict[str, object]:
    names = ("total_images", "resolution", "latent_size", "channels", "checkpoint_every", "samples_every")
    return {name: getattr(settings.train, name) for name in names}
