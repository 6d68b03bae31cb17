"""The view port: what a memory view keeps, what it is asked, what it answers.

A view is a cache of the memory log. It holds the newest version of each memory, finds some of them, and can be thrown
away and built again. It decides nothing: order, merging and supersession are on the log; expiry and forgetting arrive
as ``Remove``. All times are milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]

QUARANTINED: Final = 0
"""The lowest trust: kept, shown in a history, and found only by a query that asks for it with ``min_trust=0``."""

TENANT_SCOPE: Final = "tenant"
"""What everybody of a tenant may read; other scopes are ``team:NAME`` and ``agent:NAME``."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One version of one memory as a view keeps it. Compared by identity: a vector has no truth value."""

    id: str
    """Unique within its tenant; the same in all versions."""
    version: int
    """Grows with each version. A view ignores a change that is not above what it has seen of this id."""
    tenant: str
    scope: str
    """``tenant``, ``team:NAME`` or ``agent:NAME``: who may read it."""
    kind: str
    """``episode``, ``fact``, ``chunk``, ``preference`` or ``procedure``."""
    text: str
    valid_from: int
    recorded_at: int
    content_hash: str
    """Of everything that a rebuild must bring back; the digest is made of it."""
    subject: str | None = None
    """Keyed hash of whom it is about."""
    speaker: str | None = None
    vector: Vector | None = None
    """As many numbers as all others of this ``embedder``; its length does not matter. A view keeps it in a form of its
    own: entries that come back from a view have none."""
    embedder: str | None = None
    """Who made the vector. Only vectors of one embedder are ever compared."""
    valid_to: int | None = None
    """The first millisecond at which it no longer holds; None: it still does."""
    expires_at: int | None = None
    """From here on no search and no ``get`` shows it; it is counted in the digest until a ``Remove`` says so."""
    source: str = ""
    """What it came from: a conversation, a document, a task. Empty: it has no neighbours."""
    position: int = 0
    """Order within ``source``: the turn of a conversation, the chunk of a document."""
    trust: int = 1
    """Higher is more trusted; ``QUARANTINED`` is 0."""
    importance: float = 0.0
    """0 to 1: how much its rank may be lifted, where all else is equal."""
    partition: int = -1
    offset: int = -1
    """Where its event is on ``memory.events``."""


@dataclass(frozen=True, slots=True)
class Put:
    """Keep this version instead of any older one."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Remove:
    """Let go of a memory up to and with ``version``: a late ``Put`` of such a version does not bring it back."""

    tenant: str
    id: str
    version: int


Change: TypeAlias = Put | Remove


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What is looked for. Every condition holds within the search itself: k hits are k hits that may be shown.

    With neither ``text`` nor ``vector`` it is a scan: what meets the conditions, newest ``valid_from`` first, of one
    moment and source the highest ``position``. With one source: the last turns of a conversation, whenever they came.
    """

    tenant: str
    scopes: Collection[str]
    """The scopes that the asker may read. Empty: nothing is found."""
    text: str = ""
    vector: Vector | None = None
    embedder: str | None = None
    """Who made ``vector``."""
    k: int = 10
    kinds: Collection[str] | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None
    """Only what was valid at some time in [since, until)."""
    at: int | None = None
    """Only what was valid at this moment."""
    min_trust: int = 1
    sources: Collection[str] | None = None
    """Only from these."""
    without_sources: Collection[str] = ()
    """Not from these."""
    positions: tuple[int, int] | None = None
    """Only positions from the first to the second, both included: with ``sources`` a turn and its neighbours."""
    diversity: float = 0.0
    """0 to 1: how much a hit loses that says what a better one says (maximal marginal relevance). Not for scans."""

    def scans(self) -> bool:
        """Whether nothing is looked for but what meets the conditions."""
        return not self.text.strip() and self.vector is None

    def one_source(self) -> str | None:
        """The source that alone is looked into; None where there is none, or several."""
        return next(iter(self.sources)) if self.sources is not None and len(set(self.sources)) == 1 else None


def scan_order(entry: Entry) -> tuple[int, str, int, str]:
    """The order of a scan's hits."""
    return -entry.valid_from, entry.source, -entry.position, entry.id


class Parts(NamedTuple):
    """What a score is made of, each as it was added to it."""

    lexical: float = 0.0
    """Words that the query and the memory, or the memories next to it, have in common."""
    dense: float = 0.0
    """Nearness of meaning, of the memory and of those next to it."""
    neighbour: float = 0.0
    """What the whole conversation or document that it is part of has in common with the query."""
    recency: float = 0.0
    """That it is new, or important."""
    named: float = 0.0
    """That the query names who said it, or when."""


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One memory that was found. Scores of different queries, or of different views, are not comparable."""

    entry: Entry
    score: float
    parts: Parts = field(default=Parts())


class PartialHits(list[Hit]):
    """Hits out of a part of what is remembered, because the view that has all of it did not answer."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a view holds of a tenant: equal digests are equal memories, whatever the order they came in."""

    count: int
    hash: str
    """Hex; order-independent over (id, version, content_hash). All zeros when nothing is held."""


class View(Protocol):
    """A memory view. Any method raises ``ViewUnavailable`` when the view cannot answer: the caller degrades."""

    async def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in. When it returns, every search sees all of them.

        Idempotent, and in any order across ids: a change whose version is not above what was put or removed before is
        skipped. After an error any part of the changes may be in; apply all of them again.
        """
        ...

    async def search(self, query: Query) -> list[Hit]:
        """At most ``query.k`` hits, best first; equal scores by id. Never a memory of another tenant or scope."""
        ...

    async def get(self, tenant: str, ids: Collection[str]) -> list[Entry]:
        """Those of the memories that are held and have not expired, by id, whatever their scope: the caller checks."""
        ...

    async def digest(self, tenant: str) -> Digest:
        """What is held of a tenant, expired memories too."""
        ...

    async def purge(self, tenant: str, *, subject: str | None = None, ids: Collection[str] = ()) -> int:
        """Forget at once every memory of ``subject`` and every one of ``ids``; how many there were.

        Nothing of their content is left behind, neither in indexes nor in statistics. What was purged by id or subject
        comes back only under a higher version.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and memory. Safe to call twice."""
        ...
