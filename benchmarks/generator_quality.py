"""Is one generator better than another? A panel of measures on the same films, from the same number of images.

Synthetic images, as many as there are training films and with labels as in training, against held-out films (validation
and test part), beside the training films themselves: Frechet distance (also over the real-vs-real baseline), kernel
distance, precision, recall, density, coverage, and power by spatial frequency over that of held-out films, least and
largest of eight bands; and, with a classifier, how well it finds the labels that were asked for (mean AUC over the
findings). A gain counts if the measures agree. Each extractor gives a table; none may have taken part in a training.

    python benchmarks/generator_quality.py stores/site-a runs/old runs/new --extractor efficientnet-lite0

Without arguments it trains both families for half a minute on a simulated hospital, to show that it works.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from support.measuring import print_table

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.extractors import Extractor, extract, load_extractor
from radcommons.gan.recipes import load_settings
from radcommons.gan.training import train
from radcommons.metrics.classification import area_under_roc, split_classes
from radcommons.metrics.frechet import frechet_distance
from radcommons.metrics.kid import squared_mmd
from radcommons.metrics.manifold import manifold
from radcommons.metrics.spectrum import radial_power
from radcommons.models.classifier_files import Classifier
from radcommons.models.generator import Generator, SyntheticImages
from radcommons.settings import preset_path

MOST_FILMS = 2_000  # of each kind
NEIGHBOURS = 5
BANDS = 8
FEWEST = 10  # images of each class, for an AUC


def rows(
    store: Store, runs: list[Path], extractor: Extractor, judge: Classifier | None = None
) -> list[dict[str, object]]:
    """One row for the training films, one for each generator.

    Args:
        judge: a classifier of some of the findings, trained on real films.
    """
    generators = {run.name: Generator.load(run) for run in runs}
    side = next(iter(generators.values())).resolution
    films = store.images(side)
    train_rows = store.rows("train")[:MOST_FILMS]
    held_out_rows = np.sort(np.concatenate([store.rows("val"), store.rows("test")]))[:MOST_FILMS]
    real, held_out = np.asarray(films[train_rows]), np.asarray(films[held_out_rows])
    theirs, power = extract(extractor, held_out).values, radial_power(held_out, bands=BANDS)
    sets = {"training films": real}
    sets |= {f"{n}, {g.record.images_seen:,}": g.generate(len(real)).images for n, g in generators.items()}
    labelled = {"training films": SyntheticImages(held_out, store.labels(held_out_rows), store.findings)} | {
        f"{n}, {g.record.images_seen:,}": g.generate(len(real), balanced=True) for n, g in generators.items() if judge
    }
    found: list[dict[str, object]] = []
    baseline = None
    for name, images in sets.items():
        ours = extract(extractor, images).values
        fid = frechet_distance(theirs, ours)
        baseline = fid if baseline is None else baseline
        near = manifold(theirs, ours, neighbours=NEIGHBOURS)
        ratio = radial_power(images, bands=BANDS) / power
        found.append(
            {
                "images": name,
                "FID": fid,
                "over real": fid / baseline,
                "1000 x KID": 1000 * squared_mmd(theirs, ours),
                "precision": near.precision,
                "recall": near.recall,
                "density": near.density,
                "coverage": near.coverage,
                "spectrum, least": float(ratio.min()),
                "largest": float(ratio.max()),
            }
            | ({"labels": label_auc(judge, labelled[name])} if judge else {})
        )
    return found


def label_auc(judge: Classifier, of: SyntheticImages) -> float:
    """Mean AUC of the classifier's scores against the labels, over the findings with ten images of each class."""
    scores, aucs = judge.scores(of.images), []
    for column, finding in enumerate(of.findings):
        if finding not in judge.findings:
            continue
        positive, negative = split_classes(scores[:, judge.findings.index(finding)], of.labels[:, column])
        if min(len(positive), len(negative)) >= FEWEST:
            aucs.append(area_under_roc(positive, negative))
    return float(np.mean(aucs))


def simulated(folder: Path) -> tuple[Path, list[Path]]:
    """A simulated hospital and a generator of each family, hardly trained."""
    store = folder / "store"
    ingest_phantoms(store, patients=200, site="A", resolution=32, seed=0)
    runs = []
    for preset in ("demo-32", "small-64"):
        settings = load_settings(preset_path("train", preset), ["resolution=32", "total_images=2000"])
        runs.append(folder / settings.family)
        train(Store.open(store), settings, runs[-1])
    return store, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--extractor", action="append", help="name, or classifier=RUN for a classifier of this project")
    parser.add_argument("--classifier", type=Path, help="run of a classifier that judges whether the labels show")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, runs = (options.store, options.runs) if options.store else simulated(Path(folder))
        for asked in options.extractor or ["efficientnet-lite0"]:
            name, _, weights = asked.partition("=")
            extractor = load_extractor(name, weights=Path(weights) if weights else None)
            judge = Classifier.load(options.classifier) if options.classifier else None
            print_table(f"{store.name}, {asked}", rows(Store.open(store), runs, extractor, judge))


if __name__ == "__main__":
    main()
