"""The critic of a run, and its scores."""

from pathlib import Path

import numpy as np
import torch

from radcommons.audit.inputs.subject import load_critic
from radcommons.audit.tests.membership_critic import critic_scores
from radcommons.data.store import Store
from radcommons.models.generator import Generator


def test_the_critic_of_a_run_scores_each_film_alone(hospital: Store, short_run: Path) -> None:
    generator = Generator.load(short_run)
    loaded = load_critic(short_run, generator)
    assert loaded is not None and loaded[1] == hospital.record.manifest_sha256
    images, labels = hospital.images(16), hospital.labels()
    some, one = (critic_scores(loaded[0], images, labels, rows) for rows in (np.arange(6), np.array([4])))
    assert some[4] == one[0] and len(set(some)) == 6
    assert load_critic(short_run / "generator", generator) is None
    assert not any(p.requires_grad for p in loaded[0].parameters()) and torch.is_grad_enabled()
