"""The page of a training: ``training.html`` in the run's folder, to be opened while it trains.

Drawing it takes little of the training's time and never stops it: an error is logged.
"""

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from radcommons.errors import RadCommonsError
from radcommons.files import write_whole
from radcommons.pages import Table, picture, render_page
from radcommons.runs.curves import draw_curves

logger = logging.getLogger(__name__)

PAGE = "training.html"
RELOAD_SECONDS = 30
SHARE = 0.01  # of the time, that drawing may take
FIRST_SECONDS = 1.5  # the first curves may take, with the import of what draws them
RECENT = 20  # log lines behind the rate
WIDEST = 1400  # pixels of the sample grid on the page
State = Literal["running", "finished", "stopped", "broken off"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What the page says of a training besides its log.

    Attributes:
        title: heading of the page.
        films: what it learns from, in words.
        total_images: real images shown in the whole run.
        resolution: side of the images at the end, pixels.
        rows: of the sample grids, from the top.
        settings: all of them.
        resume: the command that goes on with an unfinished training; may be empty.
        audit: the command that comes after it.
    """

    title: str
    films: str
    total_images: int
    resolution: int
    rows: Sequence[str]
    settings: Mapping[str, Any]
    resume: str
    audit: str


class TrainingPage:
    """Draws the page of a run: when it begins, whenever there is time for it, and at its end."""

    def __init__(self, run: Path, about: About) -> None:
        self._run, self._about = run, about
        self.path = run / PAGE
        self._began = time.monotonic()
        self._spent, self._last = 0.0, FIRST_SECONDS
        self._works = True

    def draw_if_due(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Draw the page of a running training, unless drawing would take more than `SHARE` of the time."""
        if self._works and self._spent + self._last <= SHARE * (time.monotonic() - self._began):
            self.draw(entries, "running")

    def draw(self, entries: Sequence[Mapping[str, Any]], state: State, error: BaseException | None = None) -> None:
        """Draw the page now; `entries` are those of the log."""
        begun = time.monotonic()
        try:
            write_whole(self.path, render(self._run, self._about, entries, state, error), on_disk=False)
        except Exception:
            self._works = False
            logger.warning("%s cannot be drawn; the training goes on without it", self.path, exc_info=True)
        if entries:
            self._last = time.monotonic() - begun
            self._spent += self._last


def render(
    run: Path, about: About, entries: Sequence[Mapping[str, Any]], state: State, error: BaseException | None = None
) -> str:
    """The whole page as HTML."""
    seen = entries[-1]["images_seen"] if entries else 0
    rate = recent_rate(entries)
    side = entries[-1].get("resolution") if entries else None
    grid, grid_at = newest_grid(run, about.rows)
    return render_page(
        "training.html.j2",
        about=about,
        run=run.resolve(),
        state=state,
        reason=_reason(error),
        reload_seconds=RELOAD_SECONDS if state == "running" else None,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"),
        seen=seen,
        rate=rate,
        left=in_words((about.total_images - seen) / rate) if rate and state == "running" else None,
        took=in_words(sum(entry.get("seconds", 0.0) for entry in entries)),
        side=side,
        grows=side is not None and side < about.resolution,
        grid=grid,
        grid_at=grid_at,
        curves=list(draw_curves(entries)),
        table=Table(
            caption="Settings of the training",
            heads=("setting", "value"),
            rows=[[name, _in_words(value)] for name, value in about.settings.items()],
        ),
    )


def recent_rate(entries: Sequence[Mapping[str, Any]]) -> float | None:
    """Images per second over the last log lines; None if there are too few."""
    recent = entries[-RECENT - 1 :]
    seconds = sum(entry.get("seconds", 0.0) for entry in recent[1:])
    return (recent[-1]["images_seen"] - recent[0]["images_seen"]) / seconds if seconds else None


def in_words(seconds: float) -> str:
    """A time for people: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def newest_grid(run: Path, rows: Sequence[str]) -> tuple[Any, int]:
    """The newest sample grid, no wider than `WIDEST`, and after how many images it was drawn; (None, 0) without one."""
    path = max((run / "samples").glob("*.png"), default=None)
    if path is None:
        return None, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the grid is ours, and may be large
        with Image.open(path) as sheet:
            small = sheet.reduce(-(-sheet.width // WIDEST))
    return picture(small, f"Synthetic images, one row each for: {', '.join(rows)}"), int(path.name.partition("-")[0])


def _reason(error: BaseException | None) -> str:
    if error is None:
        return ""
    return str(error) if isinstance(error, RadCommonsError) else type(error).__name__


def _in_words(value: Any) -> str:
    """A setting as a person would write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "none"
    return "off" if value is None else str(value)
