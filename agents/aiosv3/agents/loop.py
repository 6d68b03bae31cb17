"""``ctx.loop``: a model and its tools until there is an answer, over ``generate``, ``call``, ``run`` and ``approve``.

Each turn of the model and each tool call is a step, so a loop is resumed and replayed like any other code. What tools
return is data of strangers: it goes to the model as the result of a call, of bounded length, and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiosv3.agents.context import MAX_TOKENS, Asking, Context
from aiosv3.agents.errors import BudgetExceeded, Denied, ModelRefused, StepError, StepTimeout, ToolFailed, TreeCancelled
from aiosv3.agents.offering import (
    ANSWER,
    BadCall,
    Offer,
    answer_offer,
    approval_text,
    find_offer,
    offers_of,
    roles_of,
)
from aiosv3.agents.turn import ModelTurn, ToolCall
from aiosv3.schemas.records import Message, Prompt, Role

_ENDS: Final = (BudgetExceeded, TreeCancelled)  # no model can do anything about it


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """``steps``: model turns and tool calls together. ``usd_micros``: what the task may spend while the loop runs.

    ``failures``: so many failed calls after one another end it. ``stop_when_denied``: else the model is told.
    """

    steps: int
    usd_micros: int | None
    seconds: float | None
    failures: int
    stop_when_denied: bool


@dataclass(slots=True)
class Loop:
    """One loop. ``approve``: the role that is asked before a call, by tool or name. ``asking``: for ``generate``."""

    ctx: Context
    messages: list[Message]
    tools: Sequence[Any]
    output_type: Any
    approve: Mapping[Any, str | None]
    limits: LoopLimits
    asking: Asking
    _offers: dict[str, Offer] = field(init=False)
    _roles: dict[str, str | None] = field(init=False)
    _spent: int = field(init=False)
    _steps: int = 0
    _failures: int = 0
    _was_refused: bool = False

    def __post_init__(self) -> None:
        offers = offers_of(self.tools)
        self._roles = roles_of(self.approve, self.tools, offers)
        self._offers = {offer.name: offer for offer in offers}
        if self.output_type is not str:
            self._offers[ANSWER] = answer_offer(self.output_type)
        self._spent = self.ctx.usage.cost_usd_micros

    async def run(self) -> Any:
        """The answer. Raises BudgetExceeded, StepTimeout, ToolFailed, Denied, ModelRefused, ModelUnavailable."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    turn = await self._turn()
                    if self._is_answer(turn):
                        try:
                            return self._read(turn)
                        except BadCall as error:
                            self._refuse(turn, error)
                    else:
                        await self._execute(turn.tool_calls)
        except TimeoutError:
            raise StepTimeout(f"the loop had no answer after {self.limits.seconds:g} s") from None

    async def _turn(self) -> ModelTurn:
        self._count(1)
        left = self.limits.usd_micros
        if left is not None and (left := left - self.ctx.usage.cost_usd_micros + self._spent) <= 0:
            raise BudgetExceeded(f"the loop has spent its {(self.limits.usd_micros or 0) / 1e6:.6f} US dollars")
        tools = json.dumps([offer.declared() for offer in self._offers.values()]) if self._offers else None
        most, temperature = self.asking.get("max_tokens", MAX_TOKENS), self.asking.get("temperature")
        prompt = Prompt(tuple(self.messages), None, most, temperature, tools=tools)
        limit = None if left is None else f"{left / 1e6:.6f}"
        turn = await self.ctx.generate(prompt, output_type=ModelTurn, max_usd=limit, **self.asking)
        self.messages.append(turn.message())
        return turn

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > self.limits.steps:
            raise BudgetExceeded(f"the loop has used its {self.limits.steps} steps (model turns and tool calls)")

    def _is_answer(self, turn: ModelTurn) -> bool:
        return not turn.tool_calls or ([call.name for call in turn.tool_calls] == [ANSWER] and ANSWER in self._offers)

    def _read(self, turn: ModelTurn) -> Any:
        if ANSWER not in self._offers:
            return turn.text
        return self._offers[ANSWER].read(turn.tool_calls[0].arguments if turn.tool_calls else turn.text)

    def _refuse(self, turn: ModelTurn, error: BadCall) -> None:
        if self._was_refused:
            raise ModelRefused(f"the final answer is not of the asked type: {error}")
        self._was_refused = True
        told = f"This is not the answer that was asked for: {error}. Call {ANSWER} with one that is."
        self.messages.append(turn.tool_calls[0].result(told) if turn.tool_calls else Message(Role.USER, told))

    async def _execute(self, calls: Sequence[ToolCall]) -> None:
        """The calls beside each other; their results in the order of the calls, whichever comes first."""
        self._count(len(calls))
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(self._tell(call)) for call in calls]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        for call, done in zip(calls, running, strict=True):
            told, failed = done.result()
            self.messages.append(call.result(told))
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= self.limits.failures:
                raise ToolFailed(f"{self._failures} tool calls failed one after another; the last one: {told[:500]}")

    async def _tell(self, call: ToolCall) -> tuple[str, bool]:
        """What the model is told of a call, and whether it failed."""
        if call.name == ANSWER and ANSWER in self._offers:
            return "Not taken: give the final answer alone, with the results of the other tools at hand.", False
        try:
            offer = find_offer(self._offers, call.name)
            value = offer.read(call.arguments)
            if offer.name in self._roles:
                await self.ctx.approve(approval_text(offer, value), by=self._roles[offer.name])
            return await offer.execute(self.ctx, value), False
        except (BadCall, StepError, TimeoutError) as error:
            if isinstance(error, _ENDS) or (isinstance(error, Denied) and self.limits.stop_when_denied):
                raise
            return f"{type(error).__name__}: {error}", True
