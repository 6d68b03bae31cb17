"""State that an agent keeps for each task key: as a change in a result, and as a record of ``state.<agent>``.

The types of the state have a namespace of their own, ``aiosv3.types.<agent>.state``: one class may be both state and
output, and a schema defines each name once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiosv3.schemas.codec import Codec, Reader
from aiosv3.schemas.contents import branch_of, content_fields, described, opened, tagged
from aiosv3.schemas.derive import derive, namespace
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.headers import Clearance

_CLEARANCE: Final = described(
    "clearance", "string", "Class of what is in it: public, internal, confidential or restricted."
)


@dataclass(frozen=True, slots=True)
class StateChange:
    """The new state of a result's key. No content, plain or sealed: the state is deleted.

    ``clearance``: the class of what is in it. A task that begins with it is of that class at least.
    """

    content: Any = None
    sealed: bytes | None = None
    content_key_id: str | None = None
    clearance: Clearance = Clearance.RESTRICTED

    @property
    def deletes(self) -> bool:
        """Whether the key has no state from here on."""
        return self.content is None and self.sealed is None


@dataclass(frozen=True, slots=True)
class StateRecord:
    """The state of a key after the task at ``input_offset``, whose result is at ``result_offset`` of the own log."""

    task_key: str
    input_offset: int
    result_offset: int
    state: StateChange


class Projection(NamedTuple):
    """What a result makes of its key's state; ``value`` is the state record, None where the state is deleted."""

    input_offset: int
    value: bytes | None


class StateSchemas:
    """The schemas of one agent's state, and values to and from them.

    ``pascal``: the agent's name as its records have it. Raises :class:`UnsupportedType` and :class:`BadName`.
    """

    def __init__(self, agent: str, pascal: str, state_type: Any, subject: str) -> None:
        space = f"{namespace(agent)}.state"
        self.subject = subject
        self._derived = derive(state_type, agent, f"{pascal}State", frozenset({"Change"}), space=space)
        self._change_name = f"{space}.Change"
        change = {
            "type": "record",
            "name": "Change",
            "namespace": space,
            "doc": "A new state; without content the state is deleted.",
            "fields": [*content_fields(self._derived, "The state"), _CLEARANCE],
        }
        words = "New state of the task's key; null when the task left it as it was."
        self.change_field = described("state", ["null", change], words, default=None)
        self.schema: Schema = {
            "type": "record",
            "name": f"{pascal}State",
            "namespace": namespace(agent),
            "doc": f"State of one task key of agent {agent}.",
            "fields": [
                described("task_key", "string", "The task key: a customer, a conversation, an order."),
                described("input_offset", "long", "Offset of the task that left this state, in its topic."),
                described("result_offset", "long", "Offset of that task's result in its topic."),
                *content_fields(self._derived, "The state"),
                _CLEARANCE,
            ],
        }
        self._reader = Reader(self.schema)

    def encode(self, codec: Codec, record: StateRecord) -> bytes:
        """The value of a state record. Raises :class:`MalformedValue`."""
        head = {"input_offset": record.input_offset, "result_offset": record.result_offset}
        return codec.encode_value(self.subject, {"task_key": record.task_key, **head, **self._parts(record.state)})

    def decode(self, codec: Codec, value: bytes) -> StateRecord:
        """The state record, its content validated. Raises what :class:`Codec` raises."""
        datum = codec.decode_by(self._reader, value)
        place = datum["task_key"], datum["input_offset"], datum["result_offset"]
        return StateRecord(*place, self._opened(datum))

    def projection(self, codec: Codec, result: dict[str, Any], result_offset: int) -> Projection | None:
        """The state record that follows from the data of a result; None where the state stays as it was.

        The content is not validated: whether today's code can use it is asked when a task begins with it.
        """
        change = result["state"]
        if change is None:
            return None
        inside, key_id = change["content"], change["content_key_id"]
        if inside is None:
            return Projection(result["input_offset"], None)
        datum = {
            "task_key": result["task_key"] or "",
            "input_offset": result["input_offset"],
            "result_offset": result_offset,
            "content": ("bytes" if isinstance(inside, bytes) else self._derived.name, inside),
            "content_key_id": tagged("string", key_id),
            "clearance": change["clearance"],
        }
        return Projection(result["input_offset"], codec.encode_value(self.subject, datum))

    def change_datum(self, change: StateChange | None) -> Any:
        """The field of a result, as fastavro writes it."""
        return None if change is None else (self._change_name, self._parts(change))

    def change_of(self, datum: Any) -> StateChange | None:
        """The field of a result, as read."""
        return None if datum is None else self._opened(datum)

    def _parts(self, change: StateChange) -> dict[str, Any]:
        inside = branch_of(self._derived, change.content, change.sealed, empty=False)
        key_id = tagged("string", change.content_key_id)
        return {"content": inside, "content_key_id": key_id, "clearance": change.clearance.label}

    def _opened(self, datum: dict[str, Any]) -> StateChange:
        try:
            clearance = Clearance.parse(datum["clearance"])
        except ValueError as error:
            raise MalformedValue(f"a state has a class that is none: {error}") from None
        plain, sealed = opened(self._derived, datum["content"])
        return StateChange(plain, sealed, datum["content_key_id"], clearance)
