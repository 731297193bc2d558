"""Claim: training on a CPU shows at least 1.7 times the images/s of the plain formulation at every stage.

Both take whole steps (critic, gradient penalty, generator, optimisers) from the same weights on the same images, in
turns. Before the timing, one step of each must give the same losses.
"""

import argparse
import copy

import torch
from support import plain_networks as plain
from support.measuring import matrix_product_rate, pair, print_table, save
from support.steps import FILMS, random_batch, stable_position

from radcommons.gan.batches import TrainingBatch
from radcommons.gan.gradients import open_compute
from radcommons.gan.recipe import Position
from radcommons.gan.recipes.progan.schedule import stages
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.recipes.progan.training import ProganTraining, build_optimisers, step_flops
from radcommons.runs.distributed import Distributed
from radcommons.settings import preset_path

STAGES = {  # images a step: below the preset's own where five rounds of the baseline would take too long
    "progan-64": {4: 16, 8: 16, 16: 16, 32: 16, 64: 16},  # warms up for the other
    "paper-256": {16: 32, 32: 8, 64: 4, 128: 4},
}
STEPS = {"paper-256": 1, "progan-64": 3}  # in each timing


def measure(preset: str, rounds: int, stages: dict[int, int]) -> list[dict[str, object]]:
    settings = ProganSettings.load(preset_path("train", preset)).model_copy(update={"resolution": max(stages)})
    torch.manual_seed(0)
    ceiling = matrix_product_rate()
    rows: list[dict[str, object]] = []
    with open_compute("fp32", Distributed(0, 1, torch.device("cpu"))) as compute:
        ours = ProganTraining(settings, FILMS, compute)
        theirs = copy.deepcopy(ours.networks)
        their_optimisers = build_optimisers(theirs, settings)
        for resolution, batch in stages.items():
            shown = random_batch(batch, resolution, settings.latent_size)
            position = stable_position(ours, resolution)

            def our_steps(shown: TrainingBatch = shown, position: Position = position) -> None:
                for _ in range(STEPS[preset]):
                    ours.step(position, shown)

            def plain_steps(shown: TrainingBatch = shown, resolution: int = resolution) -> None:
                for _ in range(STEPS[preset]):
                    plain.train_step(theirs.generator, theirs.critic, their_optimisers, shown, shown, resolution)

            times = pair(plain_steps, our_steps, rounds=rounds, warm_up=preset == "progan-64")
            images = batch * STEPS[preset]
            work = step_flops(theirs.generator.config, resolution) * images
            rows.append(
                {
                    "preset": preset,
                    "resolution": resolution,
                    "batch": batch,
                    "plain images/s": images / times.baseline_seconds,
                    "ours images/s": images / times.our_seconds,
                    "ratio": times.ratio,
                    "plain GFLOP/s": work / times.baseline_seconds / 1e9,
                    "of ceiling": work / times.baseline_seconds / ceiling,
                    "ours as plain GFLOP/s": work / times.our_seconds / 1e9,
                    "times ceiling": work / times.our_seconds / ceiling,
                }
            )
    return rows


def whole_preset(preset: str, rows: list[dict[str, object]]) -> dict[str, float]:
    """Hours of a preset's whole schedule at the measured rates, and their ratio."""
    hours = {"plain": 0.0, "ours": 0.0}
    rates = {row["resolution"]: row for row in rows if row["preset"] == preset}
    for stage in stages(ProganSettings.load(preset_path("train", preset))):
        for name in hours:
            hours[name] += (stage.end - stage.first) / float(rates[stage.resolution][f"{name} images/s"]) / 3600  # type: ignore[arg-type]
    return {"plain hours": hours["plain"], "our hours": hours["ours"], "ratio": hours["plain"] / hours["ours"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=sorted(STAGES), help="this one alone, and no result file")
    parser.add_argument("--resolution", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for preset, batches in STAGES.items():
        if options.preset in (None, preset):
            chosen = {r: b for r, b in batches.items() if options.resolution in (None, r)}
            rows += measure(preset, options.rounds, chosen)
    if options.preset or options.resolution:
        print_table(__doc__.splitlines()[0], rows)
        return
    whole = whole_preset("progan-64", rows)
    save(
        "training",
        __doc__.splitlines()[0],
        rows,
        whole_small_64=whole,
        matrix_product_gflops=matrix_product_rate() / 1e9,
    )
    print_table("The whole progan-64 schedule at these rates", [whole])


if __name__ == "__main__":
    main()
