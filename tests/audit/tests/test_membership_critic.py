"""The critic of a run, and its scores."""

from pathlib import Path

import numpy as np
import torch

from radcommons.audit.inputs.subject import load_critic
from radcommons.audit.tests.membership_critic import critic_scores
from radcommons.data.store import Store


def test_the_critic_of_a_run_scores_each_film_alone(hospital: Store, short_run: Path) -> None:
    loaded = load_critic(short_run, len(hospital.findings))
    assert loaded is not None and loaded[1] == hospital.record.manifest_sha256
    images = hospital.images(16)
    some, one = (
        critic_scores(loaded[0], images, np.arange(6), 1.0),
        critic_scores(loaded[0], images, np.array([4]), 1.0),
    )
    assert some[4] == one[0] and len(set(some)) == 6
    assert load_critic(short_run / "generator", 1) is None
    assert not any(p.requires_grad for p in loaded[0].parameters()) and torch.is_grad_enabled()
