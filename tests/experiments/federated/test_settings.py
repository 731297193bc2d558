from collections.abc import Callable

import pytest

from radcommons.data.store import Store
from radcommons.errors import SettingRefused
from radcommons.experiments.federated.settings import ARMS, FederatedExperimentSettings

Make = Callable[..., FederatedExperimentSettings]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"share": "generator"}, "'share' is decided by the arm"),
        ({"train": {"seed": 3}}, "'train.seed' follows from 'seed' and the repeat"),
        ({"arms": ["pool", "pool"]}, "'arms' names 'pool' twice"),
        ({"arms": ["everything"]}, "'arms"),
        ({"clients_are": "stores"}, "'stores' names 1 stores and 'clients' is 3"),
        ({"points": 100}, "less than one image for each of 100 points and 3 clients"),
        ({"pionts": 3}, "the nearest is 'points'"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(
    federated_settings: Make, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingRefused, match=said):
        federated_settings(**changes)


def test_every_repeat_has_its_seed_and_every_arm_of_a_repeat_the_same(
    federated_settings: Make, hospital: Store
) -> None:
    settings = federated_settings()
    seeds = {settings.simulation(arm, 0, hospital.path).train.seed for arm in ARMS}
    assert seeds == {settings.training(0).seed} and settings.training(1).seed not in seeds


def test_only_the_arm_whose_critics_stay_shares_the_generator_alone(federated_settings: Make, hospital: Store) -> None:
    settings = federated_settings(local_iterations=7)
    shares = {arm: settings.simulation(arm, 0, hospital.path).share for arm in ("federated", "generator shared")}
    assert shares == {"federated": "both", "generator shared": "generator"}
    assert settings.simulation("federated", 0, hospital.path).local_iterations == 7


def test_the_last_point_is_the_end(federated_settings: Make) -> None:
    assert federated_settings(points=3).points_of(100) == [33, 66, 100]
