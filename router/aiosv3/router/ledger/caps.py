"""Which shared budgets a request is paid from, beside its tree's: those of its tenant and of the agent that asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

Window: TypeAlias = Literal["day", "month"]
KINDS: Final = ("tenant", "agent")
EVERY: Final = "*"
"""The name of the cap of everybody who has none of their own; each of them has a budget of their own by it."""
_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Cap:
    """What may be spent: ``usd_micros`` in each ``window`` (UTC), or for ever."""

    usd_micros: int
    window: Window | None = None


class Capped(NamedTuple):
    """A shared budget as a request names it, and its cap."""

    budget: str
    limit: int


class Caps:
    """The caps of a project, by name of tenant and of agent. ``clock``: milliseconds since the epoch.

    A window is a budget of its own: ``tenant@2026-11-30/acme``. So nothing has to happen when one ends, and clocks that
    differ make a call count in one window or the other, never in none.
    """

    def __init__(self, tenants: Mapping[str, Cap], agents: Mapping[str, Cap], clock: Callable[[], int]) -> None:
        self._caps: dict[str, Mapping[str, Cap]] = {"tenant": tenants, "agent": agents}
        self._clock = clock
        self._known: dict[tuple[str, str | None], tuple[Capped, ...]] = {}
        self._until = 0

    def __bool__(self) -> bool:
        return any(self._caps.values())

    def of(self, tenant: str, agent: str | None) -> tuple[Capped, ...]:
        """The shared budgets of a request; empty where neither has a cap."""
        now = self._clock()
        if now >= self._until or len(self._known) > _KEPT:
            self._known.clear()
            self._until = _next_day(now)
        found = self._known.get((tenant, agent))
        if found is None:
            made = [self._named("tenant", tenant, now), None if agent is None else self._named("agent", agent, now)]
            found = self._known[tenant, agent] = tuple(one for one in made if one is not None)
        return found

    def current(self, budget: str) -> str:
        """The budget that ``kind/name`` means now: with its window, if it has one. Others are returned as they are."""
        kind, _, name = budget.partition("/")
        named = self._named(kind, name, self._clock()) if kind in KINDS else None
        return budget if named is None else named.budget

    def listed(self) -> list[str]:
        """The budgets, as they are now, of all that have a cap of their own."""
        now = self._clock()
        names = [(kind, name) for kind, caps in self._caps.items() for name in caps if name != EVERY]
        return [found.budget for kind, name in names if (found := self._named(kind, name, now)) is not None]

    def limit(self, budget: str) -> int | None:
        """The cap of a budget, whichever window of it is meant; None where there is none."""
        found = self.named(f"{kind_of(budget)}/{budget.partition('/')[2]}")
        return None if found is None else found.limit

    def named(self, budget: str) -> Capped | None:
        """The cap of ``kind/name`` now; None where there is none."""
        kind, _, name = budget.partition("/")
        return self._named(kind, name, self._clock()) if kind in KINDS else None

    def _named(self, kind: str, name: str, now: int) -> Capped | None:
        caps = self._caps[kind]
        cap = caps.get(name) or caps.get(EVERY)
        if cap is None:
            return None
        return Capped(shared_budget(kind, name, cap.window, now), cap.usd_micros)


def shared_budget(kind: str, name: str, window: Window | None, now: int) -> str:
    """The id of a shared budget at a time (ms). Nothing that a name holds can look like a window."""
    if window is None:
        return f"{kind}/{name}"
    return f"{kind}@{_utc(now).strftime('%Y-%m-%d' if window == 'day' else '%Y-%m')}/{name}"


def kind_of(budget: str) -> str:
    """``tree``, ``tenant`` or ``agent``."""
    return budget.partition("/")[0].partition("@")[0]


def ends(budget: str) -> int | None:
    """When the window of a budget is over (ms); None for one that has no end."""
    window = budget.partition("/")[0].partition("@")[2]
    try:
        begin = datetime.strptime(window, "%Y-%m-%d" if window.count("-") == 2 else "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    days = 1 if window.count("-") == 2 else 31
    return int((begin + timedelta(days=days)).timestamp() * 1000)


def _utc(now: int) -> datetime:
    return datetime.fromtimestamp(now / 1000, UTC)


def _next_day(now: int) -> int:
    day = _utc(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((day + timedelta(days=1)).timestamp() * 1000)
