import pytest
import torch

from radcommons.gan.recipes.rgan.augmentation import ENTRIES, augment

MIDDLE = 0.5  # of a random number that moves by -1 .. 1: no move


def asking(**entries: float) -> torch.Tensor:
    """Random numbers of one film that ask for what is named and nothing else; gates 0 = yes."""
    names = ["geometry", "grey", "cutout", "x", "y", "turn", "zoom", "brightness", "contrast", "cut_x", "cut_y"]
    values = {name: 0.99 if place < 3 else MIDDLE for place, name in enumerate(names)}
    return torch.tensor([list({**values, **entries}.values())])


@pytest.fixture
def film() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.nn.functional.interpolate(torch.randn(1, 1, 8, 8), size=32, mode="bicubic")


def test_without_probability_nothing_changes(film) -> None:
    found = augment(film.repeat(5, 1, 1, 1), torch.rand(5, ENTRIES), 0.0)
    assert torch.equal(found.images, film.repeat(5, 1, 1, 1)) and bool((found.inside == 1).all())


def test_a_shift_moves_the_film_and_marks_what_it_uncovers(film) -> None:
    found = augment(film, asking(geometry=0.0, x=1.0), 0.5)  # 1/8 of 32 pixels: the film moves 4 to the left
    torch.testing.assert_close(found.images[..., :28], film[..., 4:], atol=1e-4, rtol=0)
    assert bool((found.inside[..., :28] == 1).all()) and bool((found.inside[..., 28:] == 0).all())
    assert bool((found.images[..., 28:] == 0).all())


def test_brightness_and_contrast_by_hand(film) -> None:
    found = augment(film, asking(grey=0.0, brightness=1.0, contrast=1.0), 0.5)
    torch.testing.assert_close(found.images, film * 1.25 + 0.2)


def test_a_square_is_cut_out_and_marked(film) -> None:
    found = augment(film, asking(cutout=0.0), 0.5)
    expected = torch.ones(32, 32)
    expected[10:22, 10:22] = 0  # 0.4 of 32 pixels in the middle
    assert torch.equal(found.inside[0, 0], expected) and torch.equal(found.images, film * expected)


def test_the_film_is_never_flipped_nor_inverted() -> None:
    """The brightest corner stays where it is, and bright stays bright."""
    torch.manual_seed(2)
    film = torch.full((400, 1, 32, 32), -0.8)
    film[..., 8:14, 20:26] = 0.8
    found = augment(film, torch.rand(400, ENTRIES), 0.8)
    weight = ((found.images + 1).clamp(min=0) * found.inside).flatten(2)
    masked = weight * (found.images.flatten(2) > 0.2)
    ys, xs = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    seen = masked.sum((1, 2)) > 5  # not cut out
    centre_x = (masked[:, 0] * xs.flatten()).sum(1)[seen] / masked.sum((1, 2))[seen]
    centre_y = (masked[:, 0] * ys.flatten()).sum(1)[seen] / masked.sum((1, 2))[seen]
    assert seen.sum() > 300 and bool((centre_x > 15.5).all()) and bool((centre_y < 17.5).all())


def test_gradients_flow_through_to_the_film() -> None:
    film = torch.randn(3, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    random = torch.rand(3, ENTRIES)
    assert torch.autograd.gradcheck(lambda x: augment(x, random, 0.8).images, (film,))


def test_how_often_each_kind_happens_is_the_probability() -> None:
    torch.manual_seed(4)
    found = augment(torch.zeros(4000, 1, 8, 8), torch.rand(4000, ENTRIES), 0.3)
    brightened = (found.images.flatten(1).amax(1) != 0) | (found.images.flatten(1).amin(1) != 0)
    assert abs(float(brightened.float().mean()) - 0.3) < 0.03
