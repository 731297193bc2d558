"""How sets of values spread, in common bins."""

import numpy as np

from radcommons.records import Histogram


def histogram(values: dict[str, np.ndarray], *, bins: int = 30, span: tuple[float, float] | None = None) -> Histogram:
    """Shares of named sets of values in common bins, rounded to four decimals."""
    together = np.concatenate(list(values.values()))
    edges = np.histogram_bin_edges(together, bins, range=span)
    shares = {name: np.histogram(v, edges)[0] / len(v) for name, v in values.items()}
    return Histogram(
        edges=tuple(round(float(e), 4) for e in edges),
        shares={name: tuple(round(float(s), 4) for s in share) for name, share in shares.items()},
    )
