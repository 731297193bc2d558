import hmac
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from radcommons.data.pseudonyms import fingerprint, load_key, load_or_create_key, phantom_fingerprint, pseudonym
from radcommons.errors import BadInput


def test_a_pseudonym_is_the_head_of_an_hmac_and_depends_on_the_key():
    key = bytes(range(32))
    assert pseudonym("patient", key=key) == hmac.new(key, b"patient", "sha256").hexdigest()[:16]
    assert pseudonym("patient", key=bytes(32)) != pseudonym("patient", key=key)
    assert pseudonym("Müller", key=key) != pseudonym("Muller", key=key)


def test_a_key_is_made_once_for_the_owner_only(tmp_path):
    path = tmp_path / "key"
    key = load_or_create_key(path)
    assert len(key) == 32 and load_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert load_or_create_key(tmp_path / "other") != key


def test_processes_that_come_at_once_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_key(tmp_path / "key"), range(32)))
    assert len(keys) == 1


def test_a_fingerprint_names_a_key_and_holds_nothing_of_it():
    key = bytes(range(32))
    assert fingerprint(key) == fingerprint(bytes(range(32))) != fingerprint(bytes(32))
    assert len(fingerprint(key)) == 16 and fingerprint(key) not in key.hex()
    assert fingerprint(key) not in (pseudonym("", key=key), pseudonym("fingerprint", key=key))


def test_a_phantom_hospital_is_named_by_site_and_seed():
    assert phantom_fingerprint(site="A", seed=1) == phantom_fingerprint(site="A", seed=1)
    others = {phantom_fingerprint(site=site, seed=seed) for site, seed in (("A", 1), ("A", 2), ("B", 1), ("1 A", 1))}
    assert len(others) == 4


def test_a_key_that_is_only_read_is_never_made(tmp_path):
    with pytest.raises(BadInput, match="is not a key of 32 bytes"):
        load_key(tmp_path / "key")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "abcd", "zz" * 32])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path, content):
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(BadInput, match="is not a key of 32 bytes"):
        load_or_create_key(path)
    assert path.read_text() == content
