"""What a task has used of its limits, by the answers that its journal holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiosv3.agents.agent import Limits
from aiosv3.agents.errors import BudgetExceeded
from aiosv3.agents.pending import Pending
from aiosv3.agents.steps import CallStep, Step
from aiosv3.schemas.records import Usage

_NOTHING: Final = Usage()


class Spending:
    """Counts model calls when they are asked, money when they are answered: the same in a replay.

    ``budget``: micro-dollars that the task may spend, the lesser of the agent's limit and ``granted``.
    """

    __slots__ = ("_limits", "_model_calls", "_one_way", "budget", "usage")

    def __init__(self, limits: Limits, granted: int | None) -> None:
        self._limits = limits
        self._model_calls = 0
        self._one_way = 0
        self.budget = limits.usd_micros if granted is None else min(granted, limits.usd_micros)
        self.usage = _NOTHING

    @property
    def left(self) -> int:
        """Micro-dollars that are not spent; negative when the last answer cost more than there was."""
        return self.budget - self.usage.cost_usd_micros

    def add(self, used: Usage | None) -> None:
        """Books what an answer has cost."""
        if used is None:
            return
        total = self.usage
        self.usage = Usage(
            model_calls=total.model_calls + used.model_calls,
            input_tokens=total.input_tokens + used.input_tokens,
            output_tokens=total.output_tokens + used.output_tokens,
            cached_tokens=total.cached_tokens + used.cached_tokens,
            cost_usd_micros=total.cost_usd_micros + used.cost_usd_micros,
            cache_write_tokens=total.cache_write_tokens + used.cache_write_tokens,
            cache_write_long_tokens=total.cache_write_long_tokens + used.cache_write_long_tokens,
            estimated=total.estimated or used.estimated,
        )

    def count_model_call(self) -> BudgetExceeded | None:
        """Counts a model call against the limits of the tree; the error if one is reached."""
        self._model_calls += 1
        if self._model_calls > self._limits.model_calls:
            return BudgetExceeded(f"this task already made its {self._limits.model_calls} model calls")
        if self.left <= 0:
            spent, cap = self.usage.cost_usd_micros / 1e6, self.budget / 1e6
            return BudgetExceeded(f"this task has spent {spent:.6f} of its {cap:.6f} US dollars")
        return None

    def count_open(self, step: Step, waiting: Mapping[str, Pending]) -> BudgetExceeded | None:
        """Counts ``step`` against the task's width; the error if it is reached. Timers take no place.

        A one-way send takes its place for good: nothing tells this task when that one's work is over.
        """
        most = self._limits.fan_out
        if len(waiting) + self._one_way >= most:
            steps = [pending.step for pending in waiting.values() if pending.future is not None]
            if self._one_way + sum(not _is_one_way(waits) for waits in steps) >= most:
                return BudgetExceeded(f"this task has {most} steps open at once, one-way sends included", step=step.id)
        self._one_way += _is_one_way(step)
        return None


def _is_one_way(step: Step) -> bool:
    return isinstance(step, CallStep) and not step.wait
