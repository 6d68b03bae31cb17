from __future__ import annotations

import dataclasses
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.sealing import (
    PLAIN,
    BadSeal,
    ContentKeys,
    DataKey,
    KeyedHashes,
    NoKey,
    is_sealed,
    key_id_of,
    open_sealed,
    seal,
    seal_same,
)

KEY = DataKey("00112233445566778899aabbccddeeff", "tenant-hash", bytes(range(32)))
KNOWN_GCM = "3467b569a091deb3a5544281bcebfe7276705f556154"
KNOWN_SIV = "0200112233445566778899aabbccddeeff6bfca54e07d45b5d8fc435731022efbfd9e665a4802a"
OTHER = DataKey("ff112233445566778899aabbccddeeff", "tenant-hash", bytes(range(1, 33)))
texts = st.text(max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), texts, texts, st.sampled_from([seal, seal_same]))
def test_what_is_sealed_opens_in_its_place(plain: bytes, kind: str, record_id: str, sealing: object) -> None:
    body = sealing(KEY, kind, record_id, plain)  # type: ignore[operator]
    assert open_sealed(KEY, kind, record_id, body) == plain
    assert (key_id_of(body), is_sealed(body)) == (KEY.id, True)
    assert len(plain) < 4 or plain not in body


@settings(max_examples=60, deadline=None)
@given(st.tuples(texts, texts), st.tuples(texts, texts), st.sampled_from([seal, seal_same]))
def test_a_body_that_is_moved_does_not_open(here: tuple[str, str], there: tuple[str, str], sealing: object) -> None:
    """Not by a kind and an id that only look the same when they are put together, either."""
    body = sealing(KEY, *here, b"secret")  # type: ignore[operator]
    if here == there:
        assert open_sealed(KEY, *there, body) == b"secret"
    else:
        with pytest.raises(BadSeal, match="damaged, or moved"):
            open_sealed(KEY, *there, body)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 60), st.integers(1, 255), st.sampled_from([seal, seal_same]))
def test_no_bit_can_be_changed(place: int, flip: int, sealing: object) -> None:
    body = bytearray(sealing(KEY, "answer", "t/1", b"sixteen bytes ok"))  # type: ignore[operator]
    body[place % len(body)] ^= flip
    with pytest.raises(BadSeal):
        open_sealed(KEY, "answer", "t/1", bytes(body))


@pytest.mark.parametrize("changed", [{"tenant": "other"}, {"secret": bytes(32)}, {"id": OTHER.id}])
def test_another_key_or_tenant_does_not_open_it(changed: dict[str, object]) -> None:
    body = seal(KEY, "answer", "t/1", b"secret")
    with pytest.raises(BadSeal):
        open_sealed(dataclasses.replace(KEY, **changed), "answer", "t/1", body)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x00" * 60, b'{"a": 1}', b"\x01" + bytes(30), b"\x03" + bytes(60)])
def test_what_is_no_sealed_body_says_so(body: bytes) -> None:
    with pytest.raises(BadSeal, match="no sealed body"):
        key_id_of(body)


def test_neither_json_nor_avro_is_taken_for_sealed() -> None:
    assert [is_sealed(value) for value in (b"\0\0\0\0\1", b'{"a": 1}', b" [1]", b"", b'"x"')] == [False] * 5


def test_a_body_is_what_the_standards_make_of_it() -> None:
    """The format, taken apart by the library alone: other implementations can read it."""

    def bound(version: int) -> bytes:
        parts = [b"answer", b"tenant-hash", KEY.id.encode(), b"t/1"]
        return b"aiosv3" + bytes([version]) + b"".join(len(p).to_bytes(4, "big") + p for p in parts)

    body = seal(KEY, "answer", "t/1", b"secret")
    assert (body[0], body[1:17].hex(), len(body)) == (1, KEY.id, 17 + 12 + 6 + 16)
    assert AESGCM(KEY.secret).decrypt(body[17:29], body[29:], bound(1)) == b"secret"
    same = seal_same(KEY, "answer", "t/1", b"secret")
    derived = hmac.digest(KEY.secret, b"aiosv3 siv\x01", "sha512")
    assert AESSIV(derived).decrypt(same[17:], [bound(2)]) == b"secret"


def test_bodies_of_earlier_versions_stay_readable() -> None:
    """Known bytes: a change of the format needs a new version byte."""
    known = "0100112233445566778899aabbccddeeff"
    nonce = bytes(range(12))
    bound = b"aiosv3\x01\x00\x00\x00\x06answer\x00\x00\x00\x0btenant-hash\x00\x00\x00\x20" + KEY.id.encode()
    body = bytes.fromhex(known) + nonce + AESGCM(KEY.secret).encrypt(nonce, b"secret", bound + b"\x00\x00\x00\x03t/1")
    assert body.hex().endswith(KNOWN_GCM)
    assert open_sealed(KEY, "answer", "t/1", body) == b"secret"
    assert seal_same(KEY, "answer", "t/1", b"secret").hex() == KNOWN_SIV


def test_known_vectors_of_the_ciphers() -> None:
    """GCM: test case 16 of McGrew and Viega; SIV: RFC 5297, A.1."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    bound = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    made = AESGCM(key).encrypt(bytes.fromhex("cafebabefacedbaddecaf888"), plain, bound)
    assert made[-16:].hex() == "76fc6ece0f4e1768cddf8853bb2d551b"
    siv = AESSIV(bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
    bound = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    made = siv.encrypt(bytes.fromhex("112233445566778899aabbccddee"), [bound])
    assert made.hex() == "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"


def test_the_same_text_looks_the_same_only_where_it_must() -> None:
    assert seal(KEY, "a", "b", b"x") != seal(KEY, "a", "b", b"x")
    assert seal_same(KEY, "a", "b", b"x") == seal_same(KEY, "a", "b", b"x")


def test_names_are_hashed_under_a_key_of_each_tenant() -> None:
    hashes = KeyedHashes(b"secret")
    assert hashes.subject("acme", "ana") == KeyedHashes(b"secret").subject("acme", "ana")
    names = {hashes.subject("acme", "ana"), hashes.subject("other", "ana"), hashes.tenant("acme"), hashes.tenant("ana")}
    assert len(names | {KeyedHashes(b"else").subject("acme", "ana"), hashes.value("acme", "topic", "ana")}) == 6
    assert all(len(name) == 32 for name in names)


def test_content_below_the_class_stays_plain_and_above_it_never_does() -> None:
    keys = ContentKeys(Clearance.CONFIDENTIAL, {Clearance.CONFIDENTIAL: KEY})
    assert keys.seal_text(Clearance.INTERNAL, "answer", "t/1", "hi") == ("hi", None)
    sealed = keys.seal_text(Clearance.CONFIDENTIAL, "answer", "t/1", "hi")
    assert (open_sealed(KEY, "answer", "t/1", sealed.content), sealed.key_id) == (b"hi", KEY.id)
    assert keys.seal_text(Clearance.CONFIDENTIAL, "answer", "t/1", None) == (None, None)
    with pytest.raises(NoKey, match="restricted"):
        keys.seal_bytes(Clearance.RESTRICTED, "answer", "t/1", b"hi")
    assert PLAIN.seal_bytes(Clearance.RESTRICTED, "answer", "t/1", b"hi") == (b"hi", None)


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(KEY)
    assert "DataKey" not in repr(ContentKeys(Clearance.PUBLIC, {Clearance.PUBLIC: KEY}))
