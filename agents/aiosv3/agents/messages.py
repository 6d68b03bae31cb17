"""The records that an agent worker appends, with their nine headers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from aiosv3.agents.agent import Agent
from aiosv3.agents.steps import CallStep, ModelStep, Step
from aiosv3.agents.task import Finish, Task, TaskRun
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.headers import Grant, Reply, Route
from aiosv3.schemas.records import JournalKind, JournalRecord, ModelRequest, Outcome, StepFailure, Usage
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, JSON, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.ownlog import provenance

REQUEST_TYPE: Final = b"aiosv3.prompt"
TASK_TYPE: Final = b"aiosv3.task"
RESULT_TYPE: Final = b"aiosv3.result"
CANCEL_TYPE: Final = b"aiosv3.cancel"


@dataclass(frozen=True, slots=True)
class Messages:
    """Builds the records of one agent on one partition. ``epoch`` is the worker's marker offset."""

    agent: Agent[Any, Any]
    schemas: AgentSchemas
    codec: Codec
    topics: Topics
    partition: int
    epoch: int

    def model_request(self, run: TaskRun, step: ModelStep, source: bytes) -> Outgoing:
        """A request on ``prompts``, keyed by the root so that one router partition decides for the whole tree."""
        task = run.task
        request_id = f"{task.id}/{step.id}"
        body = ModelRequest(
            request_id=request_id,
            root_id=task.grant.root,
            task_id=task.id,
            step_id=step.id,
            agent=self.agent.name,
            content=step.prompt,
        )
        headers = event(REQUEST_TYPE, request_id, source, AVRO, task.traceparent)
        route = replace(step.route, epoch=self.epoch)
        headers += self._mesh(run, step, self._narrowed(run, task.grant.depth), route)
        return Outgoing(self.topics.prompts(), None, task.grant.root.encode(), self.codec.encode(body), headers)

    def child_task(self, run: TaskRun, step: CallStep, source: bytes) -> Outgoing:
        """A task event for another agent, as JSON: its worker validates it against its own input type."""
        task = run.task
        child_id = f"{task.id}/{step.id}"
        headers = event(TASK_TYPE, child_id, source, JSON, task.traceparent)
        route = Route(
            agent=self.agent.name,
            complexity=task.wishes.complexity,
            tokens=0,
            max_tokens=0,
            latency_ms=task.wishes.latency_ms,
            priority=task.wishes.priority,
            epoch=self.epoch,
            first_sent=step.first_sent,
            hash=step.hash,
        )
        grant = self._narrowed(run, task.grant.depth + 1)
        headers += self._mesh(run, step, grant, route) if step.wait else _one_way(grant, route)
        key = (step.key if step.key is not None else child_id).encode()
        return Outgoing(self.topics.tasks(step.agent), None, key, step.value, headers)

    def _mesh(self, run: TaskRun, step: Step, grant: Grant, route: Route) -> Headers:
        reply = Reply(
            topic=self.topics.journal(self.agent.name),
            partition=self.partition,
            offset=run.task.offset,
            task=run.task.id,
            step=step.id,
            token=run.token(step),
        )
        return [*_one_way(grant, route), (names.REPLY, reply.encode())]

    def _narrowed(self, run: TaskRun, depth: int) -> Grant:
        """The grant that goes on: the class may only rise, the money only shrink."""
        grant = run.task.grant
        left = max(0, run.budget - run.usage.cost_usd_micros)
        return Grant(grant.tenant, grant.root, run.clearance, left, grant.exp, depth, grant.sig)

    def journal(self, task: Task, record: JournalRecord, source: bytes) -> Outgoing:
        """A record for this agent's own journal partition."""
        return journal_outgoing(self.codec, self.topics.journal(self.agent.name), self.partition, record, source)

    def started(self, task: Task) -> JournalRecord:
        """Which code began this task (rule 20)."""
        return JournalRecord(
            task_id=task.id,
            task_offset=task.offset,
            step_id=None,
            request_hash=None,
            kind=JournalKind.STARTED,
            outcome=Outcome.OK,
            code_version=self.agent.version,
        )

    def local(
        self, task: Task, step: Step, kind: JournalKind, content: str | None, error: StepFailure | None = None
    ) -> JournalRecord:
        """A value made in the worker, a timer that fired, a one-way send that the log has."""
        return JournalRecord(
            task_id=task.id,
            task_offset=task.offset,
            step_id=step.id,
            request_hash=step.hash,
            kind=kind,
            outcome=Outcome.OK if error is None else Outcome.FAILED,
            error=error,
            content=content,
        )

    def result(self, record: Record, task: Task, run: TaskRun | None, finish: Finish) -> Outgoing:
        """The result of a task on ``results.<agent>``: the agent's own log."""
        envelope = ResultEnvelope(
            task_id=task.id,
            root_id=task.grant.root,
            task_key=task.key,
            outcome=finish.outcome,
            error=finish.failure,
            input_offset=record.offset,
            epoch=self.epoch,
            request_hash=task.request_hash,
            reply=reply_to(task.reply),
            journal_offset=finish.journal_offset,
            started_at=task.timestamp,
            finished_at=finish.timestamp,
            code_version=self.agent.version,
            usage=run.usage if run is not None else Usage(),
            content=finish.value,
        )
        headers = event(RESULT_TYPE, task.id, provenance(record), AVRO, task.traceparent)
        headers.append((names.GRANT, record.header(names.GRANT) or task.grant.encode()))
        value = self.schemas.encode_result(self.codec, envelope)
        key = record.key if record.key is not None else task.id.encode()
        return Outgoing(self.topics.results(self.agent.name), self.partition, key, value, headers)

    def answer(self, result: ResultEnvelope[Any], source: bytes) -> Outgoing | None:
        """The result as an answer in the asker's journal; None when nobody waits."""
        reply = result.reply
        if reply is None:
            return None
        content = None
        if result.outcome is Outcome.OK:
            content = self.agent.output_adapter.dump_json(result.content).decode()
        error = result.error
        record = answer_record(reply, result.request_hash, result.outcome, content, error=error, usage=result.usage)
        return journal_outgoing(self.codec, reply.topic, reply.partition, record, source)


def _one_way(grant: Grant, route: Route) -> Headers:
    return [(names.GRANT, grant.encode()), (names.ROUTE, route.encode())]
