"""From the paper's GAN to the residual one, step by step, each step trained for the same time of one core.

A0  the paper's progressive GAN (Wasserstein loss, gradient penalty, a classifier head for the labels)
A1  A0, and real and synthetic images are augmented before the critic sees them
A2  A1, with the relativistic pairing loss and zero-centred gradient penalties in place of the Wasserstein ones
A3  A2, with labels by projection, which set in after a quarter of the run, in place of the classifier head
A4  the residual networks with all of it, as the preset trains them

    python benchmarks/ladder.py stores/site-a --out ladder --minutes 10 --seed 0 --seed 1

A0 to A3 are of the preset progan-64, A4 is of small-64. A pilot of some steps at each resolution says how many images
fit in the time; the table gives the processor time that the training took. Every generator is kept in the folder, and
the same command goes on where it was stopped. The measures are those of `generator_quality.py`.

Without arguments it trains every step for seconds on a simulated hospital, to show that it works.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from generator_quality import rows
from support.measuring import print_table, save
from torch import Tensor

from radcommons.data.ingest import ingest_phantoms
from radcommons.data.store import Store
from radcommons.extractors import load_extractor
from radcommons.gan.batches import DataSummary, TrainingBatch
from radcommons.gan.gradients import Compute, compute_gradients, open_compute
from radcommons.gan.recipe import Position, Training, TrainingState, advance, upcoming, update_ema
from radcommons.gan.recipes import RECIPES, load_settings
from radcommons.gan.recipes.progan.losses import (
    fade_real,
    gradient_norm,
    label_loss,
    mix,
    penalty,
    wasserstein_loss,
)
from radcommons.gan.recipes.progan.schedule import phase_at, stage_at
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.gan.recipes.progan.training import ProganTraining, build_optimisers
from radcommons.gan.recipes.rgan.augmentation import ENTRIES, augment
from radcommons.gan.recipes.rgan.settings import RganSettings
from radcommons.gan.recipes.rgan.training import falling
from radcommons.gan.settings import TrainSettings
from radcommons.gan.training import open_source, publish
from radcommons.models.classifier_files import Classifier
from radcommons.models.families.progan import Critic
from radcommons.models.families.rgan import centred
from radcommons.runs.distributed import Distributed
from radcommons.settings import preset_path

STEPS = ("A0", "A1", "A2", "A3", "A4")
GAMMA = 2.5, 0.3  # weight of the zero-centred penalties at 64 pixels, at the start and the end
LABELS = 0.25, 0.5  # of the run: projected labels begin to act, and act in full
PILOT = 12  # steps at each resolution


class Step(ProganTraining):
    """The progressive GAN with some of the residual GAN's training: `A1`, `A2` or `A3`."""

    def __init__(self, settings: ProganSettings, data: DataSummary, compute: Compute, *, name: str) -> None:
        super().__init__(settings, data, compute)
        self.relativistic, self.projection = name >= "A2", name >= "A3"
        self.means = torch.tensor(data.label_means)
        shown = {"total_images": settings.total_images, "resolution": settings.resolution}
        small = load_settings(preset_path("train", "small-64"), [f"{k}={v}" for k, v in shown.items()])
        assert isinstance(small, RganSettings)
        self.probability = small.augmentation_for(data.films)  # the same rule as A4's

    def step(self, position: Position, batch: TrainingBatch) -> dict[str, Tensor]:
        """One step of the critic, one of the generator and its moving average."""
        settings, networks, seen = self.settings, self.networks, position.images_seen
        phase = phase_at(seen, self.plan)
        if stage_at(seen, self.plan) != stage_at(position.last_step_at, self.plan):
            self.optimisers = build_optimisers(networks, settings)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = phase.learning_rate

        # ---- images as the critic sees them ----
        share = seen / settings.total_images
        strength = min(1.0, max(0.0, (share - LABELS[0]) / (LABELS[1] - LABELS[0]))) if self.projection else 1.0
        asked = batch.real_labels if self.relativistic else batch.fake_labels  # a pair has the same labels
        labels = self.means + strength * centred(asked, self.means)
        fake = networks.generator(batch.latents, labels, phase.resolution, phase.fade)
        real_random, fake_random = batch.random.split(ENTRIES, dim=1)
        real = augment(fade_real(batch.images, phase.fade), real_random, self.probability).images
        seen_fake = augment(fake, fake_random, self.probability).images

        # ---- losses ----
        fade, on_labels = phase.fade, strength * centred(asked, self.means)

        def scored(images: Tensor, *, fade: float) -> tuple[Tensor, Tensor]:
            scores, by_finding = networks.critic(images, fade=fade)
            return (scores + (by_finding * on_labels).sum(dim=1) if self.projection else scores), by_finding

        penalise = self.relativistic and position.step % 4 == 0  # every fourth step, as in A4
        gamma = 4 * falling(*GAMMA, share) * (phase.resolution / 64) ** 2

        def of_critic(_: None) -> tuple[Tensor, dict[str, Tensor]]:
            theirs = seen_fake.detach()
            (real_scores, logits), (fake_scores, _) = scored(real, fade=fade), scored(theirs, fade=fade)
            if not self.relativistic:
                norms = gradient_norm(networks.critic, mix(real, theirs, batch.mix_weights), fade)
                loss = wasserstein_loss(real_scores, fake_scores, settings.drift)
                loss = (loss + penalty(norms, settings.gradient_penalty)).mean()
            else:
                loss = F.softplus(fake_scores - real_scores).mean()
                if penalise:
                    for images in (real, theirs):
                        norms = gradient_norm(_called(scored), images, fade)
                        loss = loss + gamma / 2 * norms.square().mean()
            if not self.projection:
                loss = loss + settings.label_weight * label_loss(logits, batch.real_labels).mean()
            return loss, {"critic_loss": loss}

        def of_generator(_: None) -> tuple[Tensor, dict[str, Tensor]]:
            scores, logits = scored(seen_fake, fade=fade)
            loss = -scores.mean()
            if self.relativistic:
                with torch.no_grad():
                    real_scores, _ = scored(real, fade=fade)
                loss = F.softplus(real_scores - scores).mean()
            if not self.projection:
                loss = loss + settings.label_weight * label_loss(logits, asked).mean()
            return loss, {"generator_loss": loss}

        numbers = compute_gradients(networks.critic, of_critic, [None], self.compute)
        self.optimisers["critic"].step()
        numbers |= compute_gradients(networks.generator, of_generator, [None], self.compute, through=networks.critic)
        self.optimisers["generator"].step()
        update_ema(networks.ema, networks.generator, settings.ema_decay)
        return numbers


def _called(scored: Callable[..., tuple[Tensor, Tensor]]) -> Critic:
    """`gradient_norm` only calls its critic."""
    return scored  # type: ignore[return-value]


def settings_of(name: str, *, seed: int, images: int, side: int) -> TrainSettings:
    """The preset of a step, for so many images."""
    preset = "small-64" if name == "A4" else "progan-64"
    return load_settings(preset_path("train", preset), [f"seed={seed}", f"total_images={images}", f"resolution={side}"])


def training_of(name: str, settings: TrainSettings, data: DataSummary, compute: Compute) -> Training:
    """Freshly initialised networks of a step."""
    if name in ("A0", "A4"):
        return RECIPES[settings.family].training(settings, data, compute)
    assert isinstance(settings, ProganSettings)
    return Step(settings, data, compute, name=name)


def train(store: Store, name: str, out: Path, *, minutes: float, seed: int, side: int) -> dict[str, float]:
    """Train one step for so many minutes of one core; the generator goes to `out`. Returns images and minutes."""
    with Distributed.init() as distributed, open_compute("bf16" if name == "A4" else "fp32", distributed) as compute:

        def begun(images: int) -> tuple[TrainingState, Any, TrainSettings]:
            settings = settings_of(name, seed=seed, images=images, side=side)
            source = open_source(store, settings, distributed)
            training = training_of(name, settings, source.batches.summary(), compute)
            return TrainingState(settings.family, training), source, settings

        # ---- the pilot: seconds of processor time for an image of each resolution ----
        guess = 100_000
        state, source, settings = begun(guess)
        seconds = 0.0
        for stage in RECIPES[settings.family].stages(settings):
            middle = (stage.first + stage.end) // 2
            for step in range(PILOT):
                if step == PILOT // 3:
                    started = time.process_time()
                batch_size, resolution = state.training.batch_at(middle)
                batch = source.batches.at(step, middle, batch_size, resolution)
                state.training.step(Position(step, middle, middle), batch)
            an_image = (time.process_time() - started) / ((PILOT - PILOT // 3) * batch_size)
            seconds += (stage.end - stage.first) * an_image
        images = max(1_000, int(guess * 60 * minutes / seconds))

        # ---- the training ----
        state, source, settings = begun(images)
        started = time.process_time()
        stream = source.batches.stream(upcoming(state.training, state.position, end=images))
        while state.position.images_seen < images:
            numbers = advance(state, stream, 1)
            if state.position.step % 500 == 0:
                losses = ", ".join(f"{key} {float(value):.3f}" for key, value in numbers[-1].items())
                print(f"{out.name}: {state.position.images_seen:,} of {images:,} images; {losses}", flush=True)
            if not all(math.isfinite(float(value)) for value in numbers[-1].values()):
                print(f"{out.name}: diverged after {state.position.images_seen:,} images", flush=True)
                break
        spent = (time.process_time() - started) / 60
        publish(state, source, out)
        return {"images shown": state.position.images_seen, "core-minutes": round(spent, 2)}


def ladder(
    store: Store, out: Path, *, minutes: float, seeds: list[int], side: int, names: list[str], judge: Classifier | None
) -> list[dict[str, object]]:
    """Train what is not there yet, then one row for the training films and one for every generator."""
    runs, spent = [], {}
    for seed in seeds:
        for name in names:
            run = out / f"{name}-seed-{seed}"
            noted = run / "training.json"
            if not noted.exists():
                run.mkdir(parents=True, exist_ok=True)
                numbers = train(store, name, run, minutes=minutes, seed=seed, side=side)
                noted.write_text(json.dumps(numbers), encoding="utf-8")
            runs.append(run)
            spent[run.name] = json.loads(noted.read_text())
    found = rows(store, runs, load_extractor("efficientnet-lite0"), judge)
    for row in found:
        row |= spent.get(str(row["images"]).split(",")[0], {"images shown": "", "core-minutes": ""})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("ladder"))
    parser.add_argument("--minutes", type=float, default=10, help="of one core, for each training")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated")
    parser.add_argument("--step", choices=STEPS, action="append", help="may be repeated; all by default")
    parser.add_argument("--side", type=int, default=64, help="of the images, pixels")
    parser.add_argument("--classifier", type=Path, help="run of a classifier that judges whether the labels show")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        minutes, side, out, path = options.minutes, options.side, options.out, options.store
        if path is None:
            path, out, minutes, side = Path(folder) / "store", Path(folder) / "ladder", 0.05, 32
            ingest_phantoms(path, patients=200, site="A", resolution=side, seed=0)
        store = Store.open(path)
        found = ladder(
            store,
            out,
            minutes=minutes,
            seeds=options.seed or [0],
            side=side,
            names=options.step or list(STEPS),
            judge=Classifier.load(options.classifier) if options.classifier else None,
        )
        claim = f"{store.name}: from the paper's GAN to the residual one, {minutes:g} minutes of one core each"
        if options.store is None:
            print_table(claim, found)
        else:
            save(f"ladder-{store.name.lower()}", claim, found)


if __name__ == "__main__":
    main()
