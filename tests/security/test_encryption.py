"""Stored credentials: what is encrypted comes back, whole, in its place, or not at all."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satupeta_server.errors import UnavailableError
from satupeta_server.security.encryption import Encryptor

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
CONTEXT = "credentials:1"
SECRET = {"username": "pembaca", "password": "sandi-geoserver"}

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, TEXTS), TEXTS)
def test_what_is_encrypted_comes_back(values: dict[str, str], context: str) -> None:
    encryptor = Encryptor({"1": OLD})
    key_id, ciphertext = encryptor.encrypt(values, context)
    assert encryptor.decrypt(key_id, ciphertext, context) == values


def test_nothing_of_it_is_readable_and_no_two_are_the_same() -> None:
    encryptor = Encryptor({"1": OLD})
    results = {encryptor.encrypt(SECRET, CONTEXT)[1] for _ in range(50)}
    assert len(results) == 50
    assert len({result[:12] for result in results}) == 50
    for result in results:
        assert not [text for pair in SECRET.items() for text in pair if text.encode() in result]


def test_every_changed_bit_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    encryptor = Encryptor({"1": OLD})
    key_id, ciphertext = encryptor.encrypt(SECRET, CONTEXT)
    for position in range(len(ciphertext)):
        changed = bytearray(ciphertext)
        changed[position] ^= 1 << position % 8
        with pytest.raises(UnavailableError):
            encryptor.decrypt(key_id, bytes(changed), CONTEXT)


def test_every_shortened_or_lengthened_text_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    encryptor = Encryptor({"1": OLD})
    key_id, ciphertext = encryptor.encrypt(SECRET, CONTEXT)
    for changed in [ciphertext[:length] for length in range(len(ciphertext))] + [ciphertext + b"x"]:
        with pytest.raises(UnavailableError):
            encryptor.decrypt(key_id, changed, CONTEXT)


def test_a_text_opens_in_its_own_place_only() -> None:
    encryptor = Encryptor({"1": OLD})
    key_id, ciphertext = encryptor.encrypt(SECRET, CONTEXT)
    with pytest.raises(UnavailableError):
        encryptor.decrypt(key_id, ciphertext, "credentials:2")


def test_a_wrong_or_missing_key_is_told_to_the_administrator_and_not_to_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key_id, ciphertext = Encryptor({"2025": OLD}).encrypt(SECRET, CONTEXT)
    for ring in ({"2025": NEW}, {"2026": OLD}):
        caplog.clear()
        with pytest.raises(UnavailableError) as error:
            Encryptor(ring).decrypt(key_id, ciphertext, CONTEXT)
        assert "2025" in caplog.text
        assert CONTEXT in caplog.text
        assert "2025" not in error.value.message.text("en")
        assert SECRET["password"] not in caplog.text


def test_a_rotated_ring_reads_the_old_and_writes_with_the_new() -> None:
    before = Encryptor({"2025": OLD})
    old_id, old_text = before.encrypt(SECRET, CONTEXT)
    rotated = Encryptor({"2026": NEW, "2025": OLD})
    assert old_id == "2025"
    assert rotated.decrypt(old_id, old_text, CONTEXT) == SECRET
    new_id, new_text = rotated.encrypt(SECRET, CONTEXT)
    assert new_id == "2026"
    assert Encryptor({"2026": NEW}).decrypt(new_id, new_text, CONTEXT) == SECRET
    with pytest.raises(UnavailableError):
        before.decrypt(new_id, new_text, CONTEXT)
