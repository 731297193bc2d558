"""Where a cluster is: ``dask://HOST:PORT``, ``dask+tls://HOST:PORT`` or ``ray://HOST:PORT``."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from radcommons.errors import ClusterRefused

ENGINES = {"dask": "tcp", "dask+tls": "tls", "ray": "ray"}  # scheme here: scheme of the engine


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
        form = f"--cluster is '{text}'; write it as dask://HOST:PORT, dask+tls://HOST:PORT or ray://HOST:PORT"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:  # a port that is no number or above 65535, a bracket without its other
            raise ClusterRefused(form) from None
        rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        if parts.scheme not in ENGINES or not host or not port or rest:
            raise ClusterRefused(form)
        return cls(text, parts.scheme, host, port)

    @property
    def of_engine(self) -> str:
        """The address as the engine writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{ENGINES[self.scheme]}://{host}:{self.port}"

    def __str__(self) -> str:
        return self.text
