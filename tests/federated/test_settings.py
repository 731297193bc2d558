from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import SettingRefused
from radcommons.federated.settings import ClientLimits, FederatedSettings, SimulationSettings
from radcommons.settings import preset_folder

PRIVACY = {"noise_multiplier": 1.0, "clipping_norm": 2.0, "delta": 1e-3, "largest_epsilon": 50.0}
Make = Callable[..., SimulationSettings]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minimum_clients": 4}, "'minimum_clients' is 4, and 3 clients take part in a round"),
        ({"clients_share": 0.4, "minimum_clients": 2}, "'minimum_clients' is 2, and 1 clients take part"),
        ({"aggregation": "krum"}, 'aggregation = "krum" needs 5 or more clients in a round, and there are 3'),
        ({"clients": 8, "aggregation": "krum", "malicious_clients": 3}, 'aggregation = "krum" needs 9 or more'),
        ({"clients": 2, "aggregation": "median"}, 'aggregation = "median" needs 3 or more clients'),
        ({"aggregation": "trimmed mean"}, "'trimmed_share' 0.2 of 3 clients in a round is none"),
        ({"aggregation": "median", "privacy": PRIVACY}, "'privacy' needs aggregation = \"mean\""),
        ({"privacy": PRIVACY | {"noise_multiplier": 0}}, "noise_multiplier"),
        ({"stores": ["a", "b"]}, "'stores' names 2 stores and 'clients' is 3; name one for each"),
        ({"largest_update": 1.0}, "largest_update"),
        ({"local_iteration": 3}, "local_iteration"),
        ({"train": {"total_image": 5}}, "total_image"),
        ({"train": {"family": "other"}}, "family"),
    ],
)
def test_what_does_not_fit_together_is_refused(federation: Make, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingRefused, match=said):
        federation(**changes)


@pytest.mark.parametrize(
    ("changes", "fewest"),
    [
        ({"clients": 10}, 1),
        ({"clients": 10, "minimum_clients": 4}, 4),
        ({"clients": 10, "aggregation": "median"}, 3),
        ({"clients": 10, "aggregation": "trimmed mean", "trimmed_share": 0.2}, 5),
        ({"clients": 10, "aggregation": "trimmed mean", "trimmed_share": 0.3}, 4),
        ({"clients": 10, "aggregation": "krum", "malicious_clients": 2}, 7),
        ({"clients": 10, "aggregation": "krum", "malicious_clients": 2, "minimum_clients": 8}, 8),
        ({"clients": 10, "clients_share": 0.5, "privacy": PRIVACY}, 5),
    ],
)
def test_a_round_needs_as_many_clients_as_its_promise(federation: Make, changes: dict[str, Any], fewest: int) -> None:
    assert federation(**changes).fewest_clients == fewest


def test_settings_come_back_from_their_file(federation: Make, family: str, tmp_path: Path) -> None:
    settings = federation(family, privacy=PRIVACY, clients_share=0.67)
    settings.save(tmp_path / "settings.toml")
    assert SimulationSettings.load(tmp_path / "settings.toml") == settings and settings.clients_a_round == 2


def test_a_preset_of_a_training_can_be_begun_from() -> None:
    settings = FederatedSettings.parse({"train": {"preset": "small-64", "seed": 5}}, source="test")
    assert settings.train.resolution == 64 and settings.train.seed == 5


def test_settings_that_travel_name_no_store(federation: Make) -> None:
    from radcommons.federated.task import Asked

    assert "site-a" in federation().model_dump_json() and "site-a" not in Asked(settings=federation()).model_dump_json()


@pytest.mark.parametrize("path", sorted((preset_folder() / "federate").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_presets_can_be_read(path: Path) -> None:
    from radcommons.settings import read_toml

    assert SimulationSettings.parse({"stores": ["s"], **read_toml(path)}, source=path.name).clients >= 2


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"largest_iterations": 1}, "this client does not allow local_iterations 2, at most 1"),
        ({"largest_resolution": 8}, "this client does not allow resolution 16, at most 8"),
        ({"largest_images": 15}, "this client does not allow 16 films in a round, at most 15"),
        ({"most_rounds": 4}, "this client does not allow 5 rounds, at most 4"),
        ({"findings": ["Nodule"]}, "this client does not allow findings Effusion, only Nodule"),
        ({"share": "generator"}, "this client does not allow share both, only generator"),
        ({"largest_iterations": 1, "largest_resolution": 8},
         "this client does not allow local_iterations 2, at most 1; resolution 16, at most 8"),
    ],
)  # fmt: skip
def test_more_than_a_hospital_allows_is_refused_in_one_line(
    federation: Make, limits: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingRefused) as refused:
        ClientLimits.parse(limits, source="client.toml").refuse(federation(), ("Effusion",), rounds=5, images=16)
    assert str(refused.value) == said


def test_what_is_just_allowed_is_done(federation: Make) -> None:
    limits = {
        "largest_iterations": 2, "largest_resolution": 16, "largest_images": 16, "most_rounds": 5,
        "findings": ["Effusion", "Nodule"],
    }  # fmt: skip
    ClientLimits.parse(limits, source="client.toml").refuse(federation(), ("Effusion",), rounds=5, images=16)
    ClientLimits().refuse(federation(), ("Effusion",), rounds=10**6, images=10**9)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 61, "<b>", "a/b"])
def test_a_name_is_one_short_line(name: str) -> None:
    with pytest.raises(SettingRefused, match="name"):
        ClientLimits.parse({"name": name}, source="client.toml")


def test_a_name_may_be_that_of_a_hospital() -> None:
    assert ClientLimits.parse({"name": "Klinik Köln-Süd 2"}, source="client.toml").name == "Klinik Köln-Süd 2"
