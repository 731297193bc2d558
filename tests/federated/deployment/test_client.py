"""What a client's command makes of the log of its SuperNode."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from radcommons.federated.deployment.client import _Connection
from radcommons.federated.deployment.processes import Tail


@contextlib.contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
    yield process
    process.kill()
    process.wait()


def test_a_client_whose_server_was_away_stays_for_the_last_reply_until_the_server_goes(tmp_path: Path) -> None:
    log, said = tmp_path / "log", []
    log.touch()
    connection = _Connection(tmp_path / "finished", Tail(log), Tail(tmp_path / "app"), "host:1", said.append)
    thread = threading.Thread(target=connection.until_it_ends, args=(sleeping, sleeping))

    def says(*lines: str) -> None:
        with log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        time.sleep(0.6)

    thread.start()
    says("SuperNode ID: 7", "Connection attempt failed, retrying in 1 seconds")
    (tmp_path / "finished").touch()
    says()
    assert thread.is_alive(), "the reply may still be on its way"
    says("[RUN 1, ROUND the generator]", "Sent successfully")
    assert thread.is_alive()
    says("Connection attempt failed, retrying in 1 seconds")
    thread.join(5.0)
    assert not thread.is_alive()
    assert said == ["connected to host:1", "host:1 does not answer; trying again until it does", "the generator: sent"]


def test_a_server_that_answers_again_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    connection = _Connection(tmp_path / "finished", Tail(tmp_path), Tail(tmp_path), "host:1", said.append)
    for line in ("SuperNode ID: 7", "Connection attempt failed", "Received successfully", "Connection successful"):
        connection._show(line)
    assert said[2:] == ["connected to host:1 again", ": received"]
