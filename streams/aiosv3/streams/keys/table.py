"""What is known of data keys: the records of a key store in their order."""

from __future__ import annotations

from typing import NamedTuple

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord


class Owner(NamedTuple):
    """Whose content, of which class: it has one data key in use. ``tenant`` and ``subject`` are keyed hashes."""

    tenant: str
    subject: str | None
    clearance: Clearance


def owner_of(record: KeyRecord) -> Owner:
    """Whose key it is. Raises ValueError for a class that there is not."""
    return Owner(record.tenant, record.subject, Clearance.parse(record.clearance))


class KeyTable:
    """Records by id and by owner. The first key of an owner is in use; what is shredded stays so, whatever follows."""

    def __init__(self) -> None:
        self._by_id: dict[str, KeyRecord] = {}
        self._by_owner: dict[Owner, list[str]] = {}
        self._shredded: dict[tuple[str, str | None], int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def apply(self, record: KeyRecord) -> bool:
        """The next record. False where it would bring a shredded key back: that is not taken."""
        known = self._by_id.get(record.key_id)
        if known is None:
            self._by_owner.setdefault(owner_of(record), []).append(record.key_id)
        elif known.kind is KeyKind.SHREDDED and record.kind is not KeyKind.SHREDDED:
            return False
        elif record.kind is KeyKind.DATA:
            return True  # the first record of an id is the key
        if record.kind is KeyKind.SHREDDED:
            whose = record.tenant, record.subject
            self._shredded[whose] = max(record.updated, self._shredded.get(whose, record.updated))
        self._by_id[record.key_id] = record
        return True

    def shredded(self, tenant: str, subject: str | None) -> int | None:
        """When keys of a subject were last shredded (ms), of whatever class; None: never."""
        return self._shredded.get((tenant, subject))

    @property
    def has_shredded(self) -> bool:
        """Whether a key was ever shredded."""
        return bool(self._shredded)

    def get(self, key_id: str) -> KeyRecord | None:
        """The key of this id, as it is now."""
        return self._by_id.get(key_id)

    def used(self, owner: Owner) -> KeyRecord | None:
        """The key that seals the content of ``owner``; None: it has none yet."""
        for key_id in self._by_owner.get(owner, ()):
            if self._by_id[key_id].kind is KeyKind.DATA:
                return self._by_id[key_id]
        return None

    def of(self, tenant: str, subject: str | None) -> list[KeyRecord]:
        """All keys of a subject, of every class; without a subject those of the tenant alone."""
        owners = (Owner(tenant, subject, clearance) for clearance in Clearance)
        return [self._by_id[key_id] for owner in owners for key_id in self._by_owner.get(owner, ())]

    def all(self) -> list[KeyRecord]:
        """Every key, oldest first."""
        return list(self._by_id.values())
