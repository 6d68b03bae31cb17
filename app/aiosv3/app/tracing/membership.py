"""Which records belong to a task and to all that it has started."""

from __future__ import annotations

import json
from typing import Final

from aiosv3.schemas.headers import CE_ID, GRANT
from aiosv3.schemas.records import base_request_id
from aiosv3.streams.log import Record

_SUBJECT: Final = "ce_subject"


class Membership:
    """Of the task ``task_id``: by ids, which grow to the right (``task/step``), and by the root in the grant."""

    __slots__ = ("_cancel", "_id", "_inside", "_root", "task_id")

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self._id = task_id.encode()
        self._inside = f"{task_id}/".encode()
        self._cancel = f"{task_id}!".encode()
        self._root = f'"root":{json.dumps(task_id, ensure_ascii=False)}'.encode()

    def holds(self, record: Record) -> bool:
        """True for its own records, those of its steps and attempts, and those of its children."""
        record_id = record.header(CE_ID)
        if record_id is not None:
            if record_id.startswith((self._inside, self._cancel)):
                return True
            if record_id.startswith(self._id) and base_request_id(id_of(record)) == self.task_id:
                return True
        grant = record.header(GRANT)
        return (grant is not None and self._root in grant) or record.header(_SUBJECT) == self._id


def id_of(record: Record) -> str:
    """The record's id; empty where it has none."""
    return (record.header(CE_ID) or b"").decode("utf-8", "replace")


def root_of(record: Record) -> str | None:
    """The root task that the record's grant names."""
    grant = record.header(GRANT)
    if grant is None:
        return None
    try:
        root = json.loads(grant)["root"]
    except (ValueError, LookupError, TypeError):
        return None
    return root if isinstance(root, str) else None
