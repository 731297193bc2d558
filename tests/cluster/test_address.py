"""An address names scheme, host and port, and nothing else."""

import pytest

from radcommons.cluster.address import Address
from radcommons.errors import ClusterRefused


@pytest.mark.parametrize(
    ("text", "of_dask"),
    [
        ("dask://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("dask+tls://node-1.hospital:8786", "tls://node-1.hospital:8786"),
        ("dask://[fe80::1]:8786", "tcp://[fe80::1]:8786"),
    ],
)
def test_an_address_is_written_as_its_engine_does(text: str, of_dask: str) -> None:
    assert Address.parse(text).of_dask == of_dask
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "dask", "10.0.0.1:8786", "tcp://10.0.0.1:8786", "ray://head:10001", "dask://", "dask://head", "dask://:8786",
        "dask://head:port", "dask://head:99999", "dask://head:0", "dask://head:8786/path", "dask://head:8786?x=1",
        "dask://user@head:8786", "dask://[::1:8786",
    ],
)  # fmt: skip
def test_any_other_text_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(ClusterRefused) as refused:
        Address.parse(text)
    form = "write it as dask://HOST:PORT or dask+tls://HOST:PORT"
    assert str(refused.value) == f"--cluster is '{text}'; {form}"
