"""Keys, and a function that packages an audited run."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from radcommons.packages.card import CardWords
from radcommons.packages.contents import Package, open_package
from radcommons.packages.signatures import new_keys
from radcommons.packages.writing import Contents, write_package
from radcommons.policy.settings import Policy


@dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    new_keys(folder)
    return Keys(folder / "private.pem", folder / "public.pem")


@pytest.fixture(scope="session")
def words() -> CardWords:
    return CardWords(name="Site A", license="cc-by-nc-4.0", contact="radiology@example.org")


@pytest.fixture(scope="session")
def pack(
    audited_run: Any, keys: Keys, words: CardWords, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Package]:
    """Packages the audited run, with changes."""
    license_file = tmp_path_factory.mktemp("license") / "LICENSE"
    license_file.write_text("You may.", encoding="utf-8")

    def make(out: Path, *, rules: Policy | None = None, **contents: Any) -> Package:
        return write_package(
            contents.pop("run", audited_run.run),
            contents.pop("audit", audited_run.audit),
            out,
            Contents(**{"words": words, "license_file": license_file, **contents}),
            private_key=keys.private,
            rules=rules or Policy(),
        )

    return make


@pytest.fixture(scope="session")
def packaged(pack: Callable[..., Package], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package for all tests, which leave it as it is."""
    return pack(tmp_path_factory.mktemp("packaged") / "package").folder


@pytest.fixture
def package(packaged: Path, tmp_path: Path) -> Package:
    """A copy of the package for one test."""
    shutil.copytree(packaged, tmp_path / "package")
    return open_package(tmp_path / "package")
