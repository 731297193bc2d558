"""Claim: training on a CPU shows at least 1.7 times the images/s of the plain formulation at every stage.

Both take whole steps (critic, gradient penalty, generator, optimisers) from the same weights on the same images, in
turns. Before the timing, one step of each must give the same losses.
"""

import argparse
import copy

import torch
from support import plain_networks as plain
from support.measuring import matrix_product_rate, pair, print_table, save
from support.steps import FINDINGS, draw_of, our_step

from radcommons.gan.networks import build_networks, build_optimisers
from radcommons.gan.schedule import Phase, stages
from radcommons.gan.settings import TrainSettings
from radcommons.gan.steps import Draw, step_flops
from radcommons.gan.threads import open_threads
from radcommons.settings import preset_path

STAGES = {  # images a step: below the preset's own where five rounds of the baseline would take too long
    "small-64": {4: 16, 8: 16, 16: 16, 32: 16, 64: 16},  # warms up for the other
    "paper-256": {16: 32, 32: 8, 64: 4, 128: 4},
}
STEPS = {"paper-256": 1, "small-64": 3}  # in each timing


def measure(preset: str, rounds: int, stages: dict[int, int]) -> list[dict[str, object]]:
    settings = TrainSettings.load(preset_path("train", preset)).model_copy(update={"resolution": max(stages)})
    device = torch.device("cpu")
    torch.manual_seed(0)
    ours = build_networks(settings, FINDINGS, device)
    theirs = copy.deepcopy(ours)
    our_optimisers, their_optimisers = build_optimisers(ours, settings), build_optimisers(theirs, settings)
    ceiling = matrix_product_rate()
    rows: list[dict[str, object]] = []
    with open_threads(device) as threads:
        for resolution, batch in stages.items():
            draw = draw_of(batch, resolution, settings.latent_size)
            phase = Phase(resolution, 1.0, batch, 0.001)

            def our_steps(draw: Draw = draw, phase: Phase = phase) -> None:
                for _ in range(STEPS[preset]):
                    our_step(ours, our_optimisers, draw, phase, settings, threads)

            def plain_steps(draw: Draw = draw, resolution: int = resolution) -> None:
                for _ in range(STEPS[preset]):
                    plain.train_step(theirs.generator, theirs.critic, their_optimisers, draw, draw, resolution)

            times = pair(plain_steps, our_steps, rounds=rounds, warm_up=preset == "small-64")
            images = batch * STEPS[preset]
            work = step_flops(ours, resolution) * images
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
    for stage in stages(TrainSettings.load(preset_path("train", preset))):
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
    whole = whole_preset("small-64", rows)
    save(
        "training",
        __doc__.splitlines()[0],
        rows,
        whole_small_64=whole,
        matrix_product_gflops=matrix_product_rate() / 1e9,
    )
    print_table("The whole small-64 schedule at these rates", [whole])


if __name__ == "__main__":
    main()
