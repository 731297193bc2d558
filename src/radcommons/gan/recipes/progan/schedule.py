"""How the networks grow: a pure function from images seen to the phase of training."""

from dataclasses import dataclass

from radcommons.gan.recipe import Stage
from radcommons.gan.recipes.progan.settings import ProganSettings
from radcommons.models.families.family import SMALLEST, resolutions_up_to


@dataclass(frozen=True, slots=True)
class Phase:
    """What a step needs to know; `fade` is 0 at the first image of a fade-in and 1 from its end on."""

    resolution: int
    fade: float
    batch_size: int
    learning_rate: float


def stages(settings: ProganSettings) -> list[Stage]:
    """The stages that a run reaches within its total, in order: one for each resolution.

    With `images_per_phase` set (paper: 600,000) every phase has that length and the last stable phase takes what is
    left of the total; otherwise the phases up to the last fade-in share `growing_share` of the total equally.
    """
    ladder = resolutions_up_to(settings.resolution)
    phases = 2 * len(ladder) - 2  # before the last stable one
    result: list[Stage] = []
    for position, resolution in enumerate(ladder):
        first = _boundary(settings, max(0, 2 * position - 1), phases)
        stable = _boundary(settings, 2 * position, phases)
        last = resolution == ladder[-1]
        end = settings.total_images if last else _boundary(settings, 2 * position + 1, phases)
        if first >= settings.total_images:
            break
        result.append(
            Stage(
                resolution=resolution,
                first=first,
                stable=stable,
                end=min(end, settings.total_images),
                batch_size=settings.batch_size[resolution],
                learning_rate=settings.learning_rate[max(r for r in settings.learning_rate if r <= resolution)],
            )
        )
    return result


def stage_at(images_seen: int, plan: list[Stage]) -> Stage:
    """The stage in which the next image falls; past the end, the last one."""
    return next((s for s in reversed(plan) if images_seen >= s.first), plan[0])


def phase_at(images_seen: int, plan: list[Stage]) -> Phase:
    """The phase in which the next image falls."""
    stage = stage_at(images_seen, plan)
    length = stage.stable - stage.first
    fade = 1.0 if length == 0 or stage.resolution == SMALLEST else min(1.0, (images_seen - stage.first) / length)
    return Phase(stage.resolution, fade, stage.batch_size, stage.learning_rate)


def _boundary(settings: ProganSettings, phase: int, phases: int) -> int:
    """Images seen when phase number `phase` starts (0 = the smallest resolution's stable phase)."""
    if settings.images_per_phase is not None:
        return phase * settings.images_per_phase
    return round(settings.total_images * settings.growing_share * phase / phases) if phases else 0
