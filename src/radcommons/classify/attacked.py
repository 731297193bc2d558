"""Scores of labelled films under attack or under noise, batch by batch, so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from radcommons.classify.pgd import AttackSettings, attack, evaluating, noise
from radcommons.classify.training_data import Examples, Mixture, with_both_classes
from radcommons.errors import TooFewImages
from radcommons.metrics.classification import auc_by_finding, binary_labels
from radcommons.progress import Advance
from radcommons.seeds import torch_stream


def films_to_attack(films: Examples, *, side: int) -> Mixture:
    """The films with a known label, at the side of the network's input.

    A label of 0.5 or more is present. The labels of a finding with one class only become unknown, so that the attack
    ignores them.

    Raises:
        TooFewImages: no finding has both classes.
    """
    labels = binary_labels(films.labels)
    both = with_both_classes(labels)
    if not both.any():
        positives, negatives = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
        counts = ", ".join(f"{f} {p}/{n}" for f, p, n in zip(films.findings, positives, negatives, strict=True))
        raise TooFewImages(
            f"no finding has both classes among the {len(labels)} films to attack (present/absent: {counts}); "
            "name films with and without a finding"
        )
    labels[:, ~both] = np.nan
    known = np.flatnonzero(~np.isnan(labels).all(axis=1))
    return Mixture([replace(films, labels=labels).take(known)], films.findings, side=side)


def attacked_findings(films: Mixture) -> dict[str, int]:
    """The findings with both classes among the films, and their columns."""
    return {films.findings[column]: int(column) for column in np.flatnonzero(with_both_classes(films.labels))}


def scores_under(
    change: AttackSettings,
    network: nn.Module,
    films: Mixture,
    *,
    seed: int,
    batch_size: int,
    advance: Advance,
    made_on: nn.Module | None = None,
    by_chance: bool = False,
) -> np.ndarray:
    """Logits of the attacked findings after a change of every film, float64 (n, findings).

    The random starts follow from seed and batch size alone, so all networks and epsilons are compared on the same ones.

    Args:
        change: the attack.
        made_on: another network on which the examples are made.
        by_chance: change the films by `noise` of the attack's size instead.
    """
    columns = list(attacked_findings(films).values())
    found = []
    with evaluating(network):
        for number, (grey, labels) in enumerate(batches(films, batch_size, next(network.parameters()).device)):
            if by_chance:
                changed = noise(grey, change, torch_stream(seed, "noise", number))
            else:
                generator = torch_stream(seed, "attack", number)
                changed = attack(made_on or network, grey, labels, change, generator=generator)
            with torch.no_grad():
                found.append(network(changed)[:, columns].double().cpu())
            advance(len(grey))
    return torch.cat(found).numpy()


def batches(films: Mixture, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Grey levels float32 (b, 1, side, side) and labels (b, F) of each batch, on the device."""
    for first in range(0, len(films), batch_size):
        places = np.arange(first, min(first + batch_size, len(films)))
        yield films.read(places).to(device), torch.from_numpy(films.labels[places]).to(device)


def aucs(scores: np.ndarray, films: Mixture) -> np.ndarray:
    """AUC of each attacked finding, (findings,)."""
    return auc_by_finding(scores, films.labels[:, list(attacked_findings(films).values())])
