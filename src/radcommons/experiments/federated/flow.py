"""Fig. 4: every arm trained several times, measured on the way, compared at the end."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from radcommons.data.joined import join_stores, joined_manifest
from radcommons.data.store import Store
from radcommons.errors import SettingRefused, nearest_hint
from radcommons.experiments.federated import report
from radcommons.experiments.federated.arms import Clients, clients_of, runs_of
from radcommons.experiments.federated.conclusions import DESCRIPTIONS, arm_result, compared, conclusion, notes
from radcommons.experiments.federated.measures import Judge
from radcommons.experiments.federated.settings import Arm, FederatedExperimentSettings
from radcommons.extractors import load_extractor
from radcommons.folders import alone_in
from radcommons.precision import kept as kept_precision
from radcommons.precision import resolved
from radcommons.progress import Track, silent
from radcommons.records import FederatedExperimentResult, Measures
from radcommons.resume import Kept
from radcommons.runs.folder import claim_folder
from radcommons.settings import read_toml
from radcommons.versions import versions

FILMS, REAL = "films", "real"  # subfolders: the stores as one; what was computed of real films
FREE = {"repeats", "arms"}  # no training that is there depends on them
SHOWN = 8  # synthetic images of each arm on the page


def compare_federated(
    settings: FederatedExperimentSettings,
    out: Path,
    *,
    track: Track = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> FederatedExperimentResult | None:
    """Train and measure every arm, compare them, and write table, figure and page; None if it was stopped.

    The same call goes on where a stop or a kill left it. More repeats and other arms are added to what is there.

    Raises:
        SettingRefused, TooFewImages: before anything is written.
        PathInUse, and what opening a store and training raise.
    """
    stores = [Store.open(path) for path in settings.stores]
    clients = _checked(settings, stores)
    extractor = load_extractor(settings.extractor, weights=settings.extractor_weights)
    settings = _in_one_precision(settings, out)
    with alone_in(out, private=True):
        claim_folder(out, settings, lambda *_: FREE)
        store = stores[0]
        if len(stores) > 1:
            there = (out / FILMS / "store.json").is_file()
            side = settings.train.resolution
            store = Store.open(out / FILMS) if there else join_stores(stores, out / FILMS, resolution=side)
        kept = Kept(out / REAL)
        judge = Judge.open(settings, store, extractor, kept)
        real = kept.records("measures", Measures, lambda: [judge.real()])[0]
        measured: dict[Arm, list[list[Measures]]] = {arm: [] for arm in settings.arms}
        total = settings.train.total_images * settings.repeats * len(settings.arms)
        with track("Training all arms", total=total) as advance:
            for repeat in range(settings.repeats):
                for arm in settings.arms:
                    folder = out / f"repeat-{repeat + 1}" / arm.replace(" ", "-")
                    runs = runs_of(arm, settings, store, clients[repeat], repeat, folder)
                    if not all(run.go_on(advance, should_stop) for run in runs):
                        return None
                    generators = list(zip(*(run.generators() for run in runs), strict=True))
                    own = [_mean(values) for values in zip(*(run.own_critic() for run in runs), strict=True)]
                    points = settings.points_of(settings.train.total_images)
                    found = judge.measure(repeat, points, generators, own, folder / "measures", should_stop)
                    if found is None:
                        return None
                    measured[arm].append(found)
        films = {arm: _films(arm, clients[0], len(store.rows("train"))) for arm in settings.arms}
        arms = [arm_result(arm, DESCRIPTIONS[arm], films[arm], found) for arm, found in measured.items()]
        comparisons = compared(measured)
        rest = np.concatenate([store.rows("val"), store.rows("test")])
        result = FederatedExperimentResult(
            simulated=all(one.simulated for one in stores),
            sentence=conclusion(arms, comparisons),
            notes=notes(settings),
            training_films=len(store.rows("train")),
            held_out_films=len(rest),
            held_out_patients=int(store.manifest["patient"][rest].n_unique()),
            images=judge.count,
            real=real,
            arms=tuple(arms),
            comparisons=tuple(comparisons),
            settings=settings.model_dump(mode="json"),
            versions=versions("torch", "flwr", "numpy", "scipy"),
        )
        sheets: dict[str, np.ndarray] = {
            arm: _shown(judge, arm, settings, store, clients[0], out) for arm in settings.arms
        }
        report.write(result, {"films": judge.held_out[:SHOWN], **sheets}, out)
    return result


def _in_one_precision(s: FederatedExperimentSettings, out: Path) -> FederatedExperimentSettings:
    """The settings with "auto" decided once, for all trainings and for every later call."""
    saved = out / "config.toml"
    asked = kept_precision(s.train.precision, read_toml(saved).get("train") if saved.is_file() else None)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return s.model_copy(update={"train": s.train.model_copy(update={"precision": resolved(asked, device)})})


def _checked(s: FederatedExperimentSettings, stores: list[Store]) -> list[Clients]:
    """The clients of every repeat; raises what is wrong with settings and stores before anything is written."""
    manifest = joined_manifest(stores)
    findings = tuple(f for f in stores[0].findings if f in manifest.columns)
    for finding in s.train.findings or ():
        if finding not in findings:
            raise SettingRefused(f"finding '{finding}' is not labelled everywhere; {nearest_hint(finding, findings)}")
    least = min(stores, key=lambda store: store.resolutions[-1])
    if s.train.resolution > least.resolutions[-1]:
        raise SettingRefused(
            f"'train.resolution' is {s.train.resolution} but {least.path} holds images up to {least.resolutions[-1]}"
        )
    return clients_of(s, manifest, [store.record.images for store in stores], findings)


def _films(arm: Arm, clients: Clients, all_films: int) -> tuple[int, ...]:
    parts = clients.skewed if arm == "skewed" else clients.equal
    if arm == "centralised":
        return (all_films,)
    return (len(parts[0]),) if arm == "one client" else tuple(len(part) for part in parts)


def _shown(
    judge: Judge, arm: Arm, s: FederatedExperimentSettings, store: Store, clients: Clients, out: Path
) -> np.ndarray:
    """Some images of the first repeat's generators, all from the same latent vectors and labels."""
    runs = runs_of(arm, s, store, clients, 0, out / "repeat-1" / arm.replace(" ", "-"))
    return judge.draw([run.generators()[-1] for run in runs], 0, SHOWN)


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
