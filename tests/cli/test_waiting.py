"""Threads of a command must not keep cores busy while they wait: other processes need those cores."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP, which torch uses on Linux")
@pytest.mark.parametrize(("asked", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_user_wants_otherwise(
    asked: dict[str, str], used: str, tmp_path: Path
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | {"OMP_DISPLAY_ENV": "TRUE", **asked}
    command = [sys.executable, "-m", "radcommons", "generate", str(tmp_path), "--out", str(tmp_path / "set"), "-n", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, "there is no generator, but torch has been imported"
    assert f"OMP_WAIT_POLICY = '{used}'" in ended.stderr
