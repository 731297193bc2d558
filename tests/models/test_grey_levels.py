import torch

from radcommons.models.grey_levels import to_bytes, to_signed


def test_every_grey_level_comes_back_as_it_went() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_signed(levels)), levels)


def test_black_is_minus_one_white_is_one_and_what_lies_beyond_is_clipped() -> None:
    assert to_signed(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    assert to_bytes(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
