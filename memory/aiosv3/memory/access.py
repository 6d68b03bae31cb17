"""Who may read and write which memories: told by a request's headers, and enforced in the view's own query.

A view knows a memory's scope and class as one word (``team:support@internal``): what an asker may not see is not
searched at all, so it cannot take a place among the hits either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.memory import KINDS, TENANT_WIDE, MemoryQuery, place_in, place_of, quarantine_id_of
from aiosv3.schemas.records import StepFailure

OPERATOR: Final = "@operator"
"""The agent name of who works at the shell: no agent can be named so."""
CONFIRMED: Final = 2
"""The trust of what a person says; no agent can give it."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_ID: Final = re.compile(r"[0-9a-f]{40}")
_SUBJECT: Final = re.compile(r"[0-9a-f]{32}")
Teams = Mapping[str, Iterable[str]]
"""Team -> the agents in it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever sent a request. ``scopes`` None: the operator, who reads them all."""

    tenant: str
    agent: str
    clearance: Clearance
    scopes: frozenset[str] | None

    def may(self, scope: str) -> bool:
        """Whether memories of this scope are theirs to read and to write."""
        return is_scope(scope) if self.scopes is None else scope in self.scopes


def asker_of(grant: Grant, route: Route, teams: Teams) -> Asker:
    """By the headers alone. Raises MalformedHeader where they do not say which agent asks."""
    agent = route.agent
    if agent == OPERATOR:
        return Asker(grant.tenant, agent, grant.clearance, None)
    if agent is None or not _NAME.fullmatch(agent):
        raise MalformedHeader(f"a request to memory comes from an agent: {agent!r} is none")
    own = {TENANT_WIDE, f"agent:{agent}"}
    return Asker(
        grant.tenant,
        agent,
        grant.clearance,
        frozenset(own | {f"team:{team}" for team, members in teams.items() if agent in members}),
    )


def is_scope(scope: str) -> bool:
    """Whether this is a scope at all: ``tenant``, ``team:NAME``, ``agent:NAME``."""
    kind, colon, name = scope.partition(":")
    return scope == TENANT_WIDE or (kind in {"team", "agent"} and bool(colon) and bool(_NAME.fullmatch(name)))


def view_scope(scope: str, clearance: Clearance) -> str:
    """Scope and class as a view knows them."""
    return f"{scope}@{clearance.label}"


def scope_in(view: str) -> str:
    """The scope, without the class."""
    return view.partition("@")[0]


def readable(asker: Asker, scope: str | None, known: Iterable[str] = ()) -> list[str]:
    """The view's scopes that a search may look into: those of the asker, or ``scope`` if it is one of them.

    ``known``: all scopes of the tenant, for the operator.
    """
    mine = (known if asker.scopes is None else asker.scopes) if scope is None else [scope]
    allowed = [one for one in mine if asker.may(one)]
    return [view_scope(one, level) for one in sorted(allowed) for level in Clearance if level <= asker.clearance]


def refusal(query: MemoryQuery, asker: Asker, secret: bytes) -> StepFailure | None:
    """Why this request is not done, whatever it wants; None when it may be."""
    scope = query.scope
    if scope is not None and not asker.may(scope):
        words = f"agent {asker.agent} may not use the memories of scope {scope!r}: its own, its teams' and the tenant's"
        return StepFailure("ClearanceDenied", words, retryable=False)
    if (wrong := _malformed(query, asker, secret)) is not None:
        return StepFailure("MemoryRefused", wrong, retryable=False)
    return None


def _malformed(query: MemoryQuery, asker: Asker, secret: bytes) -> str | None:
    if query.subject is not None and not _SUBJECT.fullmatch(query.subject):
        return "the subject is no keyed hash"
    if query.action.value == "RECALL":
        return None
    if query.action.value == "FORGET":
        return _wrong_target(query, asker, secret)
    if query.action.value != "REMEMBER" and asker.scopes is not None:
        return f"only an operator may ask memory to {query.action.value.lower()}"
    if query.action.value == "EXPIRE":
        return None if _placed(query.memory_id or "", query.place) else f"{query.memory_id!r} is no id of a memory"
    if query.action.value in {"QUARANTINE", "RELEASE"}:
        return _wrong_quarantine(query, asker, secret)
    if query.action.value == "REBUILD":
        return None
    return _wrong_memory(query, asker, secret)


def _wrong_target(query: MemoryQuery, asker: Asker, secret: bytes) -> str | None:
    """Nothing here says whose memory an id is: it lies in a tenant's own place, and other tenants' are other ids."""
    if (query.memory_id is None) == (query.subject is None):
        return "to forget, name either one memory or a subject"
    if query.memory_id is not None:
        return None if _placed(query.memory_id, query.place) else f"{query.memory_id!r} is no id of a memory"
    at_home = query.place == place_of(secret, asker.tenant, TENANT_WIDE, query.subject)
    return None if at_home else "the place is not that of the subject"


def _wrong_quarantine(query: MemoryQuery, asker: Asker, secret: bytes) -> str | None:
    if bool(query.source) == bool(query.from_task):
        return "a quarantine is of all that came from either a source or a task"
    named = quarantine_id_of(secret, asker.tenant, query.source, query.from_task)
    return None if query.memory_id == named else "the id is not that of the source or the task"


def _wrong_memory(query: MemoryQuery, asker: Asker, secret: bytes) -> str | None:
    if query.scope is None or query.kind not in KINDS:
        return f"a memory has a scope, and a kind of {', '.join(KINDS)}"
    if query.place != place_of(secret, asker.tenant, query.scope, query.subject):
        return "the place is not that of the subject and the scope"
    if query.memory_id is None or not _placed(query.memory_id, query.place):
        return "the memory's id does not begin with its place"
    if query.supersedes is not None and not _placed(query.supersedes, query.place):
        return "a memory takes the place of one about the same subject, or of the same scope where there is none"
    if not query.content:
        return "there is nothing to remember"
    if not 0 <= query.trust <= (CONFIRMED if asker.scopes is None else CONFIRMED - 1):
        return f"trust {query.trust} is not an agent's to give: 0 or 1"
    if not 0.0 <= query.importance <= 1.0:
        return "importance is from 0 to 1"
    return None


def _placed(memory_id: str, place: str | None) -> bool:
    return bool(_ID.fullmatch(memory_id)) and place_in(memory_id) == place
