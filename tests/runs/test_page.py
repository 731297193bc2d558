import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from radcommons.errors import TrainingDiverged
from radcommons.pictures import contact_sheet
from radcommons.runs import page
from radcommons.runs.log import RunLog, read_log
from radcommons.runs.page import (
    FIRST_SECONDS,
    SHARE,
    WIDEST,
    About,
    State,
    TrainingPage,
    in_words,
    newest_grid,
    recent_rate,
)

ABOUT = About(
    title="Training on site-a",
    films="The generator learns from 120 films.",
    total_images=1000,
    resolution=32,
    rows=("No finding", "Effusion"),
    settings={"seed": 3, "findings": None, "batch_size": {4: 16, 8: 8}, "noise": []},
    resume="radcommons train stores/a --out runs/a",
    audit="radcommons audit runs/a stores/a --out runs/a-audit --controls",
)


def entry(seen: int, **more: Any) -> dict[str, Any]:
    return {"images_seen": seen, "resolution": 16, "seconds": 10.0, "critic_loss": 0.5, **more}


def sheet(seed: int = 0) -> Image.Image:
    return contact_sheet([np.random.default_rng(seed).integers(0, 255, (3, 16, 16), np.uint8)] * 2, ABOUT.rows)


def test_the_page_is_there_before_the_first_step_and_loads_itself_again_until_the_end(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, ABOUT) as log:
        assert log.page == tmp_path / "training.html"
        begun = log.page.read_text(encoding="utf-8")
        log.numbers(entry(500))
        log.numbers(entry(1000))
        log.samples(sheet(), 1000, 16)
        log.finished = True
    ended = log.page.read_text(encoding="utf-8")
    assert "Training: running" in begun and "0 of 1,000 images seen (0%)" in begun and "left: not known yet" in begun
    assert '<meta http-equiv="refresh" content="30">' in begun and "location.reload" in begun
    assert "Training: finished" in ended and "1,000 of 1,000 images seen (100%)" in ended
    assert "refresh" not in ended and "<script" not in ended and "left" not in ended.partition("</style>")[2]
    assert ABOUT.audit in ended and "Rows from the top: No finding, Effusion" in ended and "16 x 16" in ended


def test_the_page_needs_no_other_file_and_no_network(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, ABOUT) as log:
        log.samples(sheet(), 0, 16)
        for seen in range(100, 600, 100):
            log.numbers(entry(seen))
    text = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert 'src="data:image/png' in text and 'src="data:image/svg' in text
    assert text.count("src=") == text.count('src="data:') and "href=" not in text.replace('href="#main"', "")


def test_settings_are_written_as_a_person_would(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, ABOUT) as log:
        log.numbers(entry(300))
    text = (tmp_path / "training.html").read_text(encoding="utf-8")
    for name, words in (("batch_size", "4: 16, 8: 8"), ("noise", "none"), ("findings", "off"), ("seed", "3")):
        assert re.search(rf">{name}</th>\s*<td[^>]*>{words}</td>", text), name


def test_a_stopped_training_says_how_to_go_on_and_a_broken_one_why_it_ended(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, ABOUT) as log:
        log.numbers(entry(300))
    stopped = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "Training: stopped" in stopped and ABOUT.resume in stopped and "refresh" not in stopped
    with pytest.raises(TrainingDiverged), RunLog(tmp_path, 300, ABOUT):
        raise TrainingDiverged("training diverged after 320 images (critic_loss 1e+09)")
    broken = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "Training: broken off" in broken and "diverged after 320 images" in broken and ABOUT.resume in broken


def test_of_an_error_that_is_not_ours_the_page_says_the_kind_alone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mueller"), RunLog(tmp_path, 0, ABOUT):
        raise OSError("cannot read /films/mueller.dcm")
    text = (tmp_path / "training.html").read_text(encoding="utf-8")
    assert "OSError" in text and "mueller" not in text


def test_the_page_of_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "training.html").write_text("as it was", encoding="utf-8")
    with RunLog(tmp_path, 1000, ABOUT) as log:
        assert log.page is None
        log.finished = True
    assert (tmp_path / "training.html").read_text(encoding="utf-8") == "as it was"


def test_a_log_without_a_page_draws_none(tmp_path: Path) -> None:
    RunLog(tmp_path, 0).close()
    assert not (tmp_path / "training.html").exists()


def test_what_stops_the_drawing_is_logged_once_and_never_stops_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: object) -> Iterator[None]:
        raise RuntimeError("no fonts")

    with RunLog(tmp_path, 0, ABOUT) as log:
        monkeypatch.setattr(page, "draw_curves", broken)
        monkeypatch.setattr(page, "SHARE", 1e9)  # every line draws
        with caplog.at_level(logging.WARNING):
            log.numbers(entry(100))
            log.numbers(entry(200))
        assert "cannot be drawn; the training goes on without it" in caplog.text and "no fonts" in caplog.text
        assert len(caplog.records) == 1
    assert log.page is not None and "Training: running" in log.page.read_text(encoding="utf-8")


def test_drawing_takes_no_more_than_its_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, drawn = 0.0, []

    def draw(*given: object) -> str:
        nonlocal now
        now += 2.0
        drawn.append(now)
        return ""

    monkeypatch.setattr("radcommons.runs.page.time.monotonic", lambda: now)
    monkeypatch.setattr(page, "render", draw)
    training = TrainingPage(tmp_path, ABOUT)
    while now < 2000:
        now += 1.0
        training.draw_if_due([entry(100)])
    assert drawn[0] > FIRST_SECONDS / SHARE, "the first curves wait until there is time for them"
    assert len(drawn) > 5 and 2.0 * len(drawn) <= SHARE * now


def test_the_rate_is_that_of_the_last_lines() -> None:
    slow = [entry(100), entry(200), *(entry(200 + 50 * n) for n in range(1, 25))]
    assert recent_rate(slow) == pytest.approx(5.0)
    assert recent_rate([]) is None and recent_rate([entry(100)]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (42, "42 s"), (59.7, "1 min"), (3599, "1 h 0 min"), (4800, "1 h 20 min"), (200_000, "2 d 7 h")],
)
def test_a_time_is_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_newest_grid_is_shown_and_a_large_one_made_smaller(tmp_path: Path) -> None:
    assert newest_grid(tmp_path, ABOUT.rows) == (None, 0)
    log = RunLog(tmp_path, 0)
    log.samples(sheet(1), 90, 16)
    log.samples(contact_sheet([np.zeros((8, 512, 512), np.uint8)]), 1100, 512)
    drawn, at = newest_grid(tmp_path, ABOUT.rows)
    log.close()
    assert at == 1100 and int(drawn.partition('width="')[2].partition('"')[0]) <= WIDEST
    assert 'alt="Synthetic images, one row each for: No finding, Effusion"' in drawn


def test_a_running_and_a_finished_page_are_accessible_fit_every_screen_and_ask_nobody(
    tmp_path: Path, chromium: Any, faults_of_page: Callable[[Any], list[str]]
) -> None:
    window = chromium.new_page()
    asked: set[str] = set()
    window.on("request", lambda request: asked.add(request.url.partition(":")[0]))
    with RunLog(tmp_path, 0, ABOUT) as log:
        log.samples(sheet(), 0, 16)
        for seen in range(100, 600, 100):
            log.numbers(entry(seen, wasserstein=1.0, generator_loss=2.0))
    state: State
    for state in ("running", "finished"):
        TrainingPage(tmp_path, ABOUT).draw(read_log(tmp_path), state)
        window.goto((tmp_path / "training.html").as_uri())
        window.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert f"Training: {state}" in window.inner_text("h2:first-of-type") and faults_of_page(window) == []
    assert asked <= {"file", "data"}


def test_a_reader_can_switch_the_reloading_off(tmp_path: Path, chromium: Any) -> None:
    window = chromium.new_page()
    TrainingPage(tmp_path, ABOUT).draw([], "running")
    window.clock.install()
    window.goto((tmp_path / "training.html").as_uri())
    window.evaluate("window.here = true")
    window.get_by_label("load this page again every 30 seconds").uncheck()
    window.clock.run_for(120_000)
    assert window.evaluate("window.here"), "the page was not loaded again"
    window.get_by_label("load this page again every 30 seconds").check()
    with window.expect_navigation():
        window.clock.run_for(31_000)
    assert not window.evaluate("window.here")
