"""A stream depends on the seed and its names, and on nothing else."""

import numpy as np
import torch

from radcommons.seeds import derive, numpy_stream, torch_stream


def test_a_seed_never_changes_between_versions() -> None:
    assert derive(0) == 2033344993903900207
    assert derive(7, "latent", 3) == 3247573768226133449


def test_another_seed_name_type_or_order_gives_another_stream() -> None:
    seeds = [derive(1, "a"), derive(2, "a"), derive(1, "b"), derive(1, "a", "b"), derive(1, "b", "a"), derive(1),
             derive(1, 1), derive(1, "1"), derive(-1, "a"), derive(1, "a/b")]  # fmt: skip
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_streams_repeat_and_leave_the_global_ones_alone() -> None:
    np.random.seed(0)  # noqa: NPY002  the global stream is what is tested
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[union-attr, index]  # noqa: NPY002
    assert (numpy_stream(3, "x").random(5) == numpy_stream(3, "x").random(5)).all()
    assert torch.equal(torch.rand(5, generator=torch_stream(3, "x")), torch.rand(5, generator=torch_stream(3, "x")))
    assert (np.random.get_state()[1] == before[0]).all()  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_neighbouring_streams_are_not_correlated() -> None:
    draws = np.stack([numpy_stream(0, "image", i).standard_normal(2000) for i in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 0.1  # 4.5 standard errors
