"""What a training command would do: its settings, its schedule and its sizes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, SerializeAsAny

from radcommons.data.store import Store
from radcommons.gan.findings import chosen_findings
from radcommons.gan.recipes import RECIPES, parse_settings
from radcommons.gan.settings import TrainSettings
from radcommons.models.families import FAMILIES
from radcommons.models.families.family import parameter_count
from radcommons.settings import chosen_values

DEFAULT_ON_CPU, DEFAULT_ON_GPU = "small-64", "paper-256"


class StageSummary(BaseModel):
    """One line of the schedule; `fade_images` and `stable_images` are real images shown."""

    resolution: int
    fade_images: int
    stable_images: int
    batch_size: int
    learning_rate: float


class TrainingPlan(BaseModel):
    """Everything a dry run prints."""

    store: str
    training_images: int
    store_resolution: int
    findings: tuple[str, ...]
    settings: SerializeAsAny[TrainSettings]
    schedule: list[StageSummary]
    generator_parameters: int
    critic_parameters: int
    reaches_final_resolution: bool


def choose_settings(
    run: Path, *, preset: str | None = None, config: Path | None = None, overrides: Sequence[str] = ()
) -> TrainSettings:
    """The settings of a command: a preset or a file with overrides, those of a run begun, or the default preset.

    Raises:
        SettingRefused, PathMissing.
    """
    default = DEFAULT_ON_GPU if torch.cuda.is_available() else DEFAULT_ON_CPU
    values, source = chosen_values(
        "train", run / "config.toml", default, preset=preset, config=config, overrides=overrides
    )
    return parse_settings(values, source=source)


def describe(store: Store, settings: TrainSettings) -> TrainingPlan:
    """Schedule and parameter counts of a run on a store, without training."""
    findings = chosen_findings(store, settings)
    plan, family = RECIPES[settings.family].stages(settings), FAMILIES[settings.family]
    with torch.device("meta"):
        config = settings.network(len(findings))
        generator, critic = family.generator(config), family.critic(config)
    return TrainingPlan(
        store=store.name,
        training_images=len(store.rows("train")),
        store_resolution=store.resolutions[-1],
        findings=findings,
        settings=settings,
        schedule=[
            StageSummary(
                resolution=s.resolution,
                fade_images=min(s.stable, s.end) - s.first,
                stable_images=max(0, s.end - s.stable),
                batch_size=s.batch_size,
                learning_rate=s.learning_rate,
            )
            for s in plan
        ],
        generator_parameters=parameter_count(generator),
        critic_parameters=parameter_count(critic),
        reaches_final_resolution=plan[-1].resolution == settings.resolution,
    )


def as_text(plan: TrainingPlan) -> str:
    """The plan as lines for people."""
    lines = [
        f"store       {plan.store}: {plan.training_images:,} training images",
        f"findings    {', '.join(plan.findings)}",
        f"generator   {plan.generator_parameters:,} parameters",
        f"critic      {plan.critic_parameters:,} parameters",
        f"total       {plan.settings.total_images:,} images, seed {plan.settings.seed}",
        "",
        "resolution     fade-in      stable   batch      rate",
    ]
    lines += [
        f"{s.resolution:>10} {s.fade_images:>11,} {s.stable_images:>11,} {s.batch_size:>7} {s.learning_rate:>9g}"
        for s in plan.schedule
    ]
    if not plan.reaches_final_resolution:
        end = plan.schedule[-1].resolution
        lines += ["", f"total_images ends this run at {end}, below the final {plan.settings.resolution}"]
    if plan.store_resolution < plan.schedule[-1].resolution:
        lines += ["", f"the store holds images up to {plan.store_resolution}; import it larger before training this"]
    return "\n".join(lines)
