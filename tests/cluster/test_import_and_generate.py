"""An import and a set over a cluster are those made here, byte for byte, whoever is killed half-way."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from radcommons.cli import run
from radcommons.cluster.dask_engine import open_cluster
from radcommons.data.ingest import ingest
from radcommons.data.listing import Listing
from radcommons.data.sources import list_table
from radcommons.models.generator import Generator, LabelChoice
from radcommons.synthetic import dicom
from radcommons.synthetic.sampling import write_set

FILMS = 70


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def calling(half_way: Callable[[], None], counts: list[int]) -> Any:
    """A Track that calls `half_way` once a third is done, and keeps every step."""

    @contextmanager
    def track(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            before, after = sum(counts), sum(counts) + count
            counts.append(count)
            if before < total / 3 <= after:
                half_way()

        yield advance

    return track


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, film_table: Callable[..., Path]) -> Path:
    """Films that take a worker some time; the names hold identifiers."""
    folder = film_table(tmp_path_factory.mktemp("films") / "films", films=FILMS, side=900, prefix="MRN77")
    (folder / "MRN77-13.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def listing(films: Path) -> Listing:
    return list_table([films])


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "key"


@pytest.fixture(scope="module")
def made_here(tmp_path_factory: pytest.TempPathFactory, listing: Listing, key: Path) -> dict[str, bytes]:
    """The store that one process makes of the films."""
    out = tmp_path_factory.mktemp("here") / "store"
    ingest(listing, out, name="own", resolution=64, key_file=key)
    return content(out)


def test_an_import_loses_and_repeats_nothing_when_a_worker_is_killed_half_way(
    dask_cluster: Any, listing: Listing, key: Path, made_here: dict[str, bytes], tmp_path: Path
) -> None:
    counts: list[int] = []
    with open_cluster(dask_cluster.address) as cluster:
        track = calling(dask_cluster.kill_a_worker, counts)
        record = ingest(listing, tmp_path / "s", name="own", resolution=64, key_file=key, workers=cluster, track=track)
        assert cluster.cores() == 1, "the worker was killed"
    assert (record.images, record.rejected, sum(counts)) == (FILMS - 1, 1, FILMS)
    assert content(tmp_path / "s") == made_here
    assert "MRN77" not in dask_cluster.logs() and str(listing.candidates[0].path.parent) not in dask_cluster.logs()


def test_an_import_goes_on_after_ctrl_c_and_after_a_kill_of_the_command(
    dask_cluster: Any, films: Path, key: Path, made_here: dict[str, bytes], tmp_path: Path, monkeypatch, start: Any
) -> None:
    monkeypatch.chdir(films.parent)  # a relative path reaches the workers as an absolute one
    out = tmp_path / "store"
    command = ["data", "import", "table", films.name, "--out", str(out), "--resolution", "64", "--name", "own",
               "--key", str(key), "--cluster", dask_cluster.address]  # fmt: skip
    journal = out / ".import" / "journal.jsonl"
    for stop, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        before = journal.stat().st_size if journal.exists() else 0
        importing = start([sys.executable, "-m", "radcommons", *command])
        importing.wait_until(lambda before=before: journal.exists() and journal.stat().st_size > before)
        importing.process.send_signal(stop)
        ended, _, said = importing.end()
        assert ended == status
        assert not (out / "store.json").exists(), "the command was stopped half-way"
        if stop == signal.SIGINT:
            assert said == "radcommons: stopped; run the same command again to continue\n"
    assert run(command) == 0
    assert content(out) == made_here


def test_a_phantom_hospital_is_the_same(dask_cluster: Any, tmp_path: Path) -> None:
    command = ["data", "phantom", "--patients", "12", "--resolution", "32"]
    assert run([*command, "--out", str(tmp_path / "here"), "--workers", "1"]) == 0
    assert run([*command, "--out", str(tmp_path / "there"), "--cluster", dask_cluster.address]) == 0
    assert content(tmp_path / "here") == content(tmp_path / "there")


def test_a_worker_that_does_not_see_the_films_ends_the_import(
    dask_cluster: Any, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from radcommons.data import ingest as module

    elsewhere = Path("/srv/not-mounted")
    monkeypatch.setattr(module, "for_other_machines", lambda candidates: (candidates, elsewhere))
    command = ["data", "import", "table", str(films), "--out", str(tmp_path / "s"), "--cluster", dask_cluster.address]
    assert run(command) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("radcommons: a worker of the cluster does not see the folder of the films; put them")


def test_a_set_loses_and_repeats_nothing_when_a_worker_is_killed_half_way(
    dask_cluster: Any, generator_folder: Path, tmp_path: Path
) -> None:
    generator = Generator.load(generator_folder, device="cpu")
    write_set([generator], tmp_path / "here", 2000, choice=LabelChoice(), seed=3, format="npz")
    counts: list[int] = []
    with open_cluster(dask_cluster.address) as cluster:
        track = calling(dask_cluster.kill_a_worker, counts)
        drawn = write_set(
            [generator], tmp_path / "there", 2000, choice=LabelChoice(), seed=3, format="npz", cluster=cluster,
            track=track,
        )  # fmt: skip
        assert cluster.cores() == 1, "the worker was killed"
    assert drawn == sum(counts) == 2000
    assert content(tmp_path / "here") == content(tmp_path / "there")


def test_a_dicom_set_begun_yesterday_on_a_cluster_keeps_its_date(
    dask_cluster: Any, generator_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator.load(generator_folder, device="cpu")

    def stopped() -> None:
        raise KeyboardInterrupt

    def draw(out: Path, day: date, **how: Any) -> None:
        monkeypatch.setattr(dicom, "date", type("Day", (date,), {"today": classmethod(lambda _: day)}))
        write_set([generator], out, 300, choice=LabelChoice(), seed=3, format="dicom", **how)

    with open_cluster(dask_cluster.address) as cluster:
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path / "there", date(2026, 11, 27), cluster=cluster, track=calling(stopped, []))
        assert any((tmp_path / "there" / "images").iterdir()), "half of it was drawn yesterday"
        draw(tmp_path / "there", date(2026, 11, 28), cluster=cluster)
    draw(tmp_path / "here", date(2026, 11, 28), study_date=date(2026, 11, 27))
    assert content(tmp_path / "here") == content(tmp_path / "there")


def test_a_set_goes_on_after_a_kill_of_the_command(
    dask_cluster: Any, generator_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    monkeypatch.chdir(generator_folder.parent)
    command = ["generate", generator_folder.name, "-n", "700", "--balanced"]
    there = [*command, "--out", str(tmp_path / "there"), "--cluster", dask_cluster.address]
    images = tmp_path / "there" / "images"
    drawing = start([sys.executable, "-m", "radcommons", *there])
    drawing.wait_until(lambda: images.is_dir() and len([*images.iterdir()]) >= 65)
    drawing.kill()
    assert not (tmp_path / "there" / "provenance.json").exists(), "the command was killed half-way"
    assert run(there) == 0
    assert run([*command, "--out", str(tmp_path / "here")]) == 0
    assert content(tmp_path / "here") == content(tmp_path / "there")
    assert json.loads((tmp_path / "there" / "provenance.json").read_text())["count"] == 700
