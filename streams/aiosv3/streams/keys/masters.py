"""Master keys, one or more for each data class: what data keys are wrapped with.

A process has those of the classes that it is cleared for, and no others: what is wrapped with another one is noise to
it. They come from a file or a variable of the environment, in TOML::

    confidential = "base64 of 32 bytes"
    restricted = ["the one that wraps", "an older one, which still opens"]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.sealing import KEY_BYTES, NoKey

_NONCE: Final = 12


class BadMasterKeys(AiosError):
    """Master keys that cannot be used; says which and why, never what they are."""


class Wrapper(Protocol):
    """Wraps data keys: a set of master keys here, or a key management service elsewhere.

    ``context`` is bound to what is wrapped: a wrapped key does not open under another id, tenant or class. Neither
    method blocks the loop. Both raise :class:`~aiosv3.schemas.sealing.NoKey` for a class that this process is not
    cleared for, and :class:`~aiosv3.streams.errors.KeysUnavailable` when a service does not answer.
    """

    def may(self, clearance: Clearance) -> bool:
        """Whether keys of this class can be wrapped and unwrapped here; asked without waiting."""
        ...

    async def wrap(self, clearance: Clearance, secret: bytes, context: bytes) -> tuple[str, bytes]:
        """``(name of the master key, wrapped key)``."""
        ...

    async def unwrap(self, clearance: Clearance, master: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key."""
        ...


class MasterKeys:
    """A :class:`Wrapper` of keys in memory. The first of a class wraps, all of them unwrap."""

    def __init__(self, keys: Mapping[Clearance, Sequence[bytes]]) -> None:
        self._keys = {clearance: {name_of(key): key for key in of_class} for clearance, of_class in keys.items()}

    def __repr__(self) -> str:
        return f"MasterKeys({', '.join(clearance.label for clearance in sorted(self._keys))})"

    @classmethod
    def parse(cls, text: str, up_to: Clearance = Clearance.RESTRICTED) -> MasterKeys:
        """Those of the classes up to ``up_to``; the others are forgotten. Raises :class:`BadMasterKeys`."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise BadMasterKeys("the master keys are not TOML: write one line a class, confidential = '…'") from None
        return cls({clearance: keys for clearance, keys in _parsed(values) if clearance <= up_to})

    @property
    def names(self) -> dict[Clearance, tuple[str, ...]]:
        """The names of the keys of each class; the first wraps."""
        return {clearance: tuple(keys) for clearance, keys in sorted(self._keys.items())}

    def may(self, clearance: Clearance) -> bool:
        """See :class:`Wrapper`."""
        return bool(self._keys.get(clearance))

    async def wrap(self, clearance: Clearance, secret: bytes, context: bytes) -> tuple[str, bytes]:
        """See :class:`Wrapper`: AES-256-GCM."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, key = next(iter(self._of(clearance).items()))
        nonce = os.urandom(_NONCE)
        return name, nonce + AESGCM(key).encrypt(nonce, secret, context)

    async def unwrap(self, clearance: Clearance, master: str, wrapped: bytes, context: bytes) -> bytes:
        """See :class:`Wrapper`."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        keys = self._of(clearance)
        if master not in keys:
            raise NoKey(
                f"a data key is wrapped by the {clearance.label} master key {master}, and this process has "
                f"{', '.join(keys)}: add the older one behind the new one"
            )
        try:
            return AESGCM(keys[master]).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise NoKey(f"a data key under master key {master} does not open: its record was changed") from None

    def _of(self, clearance: Clearance) -> dict[str, bytes]:
        keys = self._keys.get(clearance)
        if not keys:
            raise NoKey(f"this process has no master key for {clearance.label} content: it is not cleared for it")
        return keys


def name_of(key: bytes) -> str:
    """What a master key is called in records: says nothing of the key."""
    return hashlib.sha256(b"aiosv3 master key\0" + key).hexdigest()[:16]


def new_master_keys(classes: Sequence[Clearance] = tuple(Clearance)) -> str:
    """Fresh ones, as TOML."""
    lines = [f'{clearance.label} = "{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"' for clearance in classes]
    return "\n".join(lines) + "\n"


def _parsed(values: Mapping[str, object]) -> list[tuple[Clearance, list[bytes]]]:
    found = []
    for label, value in values.items():
        try:
            clearance = Clearance.parse(label)
        except ValueError as error:
            raise BadMasterKeys(f"the master keys: {error}") from None
        given = value if isinstance(value, list) else [value]
        found.append((clearance, [_key(label, text) for text in given]))
    return found


def _key(label: str, text: object) -> bytes:
    try:
        key = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadMasterKeys(f"the {label} master key is not {KEY_BYTES} bytes in base64: 'aiosv3 keys new' makes one")
    return key
