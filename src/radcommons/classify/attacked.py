"""Scores of labelled films after a change of every film, batch by batch, so that memory stays bounded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from radcommons.classify.pgd import AttackSettings, attack, evaluating, noise
from radcommons.errors import TooFewImages
from radcommons.metrics.classification import auc_by_finding, binary_labels
from radcommons.models.classifier import resized
from radcommons.progress import Advance
from radcommons.seeds import torch_stream

# Grey levels (n, 1, R, R), labels (n, F) and the number of the batch -> changed images.
Change = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class LabelledFilms:
    """Films to attack, with the findings that have both classes among them.

    Attributes:
        images: uint8 (N, R, R), in memory or mapped.
        rows: of the images with a known label, (n,).
        labels: their labels, float32 (n, F), 1, 0 or NaN; NaN too in the columns left out, so that the attack
            ignores them.
        patients: patient of each, (n,).
        findings: the F outputs of the network.
        evaluated: columns of the findings with both classes.
        side: of the network's input; a batch is resized to it before it is attacked.
    """

    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    findings: tuple[str, ...]
    evaluated: tuple[int, ...]
    side: int

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        labels: np.ndarray,
        patients: np.ndarray,
        findings: Sequence[str],
        *,
        rows: np.ndarray | None = None,
        side: int | None = None,
    ) -> Self:
        """Films whose findings have both classes.

        Args:
            images: uint8 (N, R, R).
            labels: (n, F), in [0, 1] or NaN, of which 0.5 and more is present.
            patients: (n,).
            findings: F names.
            rows: which of the images these are, (n,); all by default.
            side: of the network's input; the images' own by default.
        Raises:
            TooFewImages: no finding has both classes.
        """
        classes = binary_labels(labels)
        positives, negatives = (classes == 1).sum(axis=0), (classes == 0).sum(axis=0)
        evaluated = np.flatnonzero((positives > 0) & (negatives > 0))
        if not len(evaluated):
            counts = ", ".join(f"{f} {p}/{n}" for f, p, n in zip(findings, positives, negatives, strict=True))
            raise TooFewImages(
                f"no finding has both classes among the {len(labels)} films to attack (present/absent: {counts}); "
                "name films with and without a finding"
            )
        classes[:, np.setdiff1d(np.arange(len(findings)), evaluated)] = np.nan
        known = np.flatnonzero(~np.isnan(classes).all(axis=1))
        return cls(
            images=images,
            rows=known if rows is None else rows[known],
            labels=classes[known],
            patients=patients[known],
            findings=tuple(findings),
            evaluated=tuple(map(int, evaluated)),
            side=side or images.shape[-1],
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The findings that are evaluated."""
        return tuple(self.findings[column] for column in self.evaluated)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The other findings, which have one class only."""
        return tuple(name for name in self.findings if name not in self.names)


def changed_scores(
    network: nn.Module, films: LabelledFilms, change: Change, *, batch_size: int, advance: Advance
) -> np.ndarray:
    """Logits of the evaluated findings after a change of every film, float64 (n, evaluated)."""
    device = next(network.parameters()).device
    found = []
    with evaluating(network):
        for number, (grey, labels) in enumerate(batches(films, batch_size, device)):
            changed = change(grey, labels, number)
            with torch.no_grad():
                found.append(network(changed)[:, list(films.evaluated)].double().cpu())
            advance(len(grey))
    return torch.cat(found).numpy()


def batches(films: LabelledFilms, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Grey levels float32 (b, 1, side, side) and labels (b, F) of each batch, on the device."""
    for first in range(0, len(films), batch_size):
        part = slice(first, first + batch_size)
        grey = torch.from_numpy(np.array(films.images[films.rows[part]], np.float32))[:, None]
        yield resized(grey.to(device), films.side), torch.from_numpy(films.labels[part]).to(device)


def pgd_scores(
    network: nn.Module,
    films: LabelledFilms,
    settings: AttackSettings,
    *,
    seed: int,
    batch_size: int,
    advance: Advance,
    made_on: nn.Module | None = None,
) -> np.ndarray:
    """Logits under `attack`, (n, evaluated); the examples are `made_on` another network where one is given.

    The random starts follow from seed and batch size alone, so all networks and epsilons are compared on the same ones.
    """
    attacked = network if made_on is None else made_on

    def change(grey: Tensor, labels: Tensor, number: int) -> Tensor:
        return attack(attacked, grey, labels, settings, generator=torch_stream(seed, "attack", number))

    return changed_scores(network, films, change, batch_size=batch_size, advance=advance)


def noise_scores(
    network: nn.Module,
    films: LabelledFilms,
    settings: AttackSettings,
    *,
    seed: int,
    batch_size: int,
    advance: Advance,
) -> np.ndarray:
    """Logits under `noise` of the attack's size, (n, evaluated)."""

    def change(grey: Tensor, labels: Tensor, number: int) -> Tensor:
        return noise(grey, settings, torch_stream(seed, "noise", number))

    return changed_scores(network, films, change, batch_size=batch_size, advance=advance)


def aucs(scores: np.ndarray, films: LabelledFilms) -> np.ndarray:
    """AUC of each evaluated finding, (evaluated,)."""
    return auc_by_finding(scores, films.labels[:, list(films.evaluated)])
