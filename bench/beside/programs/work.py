"""The work that every stream program does, in whichever environment it runs: Avro in, a pause, Avro out.

A task is an Avro record behind the five bytes of Confluent's wire format. ``amount`` is how many seconds it waits
(0: not at all). Where ``AIOSV3_BENCH_SEEN`` names a file, each execution leaves a line there as it begins and one as it
ends, whatever becomes of the process afterwards.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
from typing import Any

import fastavro

TICKET = {
    "type": "record",
    "name": "Ticket",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "customer", "type": "string"},
        {"name": "text", "type": "string"},
        {"name": "priority", "type": "long"},
        {"name": "amount", "type": "double"},
    ],
}
TASK = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Task",
        "fields": [
            {"name": "task_id", "type": "string"},
            {"name": "root_id", "type": ["null", "string"]},
            {"name": "content", "type": ["null", TICKET, "bytes"]},
            {"name": "content_key_id", "type": ["null", "string"]},
        ],
    }
)
RESULT = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Result",
        "fields": [
            {"name": "task_id", "type": "string"},
            {"name": "label", "type": "string"},
            {"name": "note", "type": "string"},
            {"name": "priority", "type": "long"},
            {"name": "amount", "type": "double"},
        ],
    }
)
SESSION_MS = 6_000
"""The same for all: how soon a dead consumer is noticed."""
INSTANCE = os.environ.get("AIOSV3_BENCH_INSTANCE", "")
"""The name of this consumer in its group (KIP-345): whoever can have one has it, as ``aiosv3 up`` names workers."""
_SEEN = os.environ.get("AIOSV3_BENCH_SEEN", "")
_FILE = os.open(_SEEN, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if _SEEN else -1


def decoded(value: bytes) -> Any:
    """The task of a record."""
    source = io.BytesIO(value)
    source.seek(5)
    return fastavro.schemaless_reader(source, TASK, None)


def encoded(task: Any) -> bytes:
    """The result of a task, as the value of a record."""
    ticket = task["content"]
    out = io.BytesIO(b"\0\0\0\0\7")
    out.seek(5)
    result = {
        "task_id": task["task_id"],
        "label": "x",
        "note": ticket["text"],
        "priority": ticket["priority"],
        "amount": ticket["amount"],
    }
    fastavro.schemaless_writer(out, RESULT, result)
    return out.getvalue()


def seen(mark: str, task_id: str) -> None:
    """One line, at once: ``b`` where an execution begins, ``e`` where it ends."""
    if _FILE >= 0:
        os.write(_FILE, f"{mark} {task_id} {time.time():.6f}\n".encode())


async def worked(task: Any) -> bytes:
    """Does a task."""
    seen("b", task["task_id"])
    if (seconds := task["content"]["amount"]) > 0:
        await asyncio.sleep(seconds)
    seen("e", task["task_id"])
    return encoded(task)
