"""Membership inference through the critic: why the critic never leaves the hospital."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import nn

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests.membership import membership_test
from radcommons.models.grey_levels import to_signed
from radcommons.records import PrivacyTest
from radcommons.resume import Kept
from radcommons.seeds import numpy_stream

TEST = partial(
    PrivacyTest,
    kind="membership inference: through the critic",
    access="critic",
    question="Can somebody who has the critic tell whose films were in training?",
)


def tests(inputs: PrivacyInputs, material: Material, work: Kept) -> Iterator[PrivacyTest]:
    """Does the critic prefer films of patients in training?"""
    subject, real = material.subject, inputs.real
    if subject.critic is None:
        why = "a set has no weights" if subject.kind == "set" else "no checkpoint lies beside the generator"
        yield TEST(skipped=why)
        return
    critic, _ = subject.critic
    inside, outside = (
        critic_scores(critic, material.images, material.labels, rows)
        for rows in (material.rows["train"], material.rows["test"])
    )
    rng = numpy_stream(inputs.settings.seed, "critic")
    yield membership_test(TEST, inside, outside, real.train.patients, real.held_out.patients, inputs, rng=rng)


def critic_scores(critic: nn.Module, images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The critic's score of each film alone, higher = more real.

    Args:
        images: uint8 (N, R, R), may be a memory map.
        labels: float32 (N, F) in the generator's order, NaN unknown.
        rows: which of them, (n,).
    Returns:
        float64 (n,).
    """
    scores = np.empty(len(rows))
    with torch.no_grad():
        for place, row in enumerate(rows):  # one at a time: it compares the images of a batch with each other
            film = to_signed(torch.from_numpy(np.array(images[row]))[None, None])
            scores[place] = float(critic(film, torch.from_numpy(np.nan_to_num(labels[row]))[None])[0])
    return scores
