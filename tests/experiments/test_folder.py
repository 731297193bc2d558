"""Synthetic images are drawn once, unless the generator is no longer the same or what is there is not whole."""

from pathlib import Path

import numpy as np
import pytest

from radcommons.classify.training_data import Examples, of_images
from radcommons.experiments.folder import begun_precision, kept_images
from radcommons.experiments.settings import ExperimentSettings


class Drawing:
    """Draws other images at every call, and counts them."""

    def __init__(self, digest: str) -> None:
        self.digest, self.calls = digest, 0

    def __call__(self) -> Examples:
        self.calls += 1
        images = np.full((2, 8, 8), self.calls, np.uint8)
        return of_images("synthetic run", images, np.array([[1.0], [0.0]], np.float32), ["Edema"], f"{self.digest}/7")


@pytest.mark.parametrize(("digest", "draws"), [("first", 1), ("second", 2)])
def test_images_are_drawn_again_only_for_another_generator(tmp_path: Path, digest: str, draws: int) -> None:
    folder, draw = tmp_path / "run-0", Drawing("first")
    drawn = kept_images(folder, draw, generator_digest="first")
    draw.digest = digest
    again = kept_images(folder, draw, generator_digest=digest)
    assert draw.calls == draws and (again.images == draws).all() and again.digest == f"{digest}/7"
    assert again.source == drawn.source == "synthetic run" and again.findings == ("Edema",)
    np.testing.assert_array_equal(again.labels, drawn.labels)


def test_what_a_kill_left_half_written_is_drawn_again(tmp_path: Path) -> None:
    folder, draw = tmp_path / "run-0", Drawing("first")
    kept_images(folder, draw, generator_digest="first")
    (folder / "drawn.json").write_text('{"source": "synth')
    assert (kept_images(folder, draw, generator_digest="first").images == 2).all()


def test_an_experiment_keeps_the_precision_that_it_began_with(tmp_path: Path) -> None:
    auto, asked = (ExperimentSettings(precision=word) for word in ("auto", "fp32"))
    assert begun_precision(tmp_path, auto) == "auto", "nothing was begun"
    ExperimentSettings(precision="bf16").save(tmp_path / "config.toml")
    assert begun_precision(tmp_path, auto) == "bf16" and begun_precision(tmp_path, asked) == "fp32"
    (tmp_path / "config.toml").write_text("seed = 0\n")
    assert begun_precision(tmp_path, auto) == "fp32", "an older version drew in fp32"
