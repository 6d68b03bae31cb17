"""Plays everybody who is not an agent worker of this process: models, tools, other agents and people, from scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

from aiosv3.agents.testing.errors import NotScripted
from aiosv3.agents.testing.memory import MemoryInTest
from aiosv3.agents.testing.prompt import readable
from aiosv3.agents.testing.scripts import Call, PersonSaid, Said, Scripts
from aiosv3.agents.worker.messages import CANCEL_TYPE
from aiosv3.agents.worker.questions import answer_outgoing, entry_in
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.headers import CE_ID, CE_TYPE, GRANT, REPLY, ROUTE, Grant, Reply, Route
from aiosv3.schemas.memory import MemoryQuery
from aiosv3.schemas.people import PersonAnswer, Question
from aiosv3.schemas.records import ModelRequest, Outcome
from aiosv3.schemas.tooling import ToolRequest
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import answer_record, journal_outgoing, reply_to
from aiosv3.streams.deltas import delta_outgoing
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.ownlog import provenance

Later: TypeAlias = Callable[[float, Callable[[], None]], object]
Append: TypeAlias = Callable[[Outgoing, str], object]


class Answering:
    """``here``: names of the agents whose workers run in the test. ``append`` puts an answer on the log. ``stored``:
    what the claim store has, for the earlier messages of conversations.

    As pools and agents do, it answers a request that comes again with what it said the first time.
    """

    def __init__(
        self,
        scripts: Scripts,
        topics: Topics,
        codec: Codec,
        here: Container[str],
        later: Later,
        append: Append,
        stored: Mapping[str, bytes] = MappingProxyType({}),
        memory: MemoryInTest | None = None,
    ) -> None:
        self.calls: set[str] = set()
        """Ids of the model calls that were made."""
        self._scripts = scripts
        self._topics = topics
        self._codec = codec
        self._here = here
        self._later = later
        self._append = append
        self._stored = stored
        self._memory = memory
        self._working: set[str] = set()

    def take(self, record: Record) -> None:
        """A record that landed; what is no request is left alone. Raises what the scripts raise."""
        kind, _, name = record.topic.removeprefix(self._topics.prefix).partition(".")
        if record.header(CE_TYPE) == CANCEL_TYPE or record.value is None:
            return
        if kind == "prompts":
            self._model(record, record.value)
        elif kind == "tasks" and name not in self._here:
            self._agent(record, record.value, name)
        elif kind == "tools":
            self._tool(record, record.value, name)
        elif kind == "memory" and name == "queries" and self._memory is not None:
            self._remember(record, record.value, self._memory)
        elif kind == "approvals":
            self._person(record, record.value)

    def _model(self, record: Record, value: bytes) -> None:
        route = Route.decode(record.header(ROUTE) or b"")
        request = self._codec.decode_as(ModelRequest, value)
        prompt = readable(request, route, self._stored)
        again = prompt.id in self.calls
        self.calls.add(prompt.id)
        said = self._scripts.model_says(prompt)
        if not (again or route.stream is None or said.content is None or said.after is None):
            self._later(said.after, partial(self._write, record, request, route, said.content))
        self._say(record, said, "model")

    def _write(self, record: Record, request: ModelRequest, route: Route, content: str) -> None:
        """Shows the whole answer at once to whoever follows it."""
        text, partition = json.loads(content)["text"], route.stream or 0
        pieces = [(DeltaKind.TOKEN, text)] if text else []
        for sequence, (kind, piece) in enumerate([*pieces, (DeltaKind.END, None)]):
            delta = Delta(
                request.root_id,
                request.task_id,
                request.agent,
                request.step_id,
                route.attempt,
                0,
                sequence,
                kind,
                content=piece,
            )
            shown = delta_outgoing(self._codec, self._topics.deltas(), partition, delta, _id(record), b"test")
            self._append(shown, "model")

    def _agent(self, record: Record, value: bytes, name: str) -> None:
        task: Any = json.loads(value)
        if name not in self._scripts.agents:
            raise NotScripted(
                f"a task was given to agent {name}, which is not in this test: {task!r}\n"
                f"put it into MeshTest(…), or say what it answers: mesh.agent({name!r}, lambda value: …)"
            )
        self._say(record, self._scripts.agent_says(Call(_id(record), _hash(record), name, task)), name)

    def _tool(self, record: Record, value: bytes, zone: str) -> None:
        request = self._codec.decode_as(ToolRequest, value)
        name = f"{zone}/{request.server}/{request.tool}"
        arguments = json.loads(request.content or "{}")
        if name not in self._scripts.tools:
            raise NotScripted(
                f"tool {name} was called, which has no script: {arguments!r}\n"
                "say what it answers: mesh.tool(it, lambda **arguments: …)"
            )
        self._say(record, self._scripts.tool_says(Call(_id(record), _hash(record), name, arguments)), name)

    def _remember(self, record: Record, value: bytes, memory: MemoryInTest) -> None:
        grant, route = Grant.decode(record.header(GRANT) or b""), Route.decode(record.header(ROUTE) or b"")
        said = memory.says(self._codec.decode_as(MemoryQuery, value), grant, route, record.timestamp)
        self._say(record, said, "memory")

    def _say(self, record: Record, said: Said, by: str) -> None:
        raw = record.header(REPLY)
        reply = reply_to(Reply.decode(raw)) if raw is not None else None
        if reply is None or said.after is None:
            return
        outcome = Outcome.OK if said.failure is None else Outcome.FAILED
        answer = answer_record(reply, _hash(record), outcome, said.content, error=said.failure, usage=said.usage)
        onward = journal_outgoing(self._codec, reply.topic, reply.partition, answer, provenance(record))
        self._land(_id(record), said.after, lambda: onward, by)

    def _person(self, record: Record, value: bytes) -> None:
        question = entry_in(self._codec, value)
        if not isinstance(question, Question):
            return
        said = self._scripts.person_says(question)
        if said.after is not None:
            answered = record.timestamp + int(said.after * 1000)
            self._land(_id(record), said.after, lambda: self._answered(record, question, said, answered), said.who)

    def _answered(self, record: Record, question: Question, said: PersonSaid, at: int) -> Outgoing:
        answer = PersonAnswer(
            request_id=question.request_id,
            answer_id="script",
            who=said.who,
            answered_at=at,
            token=question.reply.token,
            approved=said.approved,
            comment=said.comment,
            content=said.content,
        )
        return answer_outgoing(self._codec, self._topics, record.partition, answer, b"test")

    def _land(self, request: str, after: float, answer: Callable[[], Outgoing], by: str) -> None:
        """A duplicate of a request whose answer is on its way waits for the same answer."""
        if request in self._working:
            return
        self._working.add(request)

        def land() -> None:
            self._working.discard(request)
            self._append(answer(), by)

        self._later(after, land)


def _id(record: Record) -> str:
    return (record.header(CE_ID) or b"").decode()


def _hash(record: Record) -> str:
    raw = record.header(ROUTE)
    return Route.decode(raw).hash if raw is not None else ""
