"""The records that an agent worker appends, with their nine headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiosv3.agents.agent import Agent
from aiosv3.agents.facts import Finish, Task
from aiosv3.agents.steps import CallStep, CancelStep, MemoryStep, ModelStep, PersonStep, Step, ToolStep
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.roots import root_event
from aiosv3.agents.worker.sealing import sealed_prompt, sealed_result
from aiosv3.prompts.scan import Verdict
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.headers import Clearance, Grant, Reply, Route
from aiosv3.schemas.memory import SEALED_QUERY
from aiosv3.schemas.people import Question
from aiosv3.schemas.records import (
    JournalKind,
    JournalRecord,
    ModelRequest,
    Outcome,
    ReplyTo,
    StepFailure,
    Usage,
    cancel_request_id,
)
from aiosv3.schemas.sealing import QUESTION, TASK, TOOL
from aiosv3.schemas.state import StateChange
from aiosv3.schemas.tooling import ToolRequest
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, JSON, SEALED, answer_record, event, journal_outgoing, reply_to
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.ownlog import provenance
from aiosv3.streams.partitioner import murmur2_partition

REQUEST_TYPE: Final = b"aiosv3.prompt"
TOOL_TYPE: Final = b"aiosv3.tool"
MEMORY_TYPE: Final = b"aiosv3.memory"
TASK_TYPE: Final = b"aiosv3.task"
RESULT_TYPE: Final = b"aiosv3.result"
QUESTION_TYPE: Final = b"aiosv3.question"
CANCEL_TYPE: Final = names.CANCEL_TYPE.encode()


@dataclass(frozen=True, slots=True)
class Messages:
    """Builds the records of one agent on one partition. ``epoch`` is the worker's marker offset."""

    agent: Agent[Any, Any]
    schemas: AgentSchemas
    codec: Codec
    topics: Topics
    partition: int
    epoch: int
    zones: Mapping[str, Clearance] = field(default_factory=dict)
    """The tool zones that there are, and what each may see."""
    approvals: int = 1
    """Partitions of ``approvals``."""

    def model_request(self, run: TaskRun, step: ModelStep, source: bytes, verdict: Verdict) -> Outgoing:
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
        route = replace(step.route, epoch=self.epoch, found=verdict.kinds)
        narrowed = self._narrowed(run, task.grant.depth)
        grant = replace(narrowed, clearance=max(narrowed.clearance, verdict.clearance))
        body = sealed_prompt(self.codec, task.keys, grant.clearance, body)
        headers += self._mesh(run, step, grant, route)
        return Outgoing(self.topics.prompts(), None, task.grant.root.encode(), self.codec.encode(body), headers)

    def child_task(self, run: TaskRun, step: CallStep, source: bytes) -> Outgoing:
        """A task event for another agent, as JSON: its worker validates it against its own input type."""
        task = run.task
        if step.root is not None:
            return root_event(self.topics, task, run.clearance, step, self._route(run, step), source)
        child_id = f"{task.id}/{step.id}"
        value, key_id = task.keys.seal_bytes(run.clearance, TASK, child_id, step.value)
        headers = event(TASK_TYPE, child_id, source, JSON if key_id is None else SEALED, task.traceparent)
        route = self._route(run, step)
        grant = self._narrowed(run, task.grant.depth + 1)
        headers += self._mesh(run, step, grant, route) if step.wait else _one_way(grant, route)
        return Outgoing(self.topics.tasks(step.agent), None, _child_key(task, step), value, headers)

    def question(self, run: TaskRun, step: PersonStep, source: bytes) -> Outgoing:
        """A question on ``approvals``, in the partition where its answers will be."""
        task = run.task
        request_id = f"{task.id}/{step.id}"
        ends = [moment for moment in (step.due, task.grant.exp) if moment is not None]
        content, key_id = task.keys.seal_text(run.clearance, QUESTION, request_id, step.text)
        body = Question(
            request_id=request_id,
            root_id=task.grant.root,
            task_id=task.id,
            step_id=step.id,
            agent=self.agent.name,
            tenant=task.grant.tenant,
            kind=step.kind,
            role=step.role,
            asker=task.grant.by,
            asked_at=step.first_sent,
            expires_at=min(ends, default=None),
            request_hash=step.hash,
            reply=self._reply(run, step),
            output_schema=step.output_schema,
            content=content,
            content_key_id=key_id,
        )
        headers = event(QUESTION_TYPE, request_id, source, AVRO, task.traceparent)
        headers.append((names.GRANT, self._narrowed(run, task.grant.depth).encode()))
        key = request_id.encode()
        place = murmur2_partition(key, self.approvals)
        return Outgoing(self.topics.approvals(), place, key, self.codec.encode(body), headers)

    def cancel(self, run: TaskRun, step: CancelStep, source: bytes) -> Outgoing:
        """To the journal of the child that nobody waits for, found by its task key; or to the router: the tree ended.

        A child's journal has as many partitions as its tasks, so the key leads to the one where it is admitted.
        """
        task = run.task
        if step.call is not None:
            child = JournalRecord(f"{task.id}/{step.call.id}", -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)
            topic = self.topics.journal(step.call.agent)
            record = journal_outgoing(self.codec, topic, -1, child, source)
            return record._replace(partition=None, key=_child_key(task, step.call))
        root = task.grant.root
        cancel_id = cancel_request_id(root)
        body = ModelRequest(cancel_id, root, task.id, step.id, self.agent.name, None)
        headers = event(CANCEL_TYPE, cancel_id, source, AVRO, task.traceparent)
        headers += _one_way(self._narrowed(run, task.grant.depth), self._route(run, step))
        return Outgoing(self.topics.prompts(), None, root.encode(), self.codec.encode(body), headers)

    def tool_request(self, run: TaskRun, step: ToolStep, source: bytes) -> Outgoing:
        """A request on ``tools.<zone>``, keyed by the task."""
        task = run.task
        request_id = f"{task.id}/{step.id}"
        content, key_id = task.keys.seal_text(run.clearance, TOOL, request_id, step.arguments)
        body = ToolRequest(
            request_id=request_id,
            root_id=task.grant.root,
            task_id=task.id,
            step_id=step.id,
            agent=self.agent.name,
            server=step.server,
            tool=step.tool,
            content=content,
            content_key_id=key_id,
        )
        headers = event(TOOL_TYPE, request_id, source, AVRO, task.traceparent)
        headers += self._mesh(run, step, self._narrowed(run, task.grant.depth), self._route(run, step))
        return Outgoing(self.topics.tools(step.zone), None, task.id.encode(), self.codec.encode(body), headers)

    def memory_request(self, run: TaskRun, step: MemoryStep, source: bytes) -> Outgoing:
        """A request on ``memory.queries``; what this agent may read and write follows from its headers."""
        task = run.task
        request_id = f"{task.id}/{step.id}"
        content, key_id = step.query.content, None
        if task.keys.key(run.clearance) is not None:  # an empty one too: it says what the answer is sealed with
            text = content if isinstance(content, str) else ""
            content, key_id = task.keys.seal_text(run.clearance, SEALED_QUERY, request_id, text)
        body = replace(
            step.query,
            request_id=request_id,
            root_id=task.grant.root,
            task_id=task.id,
            step_id=step.id,
            agent=self.agent.name,
            content=content,
            content_key_id=key_id,
        )
        headers = event(MEMORY_TYPE, request_id, source, AVRO, task.traceparent)
        headers += self._mesh(run, step, self._narrowed(run, task.grant.depth), self._route(run, step))
        key = (step.key or request_id).encode()
        return Outgoing(self.topics.memory_queries(), None, key, self.codec.encode(body), headers)

    def tool_refusal(self, run: TaskRun, step: ToolStep) -> StepFailure | None:
        """Why this task's data must not go to the zone of the step; None when they may. Fail closed."""
        cleared = self.zones.get(step.zone)
        if cleared is None:
            words = f"there is no tool zone {step.zone!r} in the settings of this worker: nothing was sent"
        elif run.clearance > cleared:
            words = f"zone {step.zone} may see {cleared.label} data, this task is {run.clearance.label}: not sent"
        else:
            return None
        return StepFailure("ClearanceDenied", words, retryable=False, step=step.id)

    def _route(self, run: TaskRun, step: Step) -> Route:
        """The route of what no router sees. Who follows a task follows what it waits for."""
        wishes = run.task.wishes
        waits = isinstance(step, CallStep) and step.wait
        return Route(
            agent=self.agent.name,
            complexity=wishes.complexity,
            tokens=0,
            max_tokens=0,
            latency_ms=wishes.latency_ms,
            priority=wishes.priority,
            epoch=self.epoch,
            first_sent=step.first_sent,
            hash=step.hash,
            stream=wishes.stream if waits else None,
        )

    def _mesh(self, run: TaskRun, step: Step, grant: Grant, route: Route) -> Headers:
        answer_to = self._reply(run, step)
        reply = Reply(
            topic=answer_to.topic,
            partition=answer_to.partition,
            offset=answer_to.offset,
            task=answer_to.task,
            step=answer_to.step,
            token=answer_to.token,
        )
        return [*_one_way(grant, route), (names.REPLY, reply.encode())]

    def _reply(self, run: TaskRun, step: Step) -> ReplyTo:
        topic = self.topics.journal(self.agent.name)
        return ReplyTo(topic, self.partition, run.task.offset, run.task.id, step.id, run.token(step))

    def _narrowed(self, run: TaskRun, depth: int) -> Grant:
        """The grant that goes on: the class may only rise, the money only shrink; the cap is the whole tree's."""
        grant = run.task.grant
        left = max(0, run.spending.left)
        return replace(grant, clearance=run.clearance, usd_micros=left, depth=depth)

    def journal(self, task: Task, record: JournalRecord, source: bytes) -> Outgoing:
        """A record for this agent's own journal partition."""
        return journal_outgoing(self.codec, self.topics.journal(self.agent.name), self.partition, record, source)

    def started(self, task: Task) -> JournalRecord:
        """Which code began this task (rule 20), and the patches that it knows (docs/adr/0015)."""
        return JournalRecord(
            task_id=task.id,
            task_offset=task.offset,
            step_id=None,
            request_hash=None,
            kind=JournalKind.STARTED,
            outcome=Outcome.OK,
            code_version=self.agent.version,
            content=json.dumps(sorted(self.agent.patches)) if self.agent.patches else None,
            seals=None if task.keys.since is None else task.keys.since.label,
        )

    def local(
        self, run: TaskRun, step: Step, kind: JournalKind, content: str | None, error: StepFailure | None = None
    ) -> JournalRecord:
        """A value made in the worker, a timer that fired, a one-way send that the log has."""
        task = run.task
        made = sealed_answer(task.keys.key(run.clearance), f"{task.id}/{step.id}", content, error)
        return JournalRecord(
            task_id=task.id,
            task_offset=task.offset,
            step_id=step.id,
            request_hash=step.hash,
            kind=kind,
            outcome=Outcome.OK if error is None else Outcome.FAILED,
            error=made.error,
            content=made.content,
            content_key_id=made.content_key_id,
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
            state=self._state(run, finish),
        )
        headers = event(RESULT_TYPE, task.id, provenance(record), AVRO, task.traceparent)
        headers.append((names.GRANT, record.header(names.GRANT) or task.grant.encode()))
        value = self.schemas.encode_result(self.codec, envelope)
        if run is not None and task.keys.key(run.clearance) is not None:
            value = self.schemas.encode_result(
                self.codec, sealed_result(self.agent, self.codec, self.schemas, run, envelope)
            )
        key = record.key if record.key is not None else task.id.encode()
        return Outgoing(self.topics.results(self.agent.name), self.partition, key, value, headers)

    def _state(self, run: TaskRun | None, finish: Finish) -> StateChange | None:
        """Only a task that ended well leaves a new state."""
        if self.schemas.state is None or run is None or run.state is None or finish.outcome is not Outcome.OK:
            return None
        return run.state.change(self.schemas.state, self.codec, run.clearance)

    def answer(self, result: ResultEnvelope[Any], source: bytes) -> Outgoing | None:
        """The result as an answer in the asker's journal; None when nobody waits."""
        reply = result.reply
        if reply is None:
            return None
        content: str | bytes | None = result.sealed
        if result.outcome is Outcome.OK and content is None:
            content = self.agent.output_adapter.dump_json(result.content).decode()
        error = result.error
        record = answer_record(
            reply,
            result.request_hash,
            result.outcome,
            content,
            error=error,
            usage=result.usage,
            key_id=result.content_key_id,
        )
        return journal_outgoing(self.codec, reply.topic, reply.partition, record, source)


def _child_key(task: Task, step: CallStep) -> bytes:
    return (step.key or f"{task.id}/{step.id}").encode()


def _one_way(grant: Grant, route: Route) -> Headers:
    return [(names.GRANT, grant.encode()), (names.ROUTE, route.encode())]
