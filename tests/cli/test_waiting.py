"""Threads of a command must not keep cores busy for long while they wait: other processes need those cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from radcommons.cli import SPIN_COUNT


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP, which torch uses on Linux")
@pytest.mark.parametrize(
    ("asked", "used"),
    [({}, SPIN_COUNT), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_threads_that_wait_go_to_sleep_soon_unless_the_user_wants_otherwise(
    asked: dict[str, str], used: str, tmp_path: Path
) -> None:
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in ours} | {"OMP_DISPLAY_ENV": "VERBOSE", **asked}
    command = [sys.executable, "-m", "radcommons", "generate", str(tmp_path), "--out", str(tmp_path / "set"), "-n", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, "there is no generator, but torch has been imported"
    assert f"GOMP_SPINCOUNT = '{used}'" in ended.stderr
