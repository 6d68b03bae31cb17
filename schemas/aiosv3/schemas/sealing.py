"""Sealed content: what a record says, readable only by whoever holds its data key (docs/adr/0027).

A sealed body is ``version | key id (16 bytes) | nonce | ciphertext and tag``. Version 1 is AES-256-GCM with a random
nonce of 96 bits (NIST SP 800-38D). Version 2 is AES-SIV (RFC 5297) without a nonce: the same text becomes the same
bytes, for what is found again by the hash of its bytes. Both bind the kind of the record, its id, the key's id and the
key's tenant as associated data, so that a body that is moved to another record does not open.

    key = DataKey.new(tenant)                      # tenant: its keyed hash
    body = seal(key, "answer", "task-1/2", b"...")
    key_id_of(body) == key.id                      # whose key to look for
    open_sealed(key, "answer", "task-1/2", body)   # raises BadSeal

Keys are kept, shared and shredded by ``aiosv3.streams.keys``; a worker meets them as a :class:`ContentKeys`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import Clearance

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

TASK: Final = "task"
PROMPT: Final = "prompt"
ANSWER: Final = "answer"
TOOL: Final = "tool"
QUESTION: Final = "question"
PERSON: Final = "person"
STATE: Final = "state"
DELTA: Final = "delta"
BLOCK: Final = "block"
"""Kinds that bodies are bound to. A block of a conversation has no id: it lies under the hash of its bytes."""

GCM: Final = 1
SIV: Final = 2
KEY_BYTES: Final = 32
_ID_BYTES: Final = 16
_NONCE: Final = 12
_TAG: Final = 16
_HEAD: Final = 1 + _ID_BYTES
_HASH_BYTES: Final = 16


class SealError(WireError):
    """Sealed content that cannot be opened here."""


class NoKey(SealError):
    """The key is not here, or this process holds no master key of its class."""


class KeyShredded(SealError):
    """The key was shredded: what was sealed with it is gone for good, everywhere."""


class BadSeal(SealError):
    """The bytes are no sealed body of this record: damaged, moved from another record, or of another key."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that bodies are sealed with.

    ``id``: 32 hex digits, random; ``tenant``: keyed hash of the tenant whose content it seals.
    """

    id: str
    tenant: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, tenant: str) -> DataKey:
        """A key that nobody has had."""
        return cls(os.urandom(_ID_BYTES).hex(), tenant, os.urandom(KEY_BYTES))


class Sealed(NamedTuple):
    """What goes into a record's ``content`` and ``content_key_id``; plain content has no key id."""

    content: Any
    key_id: str | None


def is_sealed(value: bytes) -> bool:
    """Whether the value of a task event is a sealed body: neither JSON nor Avro begins like one."""
    return value[:1] in {b"\x01", b"\x02"}


def key_id_of(body: bytes) -> str:
    """The id of the key that ``body`` is sealed with. Raises :class:`BadSeal` for what is no sealed body."""
    if not is_sealed(body) or len(body) < _HEAD + _TAG:
        raise BadSeal(f"{len(body)} bytes that are no sealed body: they were written by something else, or cut")
    return body[1:_HEAD].hex()


def seal(key: DataKey, kind: str, record_id: str, plain: bytes) -> bytes:
    """``plain`` as the body of the record ``record_id`` of this kind; other bytes each time."""
    nonce = os.urandom(_NONCE)
    secret = _gcm(key.secret).encrypt(nonce, plain, _bound(GCM, key, kind, record_id))
    return b"\x01" + bytes.fromhex(key.id) + nonce + secret


def seal_same(key: DataKey, kind: str, record_id: str, plain: bytes) -> bytes:
    """The same bytes each time: whoever sees two of them can tell that they hold the same."""
    return b"\x02" + bytes.fromhex(key.id) + _siv(key.secret).encrypt(plain, [_bound(SIV, key, kind, record_id)])


def open_sealed(key: DataKey, kind: str, record_id: str, body: bytes) -> bytes:
    """What was sealed. Raises :class:`BadSeal`."""
    if key_id_of(body) != key.id:
        raise BadSeal(f"the body of {kind} {record_id} is sealed with key {key_id_of(body)}, not with {key.id}")
    bound = _bound(body[0], key, kind, record_id)
    try:
        if body[0] == SIV:
            return _siv(key.secret).decrypt(body[_HEAD:], [bound])
        return _gcm(key.secret).decrypt(body[_HEAD : _HEAD + _NONCE], body[_HEAD + _NONCE :], bound)
    except (_library().InvalidTag, ValueError):
        raise BadSeal(
            f"what is sealed in {kind} {record_id} is not its own: it was damaged, or moved there from another record"
        ) from None


def _bound(version: int, key: DataKey, kind: str, record_id: str) -> bytes:
    """Associated data; lengths go before the parts, so that no two places look the same."""
    parts = [part.encode("utf-8", "surrogatepass") for part in (kind, key.tenant, key.id, record_id)]
    return b"".join([b"aiosv3", bytes([version]), *(len(part).to_bytes(4, "big") + part for part in parts)])


class _Library(NamedTuple):
    """What is used of ``cryptography``, which takes a while to load: loaded when something is sealed."""

    gcm: type[AESGCM]
    siv: type[AESSIV]
    InvalidTag: type[Exception]


@cache
def _library() -> _Library:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

    return _Library(AESGCM, AESSIV, InvalidTag)


# Not kept: building one costs a microsecond, and a key that is shredded must not live on in a cache.
def _gcm(secret: bytes) -> AESGCM:
    return _library().gcm(secret)


def _siv(secret: bytes) -> AESSIV:
    """A key of its own: one secret never serves two ciphers (HMAC-SHA512 as in RFC 5869, one block)."""
    return _library().siv(hmac.digest(secret, b"aiosv3 siv\x01", "sha512"))


class KeyedHashes:
    """Names of tenants and subjects as keys of records and headers carry them: nobody can guess one without ``secret``.

    ``secret``: that of the mesh. A subject is hashed under its tenant's key: the same person with two tenants is two.
    """

    def __init__(self, secret: bytes) -> None:
        self._index = hmac.digest(secret, b"aiosv3 names", "sha256")
        self._keys: dict[str, bytes] = {}

    def tenant(self, tenant: str) -> str:
        """32 hex digits."""
        return _short(self._key(tenant), b"tenant", tenant)

    def subject(self, tenant: str, subject: str) -> str:
        """32 hex digits, other ones with each tenant."""
        return _short(self._key(tenant), b"subject", subject)

    def value(self, tenant: str, kind: str, text: str) -> str:
        """The same for anything else that must be found again and not be read."""
        return _short(self._key(tenant), kind.encode(), text)

    def _key(self, tenant: str) -> bytes:
        key = self._keys.get(tenant)
        if key is None:
            if len(self._keys) > 10_000:
                self._keys.clear()
            key = self._keys[tenant] = hmac.digest(self._index, tenant.encode("utf-8", "surrogatepass"), "sha256")
        return key


def _short(key: bytes, kind: bytes, text: str) -> str:
    digest = hmac.new(key, kind + b"\0" + text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return digest[:_HASH_BYTES].hex()


@dataclass(frozen=True, slots=True)
class ContentKeys:
    """What content of one (tenant, subject) is sealed with, by class; content below ``since`` stays plain.

    Without ``since`` nothing is sealed: that is the default, and costs one comparison.
    """

    since: Clearance | None = None
    keys: Mapping[Clearance, DataKey] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def key(self, clearance: Clearance) -> DataKey | None:
        """The key for content of this class; None: it stays plain. Raises :class:`NoKey`: it must not go out."""
        if self.since is None or clearance < self.since:
            return None
        key = self.keys.get(clearance)
        if key is None:
            raise NoKey(f"{clearance.label} content must be sealed, and there is no data key of this class at hand")
        return key

    def seal_bytes(self, clearance: Clearance, kind: str, record_id: str, plain: bytes) -> Sealed:
        """``plain`` sealed, or as it is."""
        key = self.key(clearance)
        return Sealed(plain, None) if key is None else Sealed(seal(key, kind, record_id, plain), key.id)

    def seal_text(self, clearance: Clearance, kind: str, record_id: str, plain: str | None) -> Sealed:
        """Text sealed as UTF-8, or as it is; nothing stays nothing."""
        key = self.key(clearance)
        if key is None or plain is None:
            return Sealed(plain, None)
        return Sealed(seal(key, kind, record_id, plain.encode("utf-8", "surrogatepass")), key.id)


PLAIN: Final = ContentKeys()
"""Sealing is off."""
