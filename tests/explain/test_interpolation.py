import numpy as np

from radcommons.explain.interpolation import draw_interpolations, strengths
from radcommons.explain.latents import draw_first
from radcommons.progress import silent

EFFUSION = ("Effusion",)


def drawn(generator, sets=(EFFUSION,), frames=5, patients=3, seed=1):
    return draw_interpolations(generator, sets, frames=frames, patients=patients, seed=seed, track=silent)


def test_strengths_go_from_absent_to_present_in_equal_steps() -> None:
    assert strengths(5).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_an_interpolation_keeps_the_person_and_raises_the_finding_step_by_step(painter, heats) -> None:
    generator = painter({"Effusion": 40 * heats["Effusion"]})
    (images,) = drawn(generator)
    assert images.shape == (3, 5, 16, 16)
    region = heats["Effusion"] > heats["Effusion"].max() / 2
    never = heats["Effusion"] == 0
    inside = images[:, :, region].astype(float).mean(axis=2)
    assert (np.diff(inside, axis=1) > 0).all()
    assert (images[:, :, never] == images[:, :1, never]).all()
    assert not np.array_equal(images[0, 0], images[1, 0])


def test_its_ends_are_the_healthy_and_the_ill_film_of_generate(painter, heats) -> None:
    generator = painter({"Effusion": 40 * heats["Effusion"]})
    (images,) = drawn(generator)
    assert np.array_equal(images[:, 0], generator.generate(3, findings={}, seed=1).images)
    assert np.array_equal(images[:, -1], generator.generate(3, findings={"Effusion": 1}, seed=1).images)
    assert np.array_equal(images[:, -1], draw_first(generator, EFFUSION, 3, 1))


def test_all_findings_at_once_draw_what_each_draws_alone(painter, heats) -> None:
    generator = painter({"Effusion": 40 * heats["Effusion"], "Cardiomegaly": 40 * heats["Cardiomegaly"]})
    sets = [("Cardiomegaly",), EFFUSION, ("Effusion", "Cardiomegaly")]
    together = drawn(generator, sets=sets, frames=9, patients=5)
    for chosen, images in zip(sets, together, strict=True):
        assert np.array_equal(images, drawn(generator, sets=[chosen], frames=9, patients=5)[0])
