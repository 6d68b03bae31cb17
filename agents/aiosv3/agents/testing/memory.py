"""The memory of a test: what memory workers do, in a dictionary, on words, and on vectors where a test gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiosv3.agents.errors import ClearanceDenied, MemoryRefused, StepError
from aiosv3.agents.memory import Memory, memory_told
from aiosv3.agents.testing.scripts import Said
from aiosv3.agents.testing.vectors import Embed, nearness
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.memory import (
    TENANT_WIDE,
    MemoryAction,
    MemoryQuery,
    memory_id_of,
    place_of,
    subject_of,
)

_WORD: Final = re.compile(r"\w+")


@dataclass(slots=True)
class _Kept:
    query: MemoryQuery
    tenant: str
    clearance: Clearance
    recorded_at: int
    offset: int

    @property
    def text(self) -> str:
        return str(self.query.content or "")


@dataclass(slots=True)
class MemoryInTest:
    """What is remembered in all runs of a test. A request that comes again is answered as before and changes nothing.

    Found is what has a word in common with the query, most of them first; with ``embed`` whatever may be seen, nearest
    first. ``secret``: of the mesh.
    """

    secret: bytes
    embed: Embed | None = None
    suspects: set[tuple[str | None, str | None]] = field(default_factory=set)
    """Sources, and tasks, that are in quarantine."""
    teams: dict[str, set[str]] = field(default_factory=dict)
    _kept: dict[tuple[str, str], _Kept] = field(default_factory=dict)
    _said: dict[tuple[str, str], Said] = field(default_factory=dict)
    _offset: int = 0

    def keep(self, text: str, tenant: str, scope: str, subject: str | None, kind: str, at: int, **origin: Any) -> None:
        """Something that is remembered when the test begins. ``origin``: its ``source``, ``trust``, ``model``."""
        about = None if subject is None else subject_of(self.secret, tenant, subject)
        place = place_of(self.secret, tenant, scope, about)
        memory_id = memory_id_of(self.secret, tenant, place, scope, kind, "text", text)
        told: dict[str, Any] = {"memory_id": memory_id, "scope": scope, "subject": about, "kind": kind, **origin}
        query = MemoryQuery("", "", "before the test", "", "", MemoryAction.REMEMBER, place, content=text, **told)
        self._hold(query, tenant, Clearance.PUBLIC, at)

    def kept(self, tenant: str) -> list[Memory]:
        """All that a tenant has in memory, oldest first."""
        mine = [kept for (owner, _), kept in self._kept.items() if owner == tenant]
        return [memory_told(self._told(kept)) for kept in sorted(mine, key=lambda kept: kept.offset)]

    def says(self, query: MemoryQuery, grant: Grant, route: Route, at: int) -> Said:
        """The answer to a request that came at ``at`` (ms)."""
        where = query.request_id, route.hash
        if where not in self._said:
            try:
                answer = self._answer(query, grant, route, at)
            except StepError as error:
                self._said[where] = Said(None, error.failure())
            else:
                self._said[where] = Said(json.dumps(answer, ensure_ascii=False))
        return self._said[where]

    def _answer(self, query: MemoryQuery, grant: Grant, route: Route, at: int) -> dict[str, Any]:
        agent = route.agent or ""
        scopes = {TENANT_WIDE, f"agent:{agent}", *(f"team:{team}" for team, who in self.teams.items() if agent in who)}
        if query.scope is not None and query.scope not in scopes:
            raise ClearanceDenied(f"agent {agent} may not use the memories of scope {query.scope!r}")
        if query.action is MemoryAction.RECALL:
            return self._recalled(query, grant, scopes, at)
        if query.action is MemoryAction.FORGET:
            return self._forgotten(query, grant.tenant)
        if not query.content:
            raise MemoryRefused("there is nothing to remember")
        return self._hold(query, grant.tenant, grant.clearance, at)

    def _hold(self, query: MemoryQuery, tenant: str, clearance: Clearance, at: int) -> dict[str, Any]:
        key = (tenant, query.memory_id or "")
        known = self._kept.get(key)
        offset, self._offset = self._offset, self._offset + 1
        if query.supersedes is not None:
            self._kept.pop((tenant, query.supersedes), None)
        if known is None or known.query.content != query.content:
            self._kept[key] = _Kept(query, tenant, clearance, at, offset)
        return {"id": query.memory_id, "partition": 0, "offset": offset}

    def _forgotten(self, query: MemoryQuery, tenant: str) -> dict[str, Any]:
        for key, kept in list(self._kept.items()):
            named = key[1] == query.memory_id if query.subject is None else kept.query.subject == query.subject
            if key[0] == tenant and named:
                del self._kept[key]
        offset, self._offset = self._offset, self._offset + 1
        receipt: dict[str, Any] = {"subject": query.subject, "id": query.memory_id, "shredded": [], "stores": {}}
        return {"partition": 0, "offset": offset, "receipt": receipt}

    def _recalled(self, query: MemoryQuery, grant: Grant, scopes: set[str], at: int) -> dict[str, Any]:
        text = str(query.content or "")
        fitting = [kept for kept in self._kept.values() if self._fits(kept, query, grant, scopes, at)]
        found = [(-score, -kept.offset, kept) for kept, score in zip(fitting, self._scores(text, fitting), strict=True)]
        found = sorted((one for one in found if one[0] or not text or self.embed), key=lambda one: one[:2])
        memories = [{**self._told(kept), "score": -score} for score, _, kept in found[: query.k]]
        return {"memories": memories, "as_of": {"0": self._offset}, "lag": 0, "degraded": False}

    def _scores(self, text: str, kept: Sequence[_Kept]) -> list[float]:
        """Words in common; with vectors their share of the query's, and nearness of meaning."""
        words = set(_WORD.findall(text.lower()))
        common = [float(len(words & set(_WORD.findall(one.text.lower())))) for one in kept]
        if self.embed is None or not words or not kept:
            return common
        asked, *vectors = self.embed([text, *(one.text for one in kept)])
        return [share / len(words) + nearness(asked, one) for share, one in zip(common, vectors, strict=True)]

    def _trust(self, kept: _Kept) -> int:
        origins = {(kept.query.source, None), (None, kept.query.task_id)}
        return 0 if self.suspects & origins else kept.query.trust

    def _fits(self, kept: _Kept, query: MemoryQuery, grant: Grant, scopes: set[str], at: int) -> bool:
        said = kept.query
        origin = (
            (not query.sources or said.source in query.sources)
            and (not query.tasks or said.task_id in query.tasks)
            and (not query.models or said.model in query.models)
        )
        return origin and self._trust(kept) >= query.min_trust and _fits(kept, query, grant, scopes, at)

    def _told(self, kept: _Kept) -> dict[str, Any]:
        return {**_told(kept), "trust": self._trust(kept)}


def _fits(kept: _Kept, query: MemoryQuery, grant: Grant, scopes: set[str], at: int) -> bool:
    said = kept.query
    wanted = [said.scope] if query.scope is None else [query.scope]
    return (
        kept.tenant == grant.tenant
        and kept.clearance <= grant.clearance
        and said.scope in scopes
        and said.scope in wanted
        and (query.subject is None or said.subject == query.subject)
        and (not query.kinds or said.kind in query.kinds)
        and (said.expires_at is None or said.expires_at > at)
        and (query.as_of is None or kept.recorded_at <= query.as_of)
        and all(kept.offset < known.offset for known in query.as_of_positions if known.partition == 0)
        and _holds(said, kept.recorded_at, query)
    )


def _holds(said: MemoryQuery, recorded_at: int, query: MemoryQuery) -> bool:
    first = recorded_at if said.valid_from is None else said.valid_from
    last = float("inf") if said.valid_to is None else said.valid_to
    return (
        (query.at is None or first <= query.at < last)
        and (query.since is None or last > query.since)
        and (query.until is None or first < query.until)
    )


def _told(kept: _Kept) -> dict[str, Any]:
    said = kept.query
    return {
        "id": said.memory_id,
        "version": kept.offset,
        "text": kept.text,
        "kind": said.kind,
        "scope": said.scope,
        "subject": said.subject,
        "source": said.source or "",
        "position": said.position,
        "speaker": said.speaker,
        "valid_from": kept.recorded_at if said.valid_from is None else said.valid_from,
        "valid_to": said.valid_to,
        "recorded_at": kept.recorded_at,
        "partition": 0,
        "offset": kept.offset,
    }
