"""One wrong client of ten: what the ways of averaging bear, and what the audit sees of labels that are swapped.

The first table trains a generator by ten clients of one simulated hospital, clean and with one client that sends wrong
weights, for each way of averaging, and gives the Frechet distance (FID) to held-out films beside that of the clean
mean; median or Krum should stay within 20% of it, the plain mean should not. The wrong client turns its weights round
(sends their negative), or turns its change round and makes it nine times as long, which is just too short for
`largest_update` to refuse. "bf16" is a clean mean whose weights travel in bf16.

The second table swaps two findings on the films of some of the ten clients, and puts the generator through the audit's
test of labels: the AUC of a classifier, trained on the films as they are, for the labels that images were drawn for.

    python benchmarks/federated_poison.py [--quick] [--out FOLDER] [--processes 2] [--seed 0 --seed 1]

With --out every generator is kept, and the same command goes on where it was stopped.
"""

import argparse
import logging
import tempfile
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from flwr.app import Context, Message
from support.measuring import print_table, save

from radcommons.audit.fidelity import LabelClassifier, fidelities
from radcommons.audit.inputs.material import BALANCED
from radcommons.audit.settings import AuditSettings
from radcommons.classify.settings import ClassifierSettings
from radcommons.classify.training import train_classifier
from radcommons.classify.training_data import Mixture, Split, of_store
from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.extractors import Extractor, extract, load_extractor
from radcommons.federated import messages
from radcommons.federated.client import Site
from radcommons.federated.server import federate
from radcommons.federated.settings import SimulationSettings
from radcommons.federated.simulation import InTurn, answering, divided
from radcommons.metrics.frechet import frechet_distance
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator
from radcommons.progress import silent
from radcommons.settings import preset_path

CLIENTS, WRONG = 10, 0
TOGETHER, ALONE = (
    {"batch_size": 4, "clients_share": 1.0},
    {"batch_size": 16, "clients_share": 0.1},
)  # all in a round, or one
WAYS = ("mean", "median", "trimmed mean", "krum")
LONGER = 9.0  # below the 10 of `largest_update`
SWAPPED = (0, 1, 3, 5)  # clients whose labels are swapped


class Swapped(Store):
    """A store whose films have the labels of two findings in each other's place."""

    columns: tuple[int, int]

    @classmethod
    def choose(cls, store: Store) -> Store:
        """Decide for the two findings with the most films."""
        positives = np.nansum(store.labels(store.rows("train")), axis=0)
        first, second = sorted(int(n) for n in np.argsort(-positives)[:2])
        cls.columns = (first, second)
        return store

    def labels(self, rows: np.ndarray | None = None) -> np.ndarray:
        labels = super().labels(rows).copy()
        first, second = type(self).columns
        labels[:, [first, second]] = labels[:, [second, first]]
        return labels


@dataclass(frozen=True)
class Arm:
    """One federation: how weights are combined, what client `WRONG` turns round, how many clients swap labels.

    Labels are learned after thousands of steps only, so there one client at a time takes its turn, with larger batches.
    """

    averaging: str = "mean"
    attack: str = "none"
    swapped: int = 0
    changes: tuple[tuple[str, Any], ...] = ()
    one_by_one: bool = False

    def folder(self, out: Path, seed: int) -> Path:
        words = [self.averaging, self.attack, str(self.swapped), *(str(value) for _, value in self.changes)]
        words += ["one-by-one"] if self.one_by_one else []
        return out / f"{seed}-{'-'.join(words).replace(' ', '_')}"


CLEAN = Arm()
OFF, BF16 = (("largest_update", "off"),), (("transfer", "bf16"),)


def poisoned(ways: Sequence[str]) -> tuple[Arm, ...]:
    """Each way clean and with each attack; the plain mean with its limit of a change; a clean mean in bf16."""
    return (
        *(Arm(way) for way in ways),
        *(Arm(way, "change") for way in ways),
        *(Arm(way, "weights", changes=OFF) for way in ways),
        Arm("mean", "weights"),
        Arm(changes=BF16),
    )


SWAPPING = tuple(Arm(swapped=count, one_by_one=True) for count in SWAPPED)


def settings_of(store: Store, arm: Arm, images: int, seed: int) -> SimulationSettings:
    """The demo's networks, in ten clients."""
    turns = ALONE if arm.one_by_one else TOGETHER
    train = {
        "preset": "demo-32", "total_images": images, "seed": seed, "samples_every": 10**9,
        "batch_size": dict.fromkeys((4, 8, 16, 32), turns["batch_size"]),
    }  # fmt: skip
    values = {
        "stores": [str(store.path)], "clients": CLIENTS, "local_iterations": 10, "train": train,
        "clients_share": turns["clients_share"], "aggregation": arm.averaging, **dict(arm.changes),
    }  # fmt: skip
    return SimulationSettings.parse(values, source="benchmark")


def train(arm: Arm, store: Store, images: int, seed: int, out: Path) -> Path:
    """The run of an arm; one that is finished is not begun again."""
    settings = settings_of(store, arm, images, seed)
    parts, folder = divided(settings, store), arm.folder(out, seed)
    films = [Swapped.open(store.path) if number < arm.swapped else store for number in range(CLIENTS)]
    sites = [Site(f"client-{n:02d}", films[n], folder / f"client-{n}", parts[n]) for n in range(CLIENTS)]

    def answer(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        reply = sites[number].answer(message)
        if message.metadata.message_type == messages.TRAIN and number == WRONG and arm.attack != "none":
            given = messages.to_numpy(message.content.array_records[messages.ARRAYS])
            own = messages.to_numpy(reply.content.array_records[messages.ARRAYS])
            wrong = {
                name: -own[name]
                if arm.attack == "weights"
                else given[name] - np.float32(LONGER) * (own[name] - given[name])
                for name in own
            }
            reply.content[messages.ARRAYS] = messages.record_of(wrong)
        return reply

    federate(InTurn(answering(answer), CLIENTS), settings, folder / "server")
    return folder / "server"


def train_beside(task: tuple[Arm, Path, int, int, Path]) -> None:
    """`train` in a process of its own, on one core."""
    arm, path, images, seed, out = task
    torch.set_num_threads(1)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    train(arm, Swapped.choose(Store.open(path)), images, seed, out)


def distance(run: Path, store: Store, extractor: Extractor) -> float:
    """FID of as many images as there are held-out films, to these."""
    generator = Generator.load(run)
    rows = np.sort(np.concatenate([store.rows("val"), store.rows("test")]))
    films = np.asarray(store.images(generator.resolution)[rows])
    images = generator.generate(len(films), seed=1).images
    return frechet_distance(*(extract(extractor, each).values for each in (films, images)))


def poison(arms: Sequence[Arm], store: Store, images: int, seeds: list[int], out: Path) -> list[dict[str, object]]:
    """A row for each way of averaging and attack; FID over that of the clean mean, mean over the seeds."""
    extractor = load_extractor("efficientnet-lite0")
    rows: list[dict[str, object]] = []
    clean = [1.0] * len(seeds)
    for arm in arms:
        found = [distance(train(arm, store, images, seed, out), store, extractor) for seed in seeds]
        clean = found if arm == CLEAN else clean
        rows.append(
            {
                "averaging": arm.averaging + (", bf16" if arm.changes == BF16 else ""),
                "wrong client turns": arm.attack,
                "largest_update": dict(arm.changes).get("largest_update", 10),
                "FID": float(np.mean(found)),
                "over the clean mean": float(np.mean(np.divide(found, clean))),
            }
        )
        print(rows[-1], flush=True)
    return rows


def swaps(store: Store, images: int, seed: int, out: Path, quick: bool) -> list[dict[str, object]]:
    """AUC of the audit's test of labels for the two findings, by number of clients that swap them."""
    names = [store.findings[column] for column in Swapped.columns]
    judge = _classifier(store, out / "classifier", quick)
    rows = []
    for arm in SWAPPING:
        run = train(arm, store, images, seed, out)
        found = {one.finding: one for one in fidelities(_material(store, run, quick), judge)}  # type: ignore[arg-type]
        row: dict[str, object] = {"clients that swap": f"{arm.swapped} of {CLIENTS}"}
        for name in names:
            row[f"{name}, films"] = found[name].auc_real.text(".2f") if name in found else "-"
            row[f"{name}, images"] = found[name].auc_synthetic.text(".2f") if name in found else "-"
        rows.append(row)
        print(row, flush=True)
    return rows


def _classifier(store: Store, run: Path, quick: bool) -> LabelClassifier:
    sizes = {"side": 32, "epochs": 4 if quick else 16, "epoch_images": 500 if quick else 4000}
    settings = ClassifierSettings.load(preset_path("classify", "small-64")).model_copy(update=sizes)
    parts = [of_store(store, part, side=settings.side) for part in ("train", "val")]  # type: ignore[arg-type]
    findings = tuple(store.findings)
    learned, stopping = (Mixture([part.about(findings)], findings, side=settings.side) for part in parts)
    train_classifier(Split(learned, stopping), settings, run, track=silent)
    return LabelClassifier(Classifier.load(run), "trained on the films as they are")


def _material(store: Store, run: Path, quick: bool) -> SimpleNamespace:
    """What the audit's test of labels looks at."""
    generator = Generator.load(run)
    columns = [store.findings.index(finding) for finding in generator.findings]
    rows = {part: store.rows(part) for part in ("train", "test")}
    drawn = generator.generate(max(400, len(rows["test"])), balanced=True, seed=2)
    patients = store.manifest["patient"].to_numpy()
    films = {
        part: SimpleNamespace(labels=store.labels(rows[part])[:, columns], patients=patients[rows[part]])
        for part in rows
    }
    settings = AuditSettings().model_copy(update={"fewest": 3} if quick else {})
    films[BALANCED] = SimpleNamespace(labels=drawn.labels, patients=np.arange(len(drawn.labels)))
    return SimpleNamespace(
        subject=SimpleNamespace(generator=generator, findings=generator.findings), settings=settings, rows=rows,
        images=store.images(generator.resolution), synthetic={BALANCED: drawn}, films=films, track=silent,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shows in minutes that it works; the numbers mean nothing")
    parser.add_argument("--out", type=Path, help="folder for the generators")
    parser.add_argument("--seed", type=int, action="append", help="of a training; several are averaged")
    parser.add_argument("--images", type=int, default=56_000, help="films shown in each training")
    parser.add_argument("--label-images", type=int, default=28_000, help="the same, where labels are swapped")
    parser.add_argument("--averaging", action="append", choices=WAYS, help="these ways only, beside the mean")
    parser.add_argument("--processes", type=int, default=1, help="trainings at once, each on one core")
    arguments = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.WARNING)
    arms = poisoned(tuple(dict.fromkeys(("mean", *(arguments.averaging or WAYS)))))
    images, label_images = (800, 800) if arguments.quick else (arguments.images, arguments.label_images)
    seeds = arguments.seed or [0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        if not (folder / "store" / "store.json").exists():
            patients = 300 if arguments.quick else 800
            ingest_phantoms(folder / "store", patients=patients, site="A", resolution=32, seed=3)
        store = Swapped.choose(Store.open(folder / "store"))
        if arguments.processes > 1:
            tasks = [
                (arm, store.path, label_images if arm.one_by_one else images, seed, folder)
                for seed in seeds
                for arm in dict.fromkeys((*arms, *SWAPPING))
            ]
            with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
                deque(pool.map(train_beside, tasks), maxlen=0)
        rows = poison(arms, store, images, seeds, folder)
        labels = swaps(store, label_images, seeds[0], folder, arguments.quick)
    print_table("Labels of two findings swapped: AUC of a classifier on real films and on images", labels)
    if arguments.quick:
        print_table("One wrong client of ten", rows)
    else:
        save(
            "federated_poison",
            __doc__.partition("\n")[0],
            rows,
            "flwr",
            swapped=labels,
            images=images,
            label_images=label_images,
            seeds=seeds,
        )


if __name__ == "__main__":
    main()
