"""The trainings of each arm, and how a generator is kept at several points of its training."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from radcommons.data.store import Store
from radcommons.errors import SettingRefused, TooFewImages
from radcommons.experiments.federated.settings import Arm, FederatedExperimentSettings
from radcommons.federated.partition import divide
from radcommons.federated.simulation import CLIENTS, simulate
from radcommons.files import whole_folder
from radcommons.gan.recipes import RECIPES
from radcommons.gan.training import train
from radcommons.models.generator_files import RUN_SUBFOLDER, generator_record
from radcommons.progress import Advance
from radcommons.runs.log import read_log
from radcommons.seeds import derive, numpy_stream

RUN, POINTS = "run", "points"  # subfolders


@dataclass(frozen=True)
class Clients:
    """Who has which training films in a repeat: rows of the store for each client, in equal and in skewed parts."""

    equal: list[np.ndarray]
    skewed: list[np.ndarray]


def clients_of(
    s: FederatedExperimentSettings, manifest: pl.DataFrame, store_sizes: Sequence[int], findings: Sequence[str]
) -> list[Clients]:
    """The clients of every repeat.

    Raises:
        SettingRefused, TooFewImages: a client would have too few patients or films.
    """
    rows = np.flatnonzero((manifest["split"] == "train").to_numpy())
    patients = manifest["patient"].to_numpy()[rows]
    labels = np.nan_to_num(manifest[list(findings)].to_numpy().astype(np.float32)[rows])
    batch = max(stage.batch_size for stage in RECIPES[s.train.family].stages(s.train))

    def parts(division: str, repeat: int) -> list[np.ndarray]:
        rng = numpy_stream(s.seed, "division", division, repeat)
        try:
            return [rows[p] for p in divide(patients, labels, s.clients, division, s.concentration, rng)]
        except ValueError as error:
            raise SettingRefused(f"{error}; lower 'clients'") from None

    ends = np.cumsum(store_sizes)
    of_stores = [rows[(rows >= end - size) & (rows < end)] for size, end in zip(store_sizes, ends, strict=True)]
    found = []
    for repeat in range(s.repeats):
        equal = of_stores if s.clients_are == "stores" else parts("equal", repeat)
        skewed = parts("by finding", repeat) if "skewed" in s.arms else []
        for part, kind in [(part, "equal") for part in equal] + [(part, "skewed") for part in skewed]:
            if len(part) < batch:
                more = ", or raise 'concentration'" if kind == "skewed" else ""
                raise TooFewImages(
                    f"repeat {repeat + 1}: a client would have {len(part)} films ({kind} parts), fewer than the batch "
                    f"of {batch}; lower 'clients' or the batch{more}"
                )
        found.append(Clients(equal, skewed))
    return found


@dataclass
class Run:
    """One training of an arm.

    Attributes:
        folder: holds the run, and its generator at each point.
        begin: trains in a folder, or goes on there.
        points: images seen at which the generator is kept; the last is the end.
        reported: images shown that the caller knows of.
    """

    folder: Path
    begin: Callable[..., Any]
    points: list[int]
    reported: int = field(default=0, init=False)

    def generators(self) -> list[Path]:
        """The folder of the generator at each point."""
        return [self.folder / POINTS / f"{point:09d}" for point in self.points]

    def go_on(self, advance: Advance, should_stop: Callable[[], bool]) -> bool:
        """Train to the end and keep every generator; False if it was stopped before."""
        seen = 0

        def report(now: int) -> None:
            nonlocal seen
            seen = now
            counted_to = max(self.reported, min(now, self.points[-1]))  # the last round or step may pass the end
            advance(counted_to - self.reported)
            self.reported = counted_to

        @contextmanager
        def counted(description: str, *, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
            report(done)
            yield lambda count: report(seen + count)

        run = self.folder / RUN
        for point, kept in zip(self.points, self.generators(), strict=True):
            if kept.is_dir():
                report(point)
                continue
            if _images_seen(run) < point:
                self.begin(run, track=counted, should_stop=lambda point=point: seen >= point or should_stop())
            if _images_seen(run) < point:
                return False
            kept.parent.mkdir(exist_ok=True)
            with whole_folder(kept) as new:
                shutil.copytree(run / RUN_SUBFOLDER, new, dirs_exist_ok=True)
        shutil.rmtree(run / CLIENTS, ignore_errors=True)  # optimisers and critics, which a longer training would need
        return True

    def own_critic(self) -> list[float | None]:
        """Mean Wasserstein distance that its own critic saw before each point; None if it has another loss."""
        log = [e for e in read_log(self.folder / RUN) if "wasserstein" in e]
        found: list[float | None] = []
        for after, until in zip([0, *self.points], self.points, strict=False):
            values = [e["wasserstein"] for e in log if after < e["images_seen"] <= until]
            found.append(float(np.mean(values)) if values else None)
        return found


def runs_of(
    arm: Arm, s: FederatedExperimentSettings, store: Store, clients: Clients, repeat: int, folder: Path
) -> list[Run]:
    """The trainings of an arm in a repeat: one, or one for each client."""
    settings, total = s.training(repeat), s.train.total_images
    if arm == "pool":
        share = total // s.clients
        points = [point // s.clients for point in s.points_of(total)[:-1]] + [share]
        return [
            Run(
                folder / f"client-{number + 1:02d}",
                partial(_alone, store, settings.model_copy(update=_own(settings.seed, number, share)), rows=rows),
                points,
            )
            for number, rows in enumerate(clients.equal)
        ]
    if arm == "centralised":
        begin: Callable[..., Any] = partial(_alone, store, settings, rows=None)
    elif arm == "one client":
        begin = partial(_alone, store, settings, rows=clients.equal[repeat % s.clients])
    else:
        parts = clients.skewed if arm == "skewed" else clients.equal
        begin = partial(_together, s.simulation(arm, repeat, store.path), parts)
    return [Run(folder, begin, s.points_of(total))]


def _own(seed: int, number: int, share: int) -> dict[str, int]:
    """Clients without each other have initial weights of their own."""
    return {"seed": derive(seed, "client", number) % 2**31, "total_images": share}


def _alone(store: Store, settings: Any, run: Path, **options: Any) -> None:
    warnings = logging.getLogger(train.__module__)  # of labels that a client may not publish; here they are not drawn
    before = warnings.level
    warnings.setLevel(logging.ERROR)
    try:
        train(store, settings, run, **options)
    finally:
        warnings.setLevel(before)


def _together(settings: Any, parts: list[np.ndarray], run: Path, **options: Any) -> None:
    simulate(settings, run, parts=parts, **options)


def _images_seen(run: Path) -> int:
    record = generator_record(run / RUN_SUBFOLDER)
    return record.images_seen if record else 0
