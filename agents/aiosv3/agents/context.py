"""What an agent can ask for. Every method that reaches outside starts a *step* at once and returns its future."""

from __future__ import annotations

import asyncio
import random as random_module
import uuid as uuid_module
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypedDict, TypeVar, Unpack, overload

from aiosv3.agents.agent import Agent, parse_usd
from aiosv3.agents.conversation import Conversation
from aiosv3.agents.decoding import adapter_of, decoded, model_answer
from aiosv3.agents.errors import AgentFailed, BudgetExceeded, ToolFailed
from aiosv3.agents.keyed import S, StateAccess
from aiosv3.agents.memory import MemorySteps
from aiosv3.agents.people import PeopleSteps
from aiosv3.agents.progress import ProgressCalls
from aiosv3.agents.prompting import complexity_of, needs_of, prompt_of, prompt_parts, stored_class, tokens_of
from aiosv3.agents.remembering.steps import RememberingSteps
from aiosv3.agents.starting import StartSteps
from aiosv3.agents.steps import CallStep, LocalStep, ModelStep, ToolStep, due_after, request_hash
from aiosv3.agents.tools import Tool, arguments_text
from aiosv3.agents.worker.local import Keyed, keyed
from aiosv3.schemas.headers import Route
from aiosv3.schemas.records import Message, Prompt, Role, Usage

if TYPE_CHECKING:
    from aiosv3.agents.task import TaskRun

T = TypeVar("T")
P = ParamSpec("P")
In = TypeVar("In")
Out = TypeVar("Out")
MAX_TOKENS: Final = 1024


class Asking(TypedDict, total=False):
    """What ``loop`` passes on to each of its ``generate``."""

    model: str | None
    pool: str | None
    complexity: float | None
    max_tokens: int
    temperature: float | None


class Running(TypedDict, total=False):
    """How ``run`` runs a function."""

    output_type: Any
    attempts: int
    timeout: timedelta | None
    name: str | None
    label: str


class Context(PeopleSteps, MemorySteps, RememberingSteps, StartSteps, ProgressCalls, StateAccess[S]):
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

    @property
    def usage(self) -> Usage:
        """What the task's answered model calls and child tasks have used so far: calls, tokens, micro-dollars."""
        return self._run.usage

    def uuid(self) -> uuid_module.UUID:
        """A UUID derived from the step id: the same in a replay, without a record."""
        return uuid_module.uuid5(uuid_module.NAMESPACE_OID, f"{self.task_id}/{self._run.next_id(None)}")

    def random(self) -> random_module.Random:
        """A random generator seeded by the step id: the same in a replay, without a record."""
        return random_module.Random(f"{self.task_id}/{self._run.next_id(None)}")

    def patched(self, patch: str) -> bool:
        """Whether this task takes a change of code: True where no code without the change has been before.

        Decided when a task first asks, the same in every replay. ``patch`` is declared in ``@agent(patches=[…])``:
        else raises AgentDefinitionError. Keep the call while tasks are open that have come past it (``aiosv3 replay
        --open``).
        """
        return self._run.patches.ask(patch, self._run)

    # -- models ---------------------------------------------------------------------------------------------------

    @overload
    def generate(
        self, prompt: str | Prompt | Conversation, *, system: str | None = ..., model: str | None = ...,
        pool: str | None = ...,
        complexity: float | None = ..., max_tokens: int = ..., temperature: float | None = ...,
        max_usd: str | float | None = ..., timeout: timedelta | None = ..., name: str | None = ...,
    ) -> asyncio.Future[str]: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str | Prompt | Conversation, *, output_type: type[T], system: str | None = ...,
        model: str | None = ...,
        pool: str | None = ..., complexity: float | None = ..., max_tokens: int = ..., temperature: float | None = ...,
        max_usd: str | float | None = ..., timeout: timedelta | None = ..., name: str | None = ...,
    ) -> asyncio.Future[T]: ...  # fmt: skip

    def generate(
        self,
        prompt: str | Prompt | Conversation,
        *,
        output_type: Any = str,
        system: str | None = None,
        model: str | None = None,
        pool: str | None = None,
        complexity: float | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float | None = None,
        max_usd: str | float | None = None,
        timeout: timedelta | None = None,
        name: str | None = None,
    ) -> asyncio.Future[Any]:
        """Asks a model; the router chooses which. ``output_type``: ``str``, or any type that pydantic can validate.

        A prompt with ``tools`` is answered as a :class:`~aiosv3.agents.turn.ModelTurn`, asked for as ``output_type``.
        Raises (on await) ModelRefused, ModelUnavailable, BudgetExceeded, ClearanceDenied; StepTimeout after
        ``timeout``, and the answer that comes later is paid for.
        """
        run = self._run
        step_id = run.next_id(name)
        if (over := run.spending.count_model_call()) is not None:
            return run.refuse(over)
        body = prompt_of(prompt, system, output_type, max_tokens, temperature)
        agent = run.agent
        remaining = run.spending.left
        limit = remaining if max_usd is None else min(remaining, parse_usd(max_usd))
        hashed = request_hash("model", *prompt_parts(body))
        route = Route(
            agent=agent.name,
            complexity=complexity_of(body, complexity, run.task.wishes.complexity),
            tokens=tokens_of(body, prompt),
            max_tokens=body.max_tokens,
            latency_ms=run.task.wishes.latency_ms,
            priority=run.task.wishes.priority,
            first_sent=run.now,
            hash=hashed,
            needs=needs_of(body),
            pool=pool or agent.pool,
            model=model or agent.model,
            usd_micros=limit,
            stream=run.task.wishes.stream,
        )
        due = due_after(run.now, timeout)
        step = ModelStep(
            id=step_id,
            hash=hashed,
            first_sent=run.now,
            due=due,
            prompt=body,
            route=route,
            stored=stored_class(body, prompt),
        )
        return run.issue(step, lambda entry: model_answer(entry, step_id, output_type))

    @overload
    def loop(
        self, instructions: str, *, prompt: str | Sequence[Message], tools: Sequence[Any] = ...,
        approve: Mapping[Any, str | None] | None = ..., stop_when_denied: bool = ..., max_steps: int = ...,
        max_failures: int = ..., max_usd: str | float | None = ..., deadline: timedelta | None = ...,
        **asking: Unpack[Asking],
    ) -> asyncio.Task[str]: ...  # fmt: skip

    @overload
    def loop(
        self, instructions: str, *, prompt: str | Sequence[Message], output_type: type[T], tools: Sequence[Any] = ...,
        approve: Mapping[Any, str | None] | None = ..., stop_when_denied: bool = ..., max_steps: int = ...,
        max_failures: int = ..., max_usd: str | float | None = ..., deadline: timedelta | None = ...,
        **asking: Unpack[Asking],
    ) -> asyncio.Task[T]: ...  # fmt: skip

    def loop(
        self,
        instructions: str,
        *,
        prompt: str | Sequence[Message],
        output_type: Any = str,
        tools: Sequence[Any] = (),
        approve: Mapping[Any, str | None] | None = None,
        stop_when_denied: bool = False,
        max_steps: int = 30,
        max_failures: int = 3,
        max_usd: str | float | None = None,
        deadline: timedelta | None = None,
        **asking: Unpack[Asking],
    ) -> asyncio.Task[Any]:
        """A model with ``tools`` (functions, agents, tools) until it gives an answer of ``output_type``.

        ``approve``: tool or its name -> the role that is asked before each call, as ``by`` of ``approve``.
        ``max_steps``: model turns and tool calls together; ``max_failures``: failed calls after one another.
        Raises (on await) what ``generate`` raises, BudgetExceeded (steps, money), StepTimeout (``deadline``),
        ToolFailed, ModelRefused, Denied (``stop_when_denied``, else the model is told); AgentDefinitionError at once.
        """
        from aiosv3.agents.loop import Loop, LoopLimits

        usd_micros = None if max_usd is None else parse_usd(max_usd)
        seconds = None if deadline is None else deadline.total_seconds()
        limits = LoopLimits(max_steps, usd_micros, seconds, max_failures, stop_when_denied)
        messages = [Message(Role.SYSTEM, instructions)]
        messages += [Message(Role.USER, prompt)] if isinstance(prompt, str) else prompt
        loop = Loop(self, messages, tools, output_type, approve or {}, limits, asking)
        return asyncio.get_running_loop().create_task(loop.run())

    # -- agents ---------------------------------------------------------------------------------------------------

    @overload
    def call(self, callee: Tool[P, Out], /, *args: P.args, **arguments: P.kwargs) -> asyncio.Future[Out]: ...

    @overload
    def call(
        self, callee: Agent[In, Out], /, value: In, *, key: str | None = ..., timeout: timedelta | None = ...,
        name: str | None = ...,
    ) -> asyncio.Future[Out]: ...  # fmt: skip

    @overload
    def call(
        self, callee: str, /, value: Any, *, key: str | None = ..., timeout: timedelta | None = ...,
        name: str | None = ...,
    ) -> asyncio.Future[Any]: ...  # fmt: skip

    def call(self, callee: Tool[Any, Any] | Agent[Any, Any] | str, /, *args: Any, **arguments: Any) -> Any:
        """Gives a task to another agent and waits for its result. Raises AgentFailed, BudgetExceeded (depth);
        StepTimeout after ``timeout``, when the other agent's task is cancelled.

        Or calls a tool, its arguments by keyword (:class:`~aiosv3.agents.tools.Secret` for a secret's name). The tool
        may be called twice if its worker dies in between; it is told ``task/step`` as the idempotency key both times.
        Raises ToolFailed, StepTimeout (the task's deadline), ClearanceDenied (the tool's zone may not see this task).
        """
        if isinstance(callee, Tool):
            return self._use(callee, *args, **arguments)
        return self._ask(callee, *args, **arguments, wait=True)

    def _use(self, tool: Tool[Any, Any], /, **arguments: Any) -> asyncio.Future[Any]:
        run = self._run
        step_id = run.next_id(tool.pin)
        try:
            text = arguments_text(arguments)
        except ToolFailed as error:
            return run.refuse(error)
        step = ToolStep(
            id=step_id,
            hash=request_hash("tool", tool.zone, tool.server, tool.name, text),
            first_sent=run.now,
            zone=tool.zone,
            server=tool.server,
            tool=tool.name,
            arguments=text,
        )
        adapter = adapter_of(tool.output_type)
        return run.issue(step, lambda entry: decoded(entry, step_id, adapter, ToolFailed))

    @overload
    def send(
        self, agent: Agent[In, Any], value: In, *, key: str | None = ..., name: str | None = ...
    ) -> asyncio.Future[None]: ...

    @overload
    def send(
        self, agent: str, value: Any, *, key: str | None = ..., name: str | None = ...
    ) -> asyncio.Future[None]: ...

    def send(
        self, agent: Agent[Any, Any] | str, value: Any, *, key: str | None = None, name: str | None = None
    ) -> asyncio.Future[None]:
        """Gives a task to another agent, one way: done when the log has it. It is sent even if nobody awaits it."""
        return self._ask(agent, value, key=key, name=name, wait=False)

    def _ask(
        self,
        agent: Agent[Any, Any] | str,
        /,
        value: Any,
        *,
        key: str | None = None,
        timeout: timedelta | None = None,
        name: str | None = None,
        wait: bool,
    ) -> asyncio.Future[Any]:
        run = self._run
        step_id = run.next_id(name)
        depth = run.task.grant.depth + 1
        if depth > run.agent.limits.depth:
            return run.refuse(
                BudgetExceeded(f"agents call each other {depth} deep, the limit is {run.agent.limits.depth}")
            )
        target, adapter = (agent.name, agent.output_adapter) if isinstance(agent, Agent) else (agent, adapter_of(Any))
        raw = agent.input_adapter.dump_json(value) if isinstance(agent, Agent) else adapter_of(Any).dump_json(value)
        hashed = request_hash("call" if wait else "send", target, raw)
        step = CallStep(
            id=step_id,
            hash=hashed,
            first_sent=run.now,
            due=due_after(run.now, timeout),
            agent=target,
            value=raw,
            key=key,
            wait=wait,
        )
        return run.issue(step, lambda entry: decoded(entry, step_id, adapter, AgentFailed) if wait else None)

    # -- the worker itself ----------------------------------------------------------------------------------------

    @overload
    def run(self, function: Callable[[], Awaitable[T]], **options: Unpack[Running]) -> asyncio.Future[T]: ...

    @overload
    def run(self, function: Callable[[], T], **options: Unpack[Running]) -> asyncio.Future[T]: ...

    @overload
    def run(self, function: Keyed[Awaitable[T]], **options: Unpack[Running]) -> asyncio.Future[T]: ...

    @overload
    def run(self, function: Keyed[T], **options: Unpack[Running]) -> asyncio.Future[T]: ...

    def run(
        self,
        function: Callable[..., Any],
        *,
        output_type: Any = Any,
        attempts: int = 3,
        timeout: timedelta | None = None,
        name: str | None = None,
        label: str = "",
    ) -> asyncio.Future[Any]:
        """Runs ``function`` outside the journal (I/O, clocks, randomness), at least once; one value is used.

        Plain functions run in a thread. The value must be JSON for ``output_type``. A function with a parameter
        ``step_key`` gets the idempotency key of its step there: what it calls can tell a second execution by it.
        ``label``: what is asked; a replay in which another label is at the same place is a divergence.
        Raises ToolFailed after ``attempts``; StepTimeout after ``timeout``, when a coroutine function is cancelled.
        """
        run = self._run
        step_id = run.next_id(name)
        adapter = adapter_of(output_type)
        step = LocalStep(
            id=step_id,
            hash=request_hash("run", name or "", label) if label else request_hash("run", name or ""),
            first_sent=run.now,
            due=due_after(run.now, timeout),
            function=keyed(function, f"{self.task_id}/{step_id}"),
            dump=lambda value: adapter.dump_json(value).decode(),
            attempts=attempts,
        )
        return run.issue(step, lambda entry: decoded(entry, step_id, adapter, ToolFailed))
