import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from radcommons.cli import run
from radcommons.data.store import Store
from radcommons.federated import client, messages

TRAIN = """
family = "rgan"
total_images = 96
resolution = 16
latent_size = 5
channels = {4 = 6, 8 = 5, 16 = 4}
batch_size = 8
"""


@pytest.fixture
def config(phantom_store: Store, tmp_path: Path) -> Callable[..., list[str]]:
    def make(settings: str = "") -> list[str]:
        path = tmp_path / "federation.toml"
        path.write_text(
            f'stores = ["{phantom_store.path}"]\nclients = 3\nlocal_iterations = 2\n{settings}\n[train]{TRAIN}'
        )
        return ["federate", "simulate", str(path), "--out", str(tmp_path / "out")]

    return make


@pytest.fixture(autouse=True)
def training(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Clients that do not train: they move each weight a little, or fail."""
    asked: dict[str, Any] = {"fails": False}

    def train(self: client.Site, message: Message) -> Any:
        if asked["fails"]:
            raise OSError("/data/films")
        arrays = messages.to_numpy(message.content.array_records[messages.ARRAYS])
        moved = messages.record_of({name: array + array.dtype.type(0.01) for name, array in arrays.items()})
        return messages.with_text(messages.Trained(images=16, numbers={}, seconds=0.1), moved)

    monkeypatch.setitem(client.Site._answers, messages.TRAIN, train)
    return asked


def test_a_simulation_says_what_was_done_and_repeats_as_a_no_op(
    config: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config()) == 0
    said = capsys.readouterr().out
    assert "finished after 2 rounds of 3 clients with 52 films (96 images shown; no differential privacy)" in said
    assert run([*config(), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["finished"] and shown["rounds"] == 2 and shown["images_seen"] == 96
    assert shown["federation"]["clients"] == 3 and shown["federation"]["privacy"] is None


def test_a_budget_that_is_spent_is_no_failure_and_is_said_with_epsilon_and_delta(
    config: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    privacy = "privacy = {noise_multiplier = 5.0, clipping_norm = 1.0, delta = 1e-3, largest_epsilon = 0.7}"
    assert run(config(privacy)) == 0
    said = capsys.readouterr().out
    assert "ended, because another round would exceed the largest epsilon after 1 rounds" in said
    assert "differential privacy of clients: epsilon 0.5" in said and ", delta 0.001)" in said


def test_rounds_that_fail_end_with_another_status_and_the_same_command_goes_on(
    config: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], training: dict[str, Any]
) -> None:
    training["fails"] = True
    assert run(config()) == 2
    said = capsys.readouterr().err
    assert "3 rounds in a row did not count" in said and "the same command goes on at round 1" in said
    training["fails"] = False
    assert run(config()) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("minimum_clients = 4", "'minimum_clients' is 4"),
        ("privacy = {noise_multiplier = 1.0, clipping_norm = 1.0, delta = 1e-3, largest_epsilon = 0.1}",
         "'largest_epsilon' is 0.1, and one round has"),
    ],
)  # fmt: skip
def test_wrong_settings_are_one_line_and_leave_no_folder(
    config: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path, settings: str, said: str
) -> None:
    assert run(config(settings)) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_settings_than_begun_with_are_refused(
    config: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config()) == 0
    assert run([*config(), "--set", "local_iterations=3"]) == 2
    assert "was begun with local_iterations = 2, not 3" in capsys.readouterr().err
