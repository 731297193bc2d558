"""What the server's command makes of the log lines of its training."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flwr.supercore import sql_mixin

from radcommons.federated.deployment import server, superlink


class Control:
    """Streams that break, but for the last; each line has its number as its time."""

    def __init__(self, *streams: list[str]) -> None:
        self.streams, self.asked_after, self.sent = list(streams), [], 0

    def StreamLogs(self, request: Any) -> Iterator[SimpleNamespace]:
        self.asked_after.append(request.after_timestamp)
        for line in self.streams.pop(0):
            self.sent += 1
            yield SimpleNamespace(log_output=f"{line}\n", latest_timestamp=float(self.sent))
        if self.streams:
            raise httpx.RemoteProtocolError("peer closed connection")


def test_a_broken_stream_of_log_lines_is_opened_again_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STREAM_SECONDS", 0.0)
    control, said = Control(["round 1", "INFO : nothing"], [], ["round 2"]), []
    server._follow(control, 7, tmp_path / "log", said.append, lambda: True)  # type: ignore[arg-type]
    assert said == ["round 1", "round 2"] and control.asked_after == [0.0, 2.0, 2.0]
    assert (tmp_path / "log").read_text() == "round 1\nINFO : nothing\nround 2\n"
    with pytest.raises(httpx.TransportError):
        server._follow(Control([], []), 7, tmp_path / "log", said.append, lambda: False)  # type: ignore[arg-type]


def test_a_superlink_waits_longer_for_its_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(superlink.extensions, "get_middleware", superlink.extensions.get_middleware)
    monkeypatch.setattr(sql_mixin, "SQLITE_PRAGMAS", sql_mixin.SQLITE_PRAGMAS)
    monkeypatch.setattr(superlink, "flower_superlink", lambda: None)
    superlink.main()
    connection = sqlite3.connect(tmp_path / "state.db")
    sql_mixin._set_sqlite_pragmas(connection, None)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (60000,)
    connection.close()
