"""Tasks that an agent starts as roots of trees of their own: events as somebody outside would send them."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Final

from aiosv3.agents.facts import Task
from aiosv3.agents.steps import CallStep
from aiosv3.schemas import headers as names
from aiosv3.schemas.headers import Clearance, Route
from aiosv3.schemas.sealing import TASK
from aiosv3.schemas.topics import TaskHandle, Topics
from aiosv3.streams.answers import JSON, SEALED, event
from aiosv3.streams.log import Appended, Outgoing

_MICROS: Final = 1_000_000


def root_event(
    topics: Topics, task: Task, clearance: Clearance, step: CallStep, route: Route, source: bytes
) -> Outgoing:
    """Without a grant: admission makes one, by the limits of the agent that is started.

    ``route`` says when it was first sent, so that a copy from after a long outage is still known for one.
    """
    root = step.root or ""
    value, key_id = task.keys.seal_bytes(clearance, TASK, root, step.value)
    content_type = JSON if key_id is None else SEALED
    headers = event(f"aiosv3.task.{step.agent}".encode(), root, source, content_type, task.traceparent)
    headers.append((names.CE_TENANT, task.grant.tenant.encode()))
    headers.append((names.CE_DATACLASSIFICATION, clearance.label.encode()))
    if task.grant.regions:
        headers.append((names.CE_DATAREGIONS, ",".join(task.grant.regions).encode()))
    if task.grant.terms:
        headers.append((names.CE_DATATERMS, ",".join(task.grant.terms).encode()))
    if step.usd_micros is not None:
        headers.append((names.CE_COSTLIMITUSD, str(Decimal(step.usd_micros) / _MICROS).encode()))
    if task.grant.by is not None:
        headers.append((names.CE_AUTHID, task.grant.by.encode()))
    if task.grant.subject is not None:
        headers.append((names.CE_SUBJECT, f"keyed:{task.grant.subject}".encode()))
    headers.append((names.ROUTE, replace(route, stream=None).encode()))  # who follows this tree does not see that one
    return Outgoing(topics.tasks(step.agent), None, (step.key or root).encode(), value, headers)


def sent_content(step: CallStep, ack: Appended) -> str:
    """What the journal holds of a one-way step that the log has: null, or the handle of the root."""
    return json.dumps(None if step.root is None else str(TaskHandle(step.agent, ack.partition, step.root)))
