"""Membership inference through the critic: why the critic never leaves the hospital."""

import numpy as np
import torch
from torch import nn

from radcommons.audit.inputs.material import Material
from radcommons.audit.inputs.privacy import PrivacyInputs
from radcommons.audit.tests.membership import membership_test
from radcommons.audit.work import Work
from radcommons.data.listing import Part
from radcommons.models.grey_levels import to_signed
from radcommons.records import PrivacyTest
from radcommons.seeds import numpy_stream

COMPARED: tuple[Part, Part] = ("train", "test")


def tests(inputs: PrivacyInputs, material: Material, work: Work) -> list[PrivacyTest]:
    """Does the critic prefer films of patients in training?"""
    question = "Can somebody who has the critic tell whose films were in training?"
    subject = material.subject
    if subject.critic is None:
        why = "a set has no weights" if subject.kind == "set" else "no checkpoint lies beside the generator"
        return [
            PrivacyTest(
                kind="membership inference: through the critic", access="critic", question=question, skipped=why
            )
        ]
    critic, _ = subject.critic
    inside, outside = (
        critic_scores(critic, material.images, material.labels, material.rows[part]) for part in COMPARED
    )
    return [
        membership_test(
            inside,
            outside,
            inputs.real.train.patients,
            inputs.real.held_out.patients,
            kind="membership inference: through the critic",
            access="critic",
            question=question,
            settings=inputs.settings,
            significance=inputs.significance,
            rng=numpy_stream(inputs.settings.seed, "critic"),
        )
    ]


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
