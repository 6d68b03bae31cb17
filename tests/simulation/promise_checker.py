"""What was asked for, sent and written, read off the topics: sentences that no result and no replay shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from programs import AGENTS, ANEW, EDITED
from simulated_mesh import PARTITIONS, POOLS, ZONE, SimulatedMesh

from aiosv3.agents.facts import DEADLINE_STEP
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Grant, Reply, Route
from aiosv3.schemas.records import (
    Answer,
    Completion,
    Decision,
    DecisionOutcome,
    JournalKind,
    JournalRecord,
    ModelRequest,
    Outcome,
    cancel_request_id,
)
from aiosv3.streams.log import Record

_MADE = frozenset({JournalKind.ANSWER, JournalKind.VALUE, JournalKind.TIMER})
_FORGED = b"mallory"


class PromiseChecker:
    """``(invariant, words)`` of everything that contradicts the promise."""

    def __init__(self, mesh: SimulatedMesh) -> None:
        self.mesh = mesh
        self._journals: dict[tuple[str, int], list[tuple[int, JournalRecord]]] = {}
        for name in AGENTS:
            for partition in range(PARTITIONS):
                topic = mesh.topics.journal(name)
                self._journals[topic, partition] = [
                    (record.offset, mesh.codec.decode_as(JournalRecord, record.value))
                    for record in mesh.sim.broker.records(topic, partition)
                    if record.value is not None and record.header("ce_source") != _FORGED
                ]

    def violations(self) -> Iterator[tuple[str, str]]:
        yield from self.mesh.wrong
        yield from self._asked_again()
        yield from self._started_late()
        yield from self._unjournaled_sends()
        yield from self._routed_after_cancel()
        yield from self._answered_by_others()
        yield from self._misfits()
        yield from self._above_class()
        yield from self._unreadable()
        yield from self._crowded_commits()

    def _records(self, topic: str) -> Iterator[Record]:
        for partition in range(PARTITIONS):
            yield from self.mesh.sim.broker.records(topic, partition)

    def _asked_again(self) -> Iterator[tuple[str, str]]:
        """Rule 16: what the journal answers below the asker's marker is not asked for any more."""
        answered: dict[tuple[str, int, str], int] = {}
        for (name, partition), entries in self._journals.items():
            for offset, entry in entries:
                if entry.kind is JournalKind.ANSWER:
                    answered.setdefault((name, partition, f"{entry.task_id}/{entry.step_id}"), offset)
        topics = self.mesh.topics
        for topic in (topics.prompts(), topics.tools(ZONE.name), *map(topics.tasks, AGENTS)):
            for record in self._records(topic):
                raw_route, raw_reply = record.header(ROUTE), record.header(REPLY)
                if raw_route is None or raw_reply is None:
                    continue
                route, reply = Route.decode(raw_route), Reply.decode(raw_reply)
                name = f"{reply.task}/{reply.step}"
                first = answered.get((reply.topic, reply.partition, name))
                if route.attempt == 1 and first is not None and first < route.epoch:
                    yield "asked_again", f"{name} by the owner of {route.epoch}, answered at {first}"

    def _started_late(self) -> Iterator[tuple[str, str]]:
        """Rule 20: ``started`` stands ahead of what the first steps bring."""
        for entries in self._journals.values():
            started: set[str] = set()
            for offset, record in entries:
                if record.kind is JournalKind.STARTED:
                    started.add(record.task_id)
                elif record.kind in _MADE and record.task_id not in started and record.step_id != DEADLINE_STEP:
                    yield "started_late", f"{record.task_id} has {record.kind} at {offset}, and had not started"

    def _unjournaled_sends(self) -> Iterator[tuple[str, str]]:
        """Rule 21: a one-way child that the log has is on the journal by the time of the result."""
        noted = {
            f"{record.task_id}/{record.step_id}"
            for entries in self._journals.values()
            for _, record in entries
            if record.kind is JournalKind.VALUE
        }
        done = {record.header("ce_id") for name in AGENTS for record in self._records(self.mesh.topics.results(name))}
        for record in self._records(self.mesh.topics.tasks("leaf")):
            child = (record.header("ce_id") or b"").decode()
            over = child.rpartition("/")[0].encode() in done
            if record.header(REPLY) is None and over and child not in noted and self._ended_well(child):
                yield "unjournaled", f"{child} was sent, and nothing in the journal says so"

    def _ended_well(self, child: str) -> bool:
        parent = child.rpartition("/")[0]
        for name in AGENTS:
            for record in self._records(self.mesh.topics.results(name)):
                if record.header("ce_id") == parent.encode():
                    result = self.mesh.schemas[name].decode_result(self.mesh.codec, record.value or b"")
                    return result.outcome is Outcome.OK
        return False

    def _routed_after_cancel(self) -> Iterator[tuple[str, str]]:
        """Rule 25: who has read that a tree is cancelled routes no request of it.

        Unless it had decided before, and its decision got lost on its way: it is appended again as it was.
        """
        lost = f"append to {self.mesh.topics.decisions()}/"
        again = any(event.what == "lost" and lost in event.details for event in self.mesh.sim.history)
        for partition in range(PARTITIONS):
            cancels: dict[str, tuple[int, int]] = {}
            for record in self.mesh.sim.broker.records(self.mesh.topics.decisions(), partition):
                if record.value is None:
                    continue
                decision = self.mesh.codec.decode_as(Decision, record.value)
                if decision.request_id == cancel_request_id(decision.root_id):
                    cancels.setdefault(decision.root_id, (record.offset, decision.epoch))
                elif decision.root_id in cancels and decision.outcome is DecisionOutcome.ROUTED:
                    offset, epoch = cancels[decision.root_id]
                    if (decision.epoch == epoch and not again) or decision.epoch > offset:
                        words = f"{decision.request_id} was routed at {record.offset} by the owner of {decision.epoch}"
                        yield "routed_cancelled", f"{words}, its tree was cancelled at {offset}"

    def _answered_by_others(self) -> Iterator[tuple[str, str]]:
        """People: only who has the role, and only through the desk."""
        for planned in self.mesh.plan:
            result = self._result(planned.agent, planned.id) if planned.program == "approve" else None
            if result is not None and result.outcome is Outcome.OK and result.content.words[-2] not in {"ann", "bob"}:
                yield "people", f"{planned.id} was approved by {result.content.words[-2]}"

    def _result(self, agent: str, task_id: str) -> Any:
        for record in self._records(self.mesh.topics.results(agent)):
            if record.header("ce_id") == task_id.encode():
                return self.mesh.schemas[agent].decode_result(self.mesh.codec, record.value or b"")
        return None

    def _misfits(self) -> Iterator[tuple[str, str]]:
        """Rule 20: an answer is taken by the code that asks for it, and by no other."""
        asked = dict(self._questions())
        for planned in self.mesh.plan:
            result = self._result("root", planned.id) if planned.program == "seq" and planned.agent == "root" else None
            if result is None or result.outcome is not Outcome.OK:
                continue
            question = asked.get(result.content.words[-1])
            if question is not None and (ANEW in question) != (result.code_version == EDITED.version):
                yield "misfit", f"{planned.id} of code {result.code_version} took the answer to {question!r}"

    def _questions(self) -> Iterator[tuple[str, str]]:
        """An answer of a model and what it was asked."""
        texts: dict[tuple[str, str], str] = {}
        for record in self._records(self.mesh.topics.prompts()):
            request = self.mesh.codec.decode_as(ModelRequest, record.value or b"")
            messages = getattr(request.content, "messages", None)
            if messages:
                route = Route.decode(record.header(ROUTE) or b"")
                texts[request.request_id, route.hash] = messages[-1].content
        for pool in POOLS:
            for record in self._records(self.mesh.topics.completions(pool)):
                if record.value is not None:
                    said = self.mesh.codec.decode_as(Completion, record.value)
                    name = said.request_id.partition("~")[0], said.request_hash
                    if isinstance(said.content, Answer) and name in texts:
                        yield said.content.text, texts[name]

    def _above_class(self) -> Iterator[tuple[str, str]]:
        """A prompt never goes to a pool below its class."""
        for pool in self.mesh.pools():
            for record in self._records(self.mesh.topics.pool_prompts(pool.name)):
                grant = Grant.decode(record.header(GRANT) or b"")
                if grant.clearance > pool.clearance:
                    name = (record.header("ce_id") or b"").decode()
                    yield "class", f"{name} is {grant.clearance.label}, pool {pool.name} {pool.clearance.label}"

    def _unreadable(self) -> Iterator[tuple[str, str]]:
        """An event that nobody can read: a dead letter, and a failed result where its id can be read."""
        buried = {record.value for record in self._records(self.mesh.topics.dead_letters())}
        for event in self.mesh.unreadable:
            name = dict(event.headers)["ce_id"]
            if event.value not in buried:
                yield "dead_letter", f"{name!r} is no dead letter"
            results = self._records(self.mesh.topics.results("root"))
            if name.isascii() and not any(record.header("ce_id") == name for record in results):
                yield "dead_letter", f"{name!r} has no result"

    def _crowded_commits(self) -> Iterator[tuple[str, str]]:
        """Rule 8: a commit fits the room that it has."""
        for event in self.mesh.sim.history:
            if event.what == "commit" and len(event.details.rpartition("|")[2]) - 1 > self.mesh.pressure.set_room:
                yield "crowded", f"{event.who}: {event.details}"
