"""Where a cluster is, ``dask://HOST:PORT`` or ``dask+tls://HOST:PORT``, and what an open one offers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from radcommons.errors import ClusterRefused

SCHEMES = {"dask": "tcp", "dask+tls": "tls"}  # written here: written by Dask


@dataclass(frozen=True)
class Address:
    """The address of a cluster's scheduler, as written on the command line."""

    text: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read SCHEME://HOST:PORT; raises ClusterRefused."""
        form = f"--cluster is '{text}'; write it as dask://HOST:PORT or dask+tls://HOST:PORT"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:  # a port that is not a number or is above 65535, or an unclosed bracket
            raise ClusterRefused(form) from None
        rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        if parts.scheme not in SCHEMES or not host or not port or rest:
            raise ClusterRefused(form)
        return cls(text, parts.scheme, host, port)

    @property
    def of_dask(self) -> str:
        """The address as Dask writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEMES[self.scheme]}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Cluster:
    """An open cluster.

    Attributes:
        address: where it is.
        backend: joblib's, for ``joblib.Parallel(backend=...)``.
        cores: returns how many jobs the cluster runs at once, now.
        lost: exceptions which mean that workers were killed again and again, or that the scheduler is gone.
    """

    address: Address
    backend: Any
    cores: Callable[[], int]
    lost: tuple[type[BaseException], ...]
