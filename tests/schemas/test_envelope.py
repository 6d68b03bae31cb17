from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.compat import check_compatible
from aiosv3.schemas.derive import UnsupportedType
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope, TaskEnvelope
from aiosv3.schemas.errors import IncompatibleSchema, MalformedValue, WireError
from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure, Usage
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.schemas.topics import BadName, Topics


class Ticket(BaseModel):
    """A question."""

    id: str
    text: str = Field(min_length=1)
    day: date | None = None


class Verdict(BaseModel):
    label: str


TICKET = Ticket(id="1", text="help")
TASK = TaskEnvelope("t-1", TICKET, "root")


async def ready(schemas: AgentSchemas) -> Codec:
    store = SchemaStore()
    await schemas.register(store)
    return Codec(store)


def result(**changes: Any) -> ResultEnvelope[Any]:
    fields: dict[str, Any] = {
        "task_id": "t",
        "root_id": "r",
        "outcome": Outcome.OK,
        "input_offset": 3,
        "epoch": 1,
        "request_hash": "h",
        "started_at": 5,
        "finished_at": 9,
        "code_version": "1",
    }
    return ResultEnvelope(**{**fields, **changes})


@pytest.fixture
def schemas() -> AgentSchemas:
    return AgentSchemas("triage", Ticket, Verdict)


@pytest.fixture
async def codec(schemas: AgentSchemas) -> Codec:
    return await ready(schemas)


def test_schemas_are_those_of_the_specification(schemas: AgentSchemas) -> None:
    assert (schemas.task_subject, schemas.result_subject) == ("aios.tasks.triage-value", "aios.results.triage-value")
    assert (schemas.task_schema["name"], schemas.task_schema["namespace"]) == ("TriageTask", "aiosv3.types.triage")
    assert [field["name"] for field in schemas.task_schema["fields"]] == [
        *("task_id", "root_id", "content", "content_key_id"),
    ]
    assert [field["name"] for field in schemas.result_schema["fields"]] == [
        *("task_id", "root_id", "task_key", "outcome", "error", "input_offset", "epoch", "request_hash", "reply"),
        *("journal_offset", "started_at", "finished_at", "code_version", "usage", "content", "content_key_id"),
    ]
    content = schemas.task_schema["fields"][2]["type"]
    assert (content[0], content[1]["name"], content[2]) == ("null", "Ticket", "bytes")
    assert all(field["doc"].endswith(".") for field in schemas.task_schema["fields"] + schemas.result_schema["fields"])
    other = AgentSchemas("2nd-line", Ticket, Verdict, Topics("x."))
    assert (other.task_subject, other.task_schema["name"]) == ("x.tasks.2nd-line-value", "_2ndLineTask")


async def test_a_task_survives_the_wire(schemas: AgentSchemas, codec: Codec) -> None:
    for task in (TASK, TaskEnvelope("t", None), TaskEnvelope("t", None, sealed=b"\0", content_key_id="k")):
        assert schemas.decode_task(codec, schemas.encode_task(codec, task)) == task


async def test_a_result_survives_the_wire(schemas: AgentSchemas, codec: Codec) -> None:
    reply = ReplyTo("aios.journal.a", 1, 2, "t", "s", "x")
    for end in (
        result(content=Verdict(label="a"), task_key="k", reply=reply, usage=Usage(1, 2, 3, 4, 5), journal_offset=7),
        result(outcome=Outcome.FAILED, error=StepFailure("BudgetExceeded", "no money", False, "s-1", "topic", 4)),
        result(sealed=b"secret", content_key_id="k"),
    ):
        assert schemas.decode_result(codec, schemas.encode_result(codec, end)) == end


@pytest.mark.parametrize(
    ("python", "value"),
    [(str, "x"), (bytes, b"x"), (list[int], [1]), (int | None, 3), (Any, {"a": 1}), (Ticket | Verdict, TICKET)],
)
async def test_types_that_are_no_record_stand_in_one(python: Any, value: Any) -> None:
    schemas = AgentSchemas("triage", python, python)
    codec = await ready(schemas)
    assert schemas.task_schema["fields"][2]["type"][1]["name"] == "TriageInput"
    assert schemas.decode_task(codec, schemas.encode_task(codec, TaskEnvelope("t", value))).content == value
    assert schemas.decode_result(codec, schemas.encode_result(codec, result(content=value))).content == value


async def test_nothing_can_be_an_output() -> None:
    schemas = AgentSchemas("triage", Ticket, None)
    codec = await ready(schemas)
    done, failed = (schemas.encode_result(codec, result(outcome=outcome)) for outcome in (Outcome.OK, Outcome.FAILED))
    assert codec.decode(done).datum["content"] == {"value": None}
    assert codec.decode(failed).datum["content"] is None
    assert schemas.decode_result(codec, done).content is None


async def test_content_of_another_type_is_refused(schemas: AgentSchemas, codec: Codec) -> None:
    with pytest.raises(MalformedValue, match="Ticket"):
        schemas.encode_task(codec, TaskEnvelope("t", "text"))
    with pytest.raises(MalformedValue, match="not both"):
        schemas.encode_task(codec, TaskEnvelope("t", TICKET, sealed=b"x"))


async def test_a_task_of_another_agent_is_refused(schemas: AgentSchemas) -> None:
    other = AgentSchemas("other", Ticket, Verdict)
    store = SchemaStore()
    await schemas.register(store)
    await other.register(store)
    codec = Codec(store)
    with pytest.raises(MalformedValue, match=r"OtherTask .*TriageTask"):
        schemas.decode_task(codec, other.encode_task(codec, TASK))


async def test_content_that_breaks_the_models_rules_is_malformed(schemas: AgentSchemas, codec: Codec) -> None:
    value = schemas.encode_task(codec, TaskEnvelope("t", Ticket.model_construct(id="1", text="", day=None)))
    with pytest.raises(MalformedValue, match="text: String should have at least 1 character"):
        schemas.decode_task(codec, value)


async def test_an_older_task_is_read_and_a_breaking_change_is_named() -> None:
    old = AgentSchemas("triage", Ticket, Verdict)
    codec = await ready(old)

    class Newer(Ticket):
        level: int = 2

    class Broken(Ticket):
        level: int

    Newer.__name__ = Broken.__name__ = "Ticket"
    new = AgentSchemas("triage", Newer, Verdict)
    check_compatible(new.task_subject, new.task_schema, [old.task_schema])
    assert new.decode_task(codec, old.encode_task(codec, TASK)).content == Newer(id="1", text="help", level=2)
    with pytest.raises(
        IncompatibleSchema, match=r"aios\.tasks\.triage-value: content\.level: a field without default was added"
    ):
        await AgentSchemas("triage", Broken, Verdict).register(codec.store)


def test_plain_json_is_validated(schemas: AgentSchemas) -> None:
    assert schemas.parse_json_task(b'{"id": "1", "text": "help", "day": "2020-01-01"}') == Ticket(
        id="1", text="help", day=date(2020, 1, 1)
    )
    assert schemas.input_json_schema["required"] == ["id", "text"]
    assert schemas.output_json_schema["title"] == "Verdict"
    assert json.dumps(dict(schemas.input_json_schema))


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"id": 1}', b"\xff", b'{"id": "hush", "text": ""}', b"[" * 10_000]
)
def test_json_that_is_no_input(schemas: AgentSchemas, value: bytes) -> None:
    with pytest.raises(MalformedValue, match="the JSON is no input of triage") as caught:
        schemas.parse_json_task(value)
    assert "hush" not in str(caught.value)


def test_names_that_cannot_be() -> None:
    with pytest.raises(BadName):
        AgentSchemas("Triage", Ticket, Verdict)
    taken = type("TriageTask", (BaseModel,), {"__annotations__": {"x": int}, "__module__": __name__})
    with pytest.raises(UnsupportedType, match="taken by the envelope"):
        AgentSchemas("triage", taken, Verdict)


FIXED = AgentSchemas("triage", Ticket | Verdict, dict[str, list[Ticket]])


@given(st.data())
async def test_changed_bytes_only_give_wire_errors(data: st.DataObject) -> None:
    codec = await ready(FIXED)
    end = FIXED.encode_result(codec, result(content={"a": [TICKET]}, error=StepFailure("a", "b", True)))
    for value, decode in ((FIXED.encode_task(codec, TASK), FIXED.decode_task), (end, FIXED.decode_result)):
        changed = bytearray(value)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
        cut = bytes(changed[: data.draw(st.integers(0, len(changed)))])
        try:
            decode(codec, cut)
        except (WireError, UnresolvedSchema):
            continue
