"""Settings of budgets that many task trees share: ``[budgets.tenant.NAME]`` and ``[budgets.agent.NAME]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from aiosv3.agents.agent import parse_usd

if TYPE_CHECKING:
    from aiosv3.router.ledger import Cap, Caps


class BudgetSettings(BaseModel):
    """The most that may be spent on model calls, by all task trees together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: float
    """US dollars; 0: no call that costs anything."""
    window: Literal["day", "month"] | None = None
    """How long it is for, by UTC: a new day or month begins with the whole of it. Default: for ever."""

    @field_validator("usd")
    @classmethod
    def _money(cls, value: float) -> float:
        parse_usd(value)
        return value

    @property
    def cap(self) -> Cap:
        """The same, as the router has it."""
        from aiosv3.router.ledger import Cap

        return Cap(parse_usd(self.usd), self.window)


def _named(value: dict[str, BudgetSettings]) -> dict[str, BudgetSettings]:
    if "" in value:
        raise ValueError('a budget needs a name: that of a tenant or agent, or "*" for each that has none of its own')
    return value


class BudgetsSettings(BaseModel):
    """Budgets that hold across all task trees, beside the one that each tree has (docs/money.md).

    By the name of a tenant, or of an agent that asks; ``"*"``: each that has none of its own gets one like this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: Annotated[dict[str, BudgetSettings], AfterValidator(_named)] = {}
    agent: Annotated[dict[str, BudgetSettings], AfterValidator(_named)] = {}

    def caps(self, clock: Callable[[], int]) -> Caps:
        """As the router has them. ``clock``: milliseconds since the epoch."""
        from aiosv3.router.ledger import Caps

        return Caps(_caps(self.tenant), _caps(self.agent), clock)


def _caps(settings: Mapping[str, BudgetSettings]) -> dict[str, Cap]:
    return {name: budget.cap for name, budget in settings.items()}
