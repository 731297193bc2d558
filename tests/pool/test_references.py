from pathlib import Path

import pytest

from radcommons.errors import SettingRefused
from radcommons.pool.references import local_folder


def test_a_path_is_the_folder_itself() -> None:
    assert local_folder("runs/site-a") == Path("runs/site-a")


def test_what_is_no_path_is_refused_and_not_taken_for_one() -> None:
    with pytest.raises(SettingRefused, match="'hub://x/y' is not a folder; fetch the generator"):
        local_folder("hub://x/y")
