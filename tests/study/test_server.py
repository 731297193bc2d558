"""The whole way, with the real server: the first start, a server that is killed, a study that was changed."""

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from radcommons.errors import StudyRefused
from radcommons.study.design import SETTINGS
from radcommons.study.server import begin, check, study_site
from radcommons.web.site import database

BOTH = pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"], indirect=True)
COMMAND = [sys.executable, "-m", "radcommons", "study", "serve"]


class Page:
    """A reader who has opened the link and passed the display check, and what the page of images does."""

    def __init__(self, visitor: Any, link: str) -> None:
        self.visitor = visitor
        if "agree" in self.visitor.get(link):
            self.visitor.post("/read/consent", agree="1")
        page = self.visitor.get("/read")
        fields = re.findall(r'class="field">(<span></span>)?</span><input type="radio" name="(\w+)" value="(\d)"', page)
        self.visitor.post("/read/display", **{row: value for odd, row, value in fields if odd}, monitor="a test")
        self.seat = re.findall(r'data-seat="(\w+)"', self.visitor.get("/read"))[0]

    def ask(self, what: str, **values: object) -> dict[str, Any]:
        return dict(json.loads(self.visitor.post(f"/read/{what}", seat=self.seat, **values)))

    def read(self, answer: str) -> dict[str, Any]:
        """Go on to the next image and answer it."""
        step = self.ask("state")
        step = self.ask("go") if step["do"] == "stop" else step
        self.visitor.get(step["image"])
        self.ask("shown", position=step["position"])
        return self.ask("answer", position=step["position"], answer=answer)


@BOTH
@pytest.mark.slow
def test_a_server_that_is_killed_between_two_answers_loses_none_and_the_reader_goes_on(
    new_study: Callable[..., Any], served: Callable[..., Any], database: str | None, tmp_path: Path
) -> None:
    study = new_study(tmp_path / "study", practice=0)
    site = served(study.folder)
    page, given = Page(site.visitor(), site.invite("ann")), []
    for answer in ("real", "synthetic", "real"):
        page.read(answer)
        given.append(answer)
    os.killpg(site.process.pid, signal.SIGKILL)
    site.process.wait()
    page.visitor.address = site.start()  # the page stays open
    for answer in ("synthetic", "synthetic", "real", "real", "real", "real", "real", "real", "real"):
        last = page.read(answer)
        given.append(answer)
    assert last == {"do": "end"}
    assert (study.folder / "server" / "site.sqlite3").exists() == (database is None)
    kept = list(csv.DictReader(site.get("/export/answers.csv").splitlines()))
    assert [line["answer"] for line in kept] == given
    assert [line["image"] for line in kept] == [image.name for image in study.order(1)]
    command = [*COMMAND[:-1], "analyse", study.folder, "--out", tmp_path / "result", "--bootstrap-samples", "100"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    right = sum(line["answer"] == line["truth"] for line in kept[:6])  # of the first block
    (accuracy,) = (r["accuracy"]["value"] for r in json.loads(done.stdout)["results"] if r["block"] == "16")
    assert accuracy == pytest.approx(right / 6)


def test_a_site_behind_tls_passes_djangos_own_check(new_study: Callable[..., Any], tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from radcommons.study.design import Study
from radcommons.study.server import begin, study_site
from radcommons.web.server import ready
study = Study.open(Path(sys.argv[1]))
ready(study_site(study, None, ["study.example.org"], https=True))
from django.core.management import call_command
call_command("check", deploy=True, fail_level="WARNING")
call_command("makemigrations", check=True, dry_run=True)
print(begin(study))
"""
    new_study(tmp_path / "study")
    command = [sys.executable, "-c", code, tmp_path / "study"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "/welcome/" in done.stdout
    assert (tmp_path / "study" / "server" / "secret.key").stat().st_mode & 0o077 == 0


def test_sqlite_waits_for_the_disk_so_that_a_power_failure_undoes_no_answer(
    new_study: Callable[..., Any], tmp_path: Path
) -> None:
    options = database(study_site(new_study(tmp_path / "study")))["OPTIONS"]
    with closing(sqlite3.connect(tmp_path / "file")) as connection:
        for command in options["init_command"].split(";"):
            connection.execute(command)
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
    assert found == [2, "wal"]  # 2 is FULL


def test_images_whose_files_differ_in_size_are_refused(new_study: Callable[..., Any], tmp_path: Path) -> None:
    study = new_study(tmp_path / "study")
    check(study)
    shown = study.path(study.images[-1])
    shown.write_bytes(shown.read_bytes() + b"\0")
    with pytest.raises(StudyRefused, match="block 2 have files of 2 different sizes"):
        check(study)
    command = [*COMMAND, tmp_path / "study"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "make the study again" in done.stderr


def test_a_study_that_was_changed_after_readers_began_is_refused(
    serve_study: Callable[..., Any], reader: Callable[..., Any]
) -> None:
    study = serve_study(practice=0)
    settings = study.folder / SETTINGS
    settings.write_text(settings.read_text() + "\n")
    begin(study)  # nobody has begun
    reader().read(1)
    begin(study)
    settings.write_text(settings.read_text() + "\n")
    with pytest.raises(StudyRefused, match="not those with which readers began"):
        begin(study)
