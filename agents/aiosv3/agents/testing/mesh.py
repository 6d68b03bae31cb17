"""``MeshTest``: agents on the production worker and an in-memory Kafka, in virtual time, with scripts for the rest."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from aiosv3.agents.agent import Agent, parse_usd
from aiosv3.agents.errors import StepError, step_error
from aiosv3.agents.memory import Kind, Memory
from aiosv3.agents.replay import ReplayedStep
from aiosv3.agents.testing.cast import BEGINS, Cast
from aiosv3.agents.testing.crash import Act, crash_everywhere
from aiosv3.agents.testing.errors import NeverFinishes, TaskFailed
from aiosv3.agents.testing.prompt import Prompt
from aiosv3.agents.testing.scripts import Script
from aiosv3.agents.testing.vectors import Embed
from aiosv3.agents.testing.world import World
from aiosv3.agents.tools import Tool
from aiosv3.schemas.deltas import Delta
from aiosv3.schemas.envelope import ResultEnvelope
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.people import Question
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.topics import TaskHandle

In = TypeVar("In")
Out = TypeVar("Out")
Crash: TypeAlias = Literal["everywhere"] | int | None
_AT_ONCE: Final = timedelta()
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Handle(Generic[Out]):
    """A task that was started."""

    def __init__(self, mesh: MeshTest, handle: TaskHandle) -> None:
        self._mesh = mesh
        self.handle = handle

    @property
    def id(self) -> str:
        """Task id."""
        return self.handle.task_id

    def tell(self, name: str, value: Any, *, message_id: str | None = None) -> None:
        """Sends it a message, for ``ctx.receive(name, …)``; two of one id are one message."""
        self._mesh._act(lambda world: world.tell(self.handle, name, value, message_id))  # noqa: SLF001 -- see cancel

    def cancel(self) -> None:
        """Cancels it, as somebody outside does."""
        self._mesh._act(lambda world: world.cancel(self.handle))  # noqa: SLF001 -- a part of the mesh

    def result(self) -> Out:
        """Its output. Raises the StepError that ended it, :class:`TaskFailed`, or a :class:`MeshFailure`."""
        out: Out = self._mesh._result(self.handle)  # noqa: SLF001
        return out


class MeshTest:
    """A mesh for one test.

        mesh = MeshTest(triage, research, crash="everywhere")
        mesh.model(lambda prompt: "refund" if "money" in prompt else "other")
        assert mesh.run(triage, Ticket(text="my money is gone")).label == "refund"

    ``agents`` run here, each with a worker of its own; give scripts to whatever else they ask. Values go through the
    agents' Avro schemas and records through the broker, as in production. ``crash``: None; ``N``: each result is asked
    for again in a second run that is killed after its N-th record; ``"everywhere"``: once for each record.
    ``begins``: the virtual time at the start. ``embed``: makes vectors, so that memories are found by meaning as well.
    """

    def __init__(
        self, *agents: Agent[Any, Any], crash: Crash = None, begins: datetime = BEGINS, embed: Embed | None = None
    ) -> None:
        self.crash = crash
        self._cast = Cast(agents, begins)
        self._cast.memory.embed = embed
        self._acts: list[Act] = []
        self._tasks = 0
        self._checked = 0
        self._made: World | None = None

    # -- scripts --------------------------------------------------------------------------------------------------

    def model(
        self,
        answer: Any,
        *,
        agent: Agent[Any, Any] | str | None = None,
        output_type: Any = None,
        matching: str | None = None,
        takes: timedelta = _AT_ONCE,
        usd: str | float = 0,
    ) -> Script[Prompt]:
        """What models answer: a text, a value (as JSON), a StepError, NEVER, a function of the :class:`Prompt`, or a
        list of these, one for each call.

        Only requests of ``agent``, for ``output_type``, with text ``matching`` the regular expression; of all rules
        that fit, the first answers. Each call ``takes`` virtual time and costs ``usd``.
        """
        name = agent.name if isinstance(agent, Agent) else agent
        return self._cast.scripts.add_model(answer, name, output_type, matching, (takes, parse_usd(usd)))

    def agent(self, name: str, answer: Any, *, takes: timedelta = _AT_ONCE) -> Script[Any]:
        """What an agent answers that is not here: a value, a StepError, NEVER, a function of its input as plain data,
        or a list of these."""
        if any(name == agent.name for agent in self._cast.agents):
            raise ValueError(f"agent {name!r} runs in this mesh: it cannot be scripted too")
        return self._cast.scripts.add_agent(name, answer, takes)

    def tool(
        self, tool: Tool[Any, Any], answer: Any, *, clearance: str | None = None, takes: timedelta = _AT_ONCE
    ) -> Script[dict[str, Any]]:
        """What a tool answers: a value, ToolFailed, NEVER, a function of its arguments by keyword, or a list of these.

        ``clearance``: the highest class that its zone may see; everything unless it is said.
        """
        if clearance is not None:
            self._cast.zones.limits[tool.zone] = Clearance.parse(clearance)
        return self._cast.scripts.add_tool(f"{tool.zone}/{tool.server}/{tool.name}", answer, takes)

    def people(self, anybody: Any = None, /, *, takes: timedelta = _AT_ONCE, **roles: Any) -> list[Script[Question]]:
        """What people answer: ``mesh.people(finance="approve", legal="deny: no contract")``.

        To ``approve``: "approve", "deny", "deny: why"; to ``ask``: the value; to both NEVER, a function of the
        :class:`Question`, or a list of these. ``anybody`` answers what no role given here does. Their answers go
        through the desk, which checks them as in production; a person is called by their role.
        """
        answers: list[tuple[str | None, Any]] = [(role.replace("_", "-"), answer) for role, answer in roles.items()]
        if anybody is not None:
            answers.append((None, anybody))
        return [self._cast.scripts.add_person(role, answer, takes) for role, answer in answers]

    def remember(
        self,
        text: str,
        *,
        subject: str | None = None,
        scope: str = "tenant",
        kind: Kind = "fact",
        tenant: str = "default",
        source: str | None = None,
        trust: int = 1,
    ) -> None:
        """Something that agents can recall from the start. Memory needs no script: it works, on the words of a text."""
        at = round(self._cast.begins.timestamp() * 1000)
        self._cast.memory.keep(text, tenant, scope, subject, kind, at, source=source, trust=trust)

    def quarantine(self, *, source: str | None = None, task: str | None = None, on: bool = True) -> None:
        """All that came, or will come, from a source or a task is found only with a trust of 0; or no longer."""
        if (source is None) == (task is None):
            raise ValueError("a quarantine is of all that came from either a source or a task")
        change = self._cast.memory.suspects.add if on else self._cast.memory.suspects.discard
        change((source, task))

    def team(self, name: str, *agents: Agent[Any, Any]) -> None:
        """Agents that share the memories of scope ``team:name``."""
        self._cast.memory.teams.setdefault(name, set()).update(agent.name for agent in agents)

    def memories(self, tenant: str = "default") -> list[Memory]:
        """All that a tenant's agents have in memory, oldest first."""
        self._world.settle()
        return self._cast.memory.kept(tenant)

    # -- tasks ----------------------------------------------------------------------------------------------------

    def run(self, agent: Agent[In, Out], value: In, *, key: str | None = None, **headers: str) -> Out:
        """Starts a task and returns its output; see :meth:`start` and :meth:`Handle.result`."""
        return self.start(agent, value, key=key, **headers).result()

    def start(self, agent: Agent[In, Out], value: In, *, key: str | None = None, **headers: str) -> Handle[Out]:
        """Sends a task event. ``headers`` are those of the wire: ``ce_tenant="acme"``, ``ce_costlimitusd="0.01"``, …"""
        self._tasks += 1
        handle = TaskHandle(agent.name, 0, f"{agent.name}-{self._tasks}")
        self._act(lambda world: world.start(handle, value, key, headers))
        return Handle(self, handle)

    def advance(self, time: timedelta) -> None:
        """Lets virtual time pass."""
        self._act(lambda world: world.advance(time.total_seconds()))

    def deploy(self, agent: Agent[Any, Any]) -> None:
        """Replaces an agent by another version of it, as a rolling upgrade does; open tasks go on with the new code."""
        self._act(partial(_deployed, agent))

    # -- what there is to see -------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Virtual time."""
        return self._world.wall()

    @property
    def calls(self) -> int:
        """How many model calls were made. A request that is repeated after a crash is answered from what was said."""
        return len(self._world.answering.calls)

    def records(self, topic: str) -> list[Any]:
        """What was ever appended to a topic (``journal.triage``), decoded."""
        history = self._world.history
        return [history.decoded(record) for record in history.of(topic)]

    def deltas(self, handle: Handle[Any]) -> list[Delta]:
        """What was shown of a task and of all that it called, oldest first: tokens, and ``ctx.progress``.

        The task is to be started with ``ce_stream="0"``. A scripted answer of a model comes in one piece.
        """
        codec, world = self._cast.codec, self._world
        world.settle()
        shown = (codec.decode_as(Delta, record.value or b"") for record in world.deltas)
        return [delta for delta in shown if delta.root_id == handle.id]

    def steps(self, handle: Handle[Any]) -> list[ReplayedStep]:
        """The steps of a task in call order, with requests and answers: its code replayed on its journal."""
        self._world.settle()
        replayed = self._world.replayed(handle.handle)
        return [] if replayed is None else replayed.steps

    def stuck(self) -> dict[str, str]:
        """Task id -> in which step its journal and the code differ, for the tasks of which that is so."""
        self._world.settle()
        return self._world.stuck()

    def close(self) -> None:
        """Frees what it holds. Happens by itself when the mesh is no longer referred to."""
        if self._made is not None:
            self._made.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _world(self) -> World:
        if self._made is None:
            self._made = World(self._cast)
            weakref.finalize(self, self._made.close)
        return self._made

    def _act(self, act: Act) -> Any:
        done = act(self._world)
        self._acts.append(act)
        return done

    def _result(self, handle: TaskHandle) -> Any:
        result: ResultEnvelope[Any] = self._act(partial(_finished, handle))
        world = self._world
        records = len(world.history) - world.begun
        points = range(self._checked + 1, records + 1)
        self._checked = records
        if self.crash is not None:
            chosen = points if self.crash == "everywhere" else [point for point in points if point == self.crash]
            crash_everywhere(self._cast, list(self._acts), world, chosen)
        if result.outcome is Outcome.OK:
            return result.content
        error = _error(result)
        for waited in world.unanswered(handle):
            error.add_note(waited)
        raise error


def _deployed(agent: Agent[Any, Any], world: World) -> None:
    world.settle()
    world.deploy(agent)
    world.settle()


def _finished(handle: TaskHandle, world: World) -> ResultEnvelope[Any]:
    result = world.result(handle)
    if result is None:
        words = "\n  ".join(world.unanswered(handle))
        raise NeverFinishes(f"task {handle.task_id} never ends, nothing is left to happen:\n  {words}")
    return result


class _Unnamed(StepError):
    """An error that is none of the SDK's."""


def _error(result: ResultEnvelope[Any]) -> StepError | TaskFailed:
    failure = result.error
    if failure is None or result.outcome is not Outcome.FAILED:
        return TaskFailed(result.outcome, failure)
    typed = step_error(failure, failure.step or "", _Unnamed)
    return TaskFailed(result.outcome, failure) if isinstance(typed, _Unnamed) else typed
