"""What an agent can ask for. Every method that reaches outside starts a *step* at once and returns its future."""

from __future__ import annotations

import asyncio
import json
import random as random_module
import uuid as uuid_module
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from aiosv3.agents.agent import Agent, parse_usd
from aiosv3.agents.errors import (
    AgentFailed,
    BudgetExceeded,
    ModelRefused,
    ModelUnavailable,
    StepError,
    ToolFailed,
    step_error,
)
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, request_hash
from aiosv3.prompts import estimate_complexity, estimate_tokens
from aiosv3.schemas.headers import AUTO, Complexity, Route
from aiosv3.schemas.records import Message, Outcome, Prompt, Role

if TYPE_CHECKING:
    from aiosv3.agents.task import JournalEntry, TaskRun

T = TypeVar("T")
Out = TypeVar("Out")
_DEFAULT_MAX_TOKENS: Final = 1024


class Context:
    """The agent's only way out. Its futures are asyncio's own: ``await``, ``gather``, ``TaskGroup``, ``timeout`` work.

    A step that fails raises a :class:`~aiosv3.agents.errors.StepError` where it is awaited.
    """

    __slots__ = ("_run",)

    def __init__(self, run: TaskRun) -> None:
        self._run = run

    @property
    def task_id(self) -> str:
        """The id of this task; a fine idempotency key for the whole of it."""
        return self._run.task.id

    @property
    def key(self) -> str | None:
        """The task key (customer, conversation, order…)."""
        return self._run.task.key

    @property
    def tenant(self) -> str:
        """Whose task it is."""
        return self._run.task.grant.tenant

    def now(self) -> datetime:
        """Broker time of the last record that this task has seen: the same in a replay."""
        return datetime.fromtimestamp(self._run.now / 1000, UTC)

    def uuid(self) -> uuid_module.UUID:
        """A UUID derived from the step id: the same in a replay, without a record."""
        return uuid_module.uuid5(uuid_module.NAMESPACE_OID, f"{self.task_id}/{self._run.next_id(None)}")

    def random(self) -> random_module.Random:
        """A random generator seeded by the step id: the same in a replay, without a record."""
        return random_module.Random(f"{self.task_id}/{self._run.next_id(None)}")

    # -- models ---------------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, prompt: str | Prompt, *, system: str | None = ..., model: str | None = ..., pool: str | None = ...,
        complexity: float | None = ..., max_tokens: int = ..., temperature: float | None = ...,
        max_usd: str | float | None = ..., name: str | None = ...,
    ) -> asyncio.Future[str]: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str | Prompt, *, output_type: type[T], system: str | None = ..., model: str | None = ...,
        pool: str | None = ..., complexity: float | None = ..., max_tokens: int = ..., temperature: float | None = ...,
        max_usd: str | float | None = ..., name: str | None = ...,
    ) -> asyncio.Future[T]: ...  # fmt: skip

    def generate(
        self,
        prompt: str | Prompt,
        *,
        output_type: Any = str,
        system: str | None = None,
        model: str | None = None,
        pool: str | None = None,
        complexity: float | None = None,
        max_tokens: int = _DEFAULT_MAX_TOKENS,
        temperature: float | None = None,
        max_usd: str | float | None = None,
        name: str | None = None,
    ) -> asyncio.Future[Any]:
        """Asks a model; the router chooses which. ``output_type``: ``str``, or any type that pydantic can validate.

        Raises (on await) ModelRefused, ModelUnavailable, BudgetExceeded, ClearanceDenied.
        """
        run = self._run
        step_id = run.next_id(name)
        if (over := run.count_model_call()) is not None:
            return run.refuse(over)
        body = _prompt(prompt, system, output_type, max_tokens, temperature)
        agent = run.agent
        remaining = run.budget - run.usage.cost_usd_micros
        limit = remaining if max_usd is None else min(remaining, parse_usd(max_usd))
        hashed = request_hash("model", *_prompt_parts(body))
        route = Route(
            agent=agent.name,
            complexity=_complexity(body, complexity, run.task.wishes.complexity),
            tokens=estimate_tokens(body),
            max_tokens=max_tokens,
            latency_ms=run.task.wishes.latency_ms,
            priority=run.task.wishes.priority,
            first_sent=run.now,
            hash=hashed,
            needs=("json",) if body.output_schema is not None else (),
            pool=pool or agent.pool,
            model=model or agent.model,
            usd_micros=limit,
        )
        step = ModelStep(id=step_id, hash=hashed, first_sent=run.now, prompt=body, route=route)
        return run.issue(step, lambda entry: _model_answer(entry, step_id, output_type))

    # -- agents ---------------------------------------------------------------------------------------------------

    @overload
    def call(
        self, agent: Agent[Any, Out], value: Any, *, key: str | None = ..., name: str | None = ...
    ) -> asyncio.Future[Out]: ...

    @overload
    def call(self, agent: str, value: Any, *, key: str | None = ..., name: str | None = ...) -> asyncio.Future[Any]: ...

    def call(
        self, agent: Agent[Any, Any] | str, value: Any, *, key: str | None = None, name: str | None = None
    ) -> asyncio.Future[Any]:
        """Gives a task to another agent and waits for its result. Raises AgentFailed, BudgetExceeded (depth)."""
        return self._ask(agent, value, key, name, wait=True)

    def send(
        self, agent: Agent[Any, Any] | str, value: Any, *, key: str | None = None, name: str | None = None
    ) -> asyncio.Future[None]:
        """Gives a task to another agent, one way: done when the log has it. It is sent even if nobody awaits it."""
        return self._ask(agent, value, key, name, wait=False)

    def _ask(
        self, agent: Agent[Any, Any] | str, value: Any, key: str | None, name: str | None, *, wait: bool
    ) -> asyncio.Future[Any]:
        run = self._run
        step_id = run.next_id(name)
        depth = run.task.grant.depth + 1
        if depth > run.agent.limits.depth:
            return run.refuse(
                BudgetExceeded(f"agents call each other {depth} deep, the limit is {run.agent.limits.depth}")
            )
        target, adapter = (agent.name, agent.output_adapter) if isinstance(agent, Agent) else (agent, _adapter(Any))
        raw = agent.input_adapter.dump_json(value) if isinstance(agent, Agent) else _adapter(Any).dump_json(value)
        hashed = request_hash("call" if wait else "send", target, raw)
        step = CallStep(id=step_id, hash=hashed, first_sent=run.now, agent=target, value=raw, key=key, wait=wait)
        return run.issue(step, lambda entry: _decoded(entry, step_id, adapter, AgentFailed) if wait else None)

    # -- the worker itself ----------------------------------------------------------------------------------------

    @overload
    def run(
        self,
        function: Callable[[], Awaitable[T]],
        *,
        output_type: Any = ...,
        attempts: int = ...,
        name: str | None = ...,
    ) -> asyncio.Future[T]: ...

    @overload
    def run(
        self, function: Callable[[], T], *, output_type: Any = ..., attempts: int = ..., name: str | None = ...
    ) -> asyncio.Future[T]: ...

    def run(
        self,
        function: Callable[[], Any],
        *,
        output_type: Any = Any,
        attempts: int = 3,
        name: str | None = None,
    ) -> asyncio.Future[Any]:
        """Runs ``function`` outside the journal (I/O, clocks, randomness), at least once; one value is used.

        Plain functions run in a thread. The value must be JSON for ``output_type``. Raises ToolFailed after
        ``attempts``.
        """
        run = self._run
        step_id = run.next_id(name)
        adapter = _adapter(output_type)
        step = LocalStep(
            id=step_id,
            hash=request_hash("run", name or ""),
            first_sent=run.now,
            function=function,
            dump=lambda value: adapter.dump_json(value).decode(),
            attempts=attempts,
        )
        return run.issue(step, lambda entry: _decoded(entry, step_id, adapter, ToolFailed))


@lru_cache(maxsize=512)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@lru_cache(maxsize=512)
def _json_schema(kind: Any, _spelling: str) -> str:
    """``_spelling``: the type's repr. ``Literal["a", "b"]`` equals ``Literal["b", "a"]``, and their schemas differ."""
    return json.dumps(TypeAdapter(kind).json_schema(), separators=(",", ":"))


def _prompt(
    prompt: str | Prompt, system: str | None, output_type: Any, max_tokens: int, temperature: float | None
) -> Prompt:
    if isinstance(prompt, Prompt):
        return prompt
    messages = [Message(role=Role.USER, content=prompt)]
    if system is not None:
        messages.insert(0, Message(role=Role.SYSTEM, content=system))
    return Prompt(
        messages=tuple(messages),
        output_schema=None if output_type is str else _json_schema(output_type, repr(output_type)),
        max_tokens=max_tokens,
        temperature=temperature,
    )


def _complexity(prompt: Prompt, asked: float | None, wished: Complexity) -> float:
    """The call's own, else the task's, else an estimate from the text."""
    if asked is not None:
        return asked
    return estimate_complexity(prompt) if wished == AUTO else float(wished)


def _prompt_parts(prompt: Prompt) -> list[str]:
    parts = [text for message in prompt.messages for text in (message.role.name, message.content)]
    parts += [prompt.output_schema or "", str(prompt.max_tokens), str(prompt.temperature)]
    return [*parts, prompt.tools or "", *prompt.stop]


def _failed(entry: JournalEntry, step_id: str, default: type[StepError]) -> StepError | None:
    record = entry.record
    return None if record.outcome is Outcome.OK else step_error(record.error, step_id, default)


def _content(entry: JournalEntry) -> str:
    content = entry.record.content
    return content if isinstance(content, str) else "null"


def _decoded(entry: JournalEntry, step_id: str, adapter: TypeAdapter[Any], default: type[StepError]) -> Any:
    if (error := _failed(entry, step_id, default)) is not None:
        raise error
    try:
        return adapter.validate_json(_content(entry))
    except ValidationError as error:
        raise default(f"the answer is not of the declared type: {error}", step=step_id) from None


def _model_answer(entry: JournalEntry, step_id: str, output_type: Any) -> Any:
    """Model answers are journaled as ``{"text": …, "tool_calls": …}``."""
    if (error := _failed(entry, step_id, ModelUnavailable)) is not None:
        raise error
    try:
        text = json.loads(_content(entry))["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"the answer cannot be read: {type(error).__name__} {error}", step=step_id) from None
    if output_type is str:
        return text
    try:
        return _adapter(output_type).validate_json(text)
    except ValidationError as error:
        raise ModelRefused(f"the answer is not of the asked type: {error}", step=step_id, retryable=True) from None
