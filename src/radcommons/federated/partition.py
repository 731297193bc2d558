"""One store's patients divided among clients: equal parts, parts of random size, or parts with other findings."""

import numpy as np


def divide(
    patients: np.ndarray,
    labels: np.ndarray,
    clients: int,
    division: str,
    concentration: float,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Positions of each client's films; all films of a patient go to one client, and every client has a patient.

    Args:
        patients: of each film (N,).
        labels: float (N, F), NaN = unknown.
        division: "equal"; "by size": shares from a Dirichlet distribution; "by finding": for each finding, shares of
            the patients who have it (first finding in order; those without any are a finding of their own).
        concentration: of the distribution; small = uneven.
    Raises:
        ValueError: fewer patients than clients.
    """
    names, of_film = np.unique(patients, return_inverse=True)
    if len(names) < clients:
        raise ValueError(f"{len(names)} patients cannot be divided among {clients} clients")
    if division == "by finding":
        has = np.zeros((len(names), labels.shape[1] + 1))
        np.maximum.at(has[:, :-1], of_film, np.nan_to_num(labels))
        has[:, -1] = 1
        groups = [np.flatnonzero(has.argmax(axis=1) == kind) for kind in range(has.shape[1])]
    else:
        groups = [np.arange(len(names))]
    client_of = np.empty(len(names), np.int64)
    for group in groups:
        shares = (
            np.full(clients, 1 / clients) if division == "equal" else rng.dirichlet(np.full(clients, concentration))
        )
        ends = np.round(np.cumsum(shares) * len(group)).astype(int)[:-1]
        for client, part in enumerate(np.split(rng.permutation(group), ends)):
            client_of[part] = client
    for client in range(clients):  # of an uneven division
        if not (client_of == client).any():
            largest = np.bincount(client_of, minlength=clients).argmax()
            client_of[np.flatnonzero(client_of == largest)[0]] = client
    return [np.flatnonzero(client_of[of_film] == client) for client in range(clients)]
