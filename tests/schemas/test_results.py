"""The compiled writer of results against fastavro, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.contents import branch_of
from aiosv3.schemas.derive import derive
from aiosv3.schemas.envelope import AgentSchemas, ResultEnvelope
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure, Usage
from aiosv3.schemas.store import SchemaStore


class Verdict(BaseModel):
    label: str
    notes: list[str] = []
    share: float | None = None


SCHEMAS = AgentSchemas("judge", str, Verdict)
TEXTS = st.text(max_size=20)
LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
VERDICTS = st.builds(Verdict, label=TEXTS, notes=st.lists(TEXTS, max_size=3), share=st.none() | st.floats())
FAILURES = st.builds(StepFailure, TEXTS, TEXTS, st.booleans(), st.none() | TEXTS, st.none() | TEXTS, st.none() | LONGS)
REPLIES = st.builds(ReplyTo, TEXTS, INTS, LONGS, TEXTS, TEXTS, TEXTS)
CONTENTS = st.fixed_dictionaries({"content": st.none() | VERDICTS}) | st.fixed_dictionaries(
    {"sealed": st.binary(max_size=50), "content_key_id": TEXTS}
)


@st.composite
def results(draw: st.DrawFn) -> ResultEnvelope[Any]:
    fields: dict[str, Any] = {
        name: draw(LONGS) for name in ("input_offset", "epoch", "journal_offset", "started_at", "finished_at")
    }
    fields |= {name: draw(TEXTS) for name in ("task_id", "root_id", "request_hash", "code_version")}
    fields |= {
        "task_key": draw(st.none() | TEXTS),
        "outcome": draw(st.sampled_from(Outcome)),
        "error": draw(st.none() | FAILURES),
        "reply": draw(st.none() | REPLIES),
        "usage": Usage(draw(INTS), draw(LONGS), draw(LONGS), draw(LONGS), draw(LONGS)),
    }
    return ResultEnvelope(**fields, **draw(CONTENTS))


async def ready() -> Codec:
    store = SchemaStore()
    await SCHEMAS.register(store)
    return Codec(store)


def by_fastavro(codec: Codec, result: ResultEnvelope[Any]) -> bytes:
    content = branch_of(derive(Verdict, "judge", "JudgeOutput"), result.content, result.sealed, empty=False)
    return codec.encode_value(SCHEMAS.result_subject, SCHEMAS._result_datum(result, content))


@settings(deadline=None)
@given(results())
async def test_the_bytes_are_those_of_fastavro(result: ResultEnvelope[Any]) -> None:
    codec = await ready()
    assert SCHEMAS.encode_result(codec, result) == by_fastavro(codec, result)


async def test_a_newer_schema_of_the_subject_is_written_as_it_is() -> None:
    codec = await ready()
    newer = {**SCHEMAS.result_schema, "fields": [*SCHEMAS.result_schema["fields"]]}
    newer["fields"].append({"name": "later", "type": "string", "default": "new", "doc": "Of a later release."})
    written = await codec.store.register(SCHEMAS.result_subject, newer)
    result = ResultEnvelope("t", "r", Outcome.OK, 1, 2, "h", 3, 4, "1", Verdict(label="x"))
    value = SCHEMAS.encode_result(codec, result)
    assert int.from_bytes(value[1:5], "big") == written
    assert codec.decode(value).datum["later"] == "new"
    assert SCHEMAS.decode_result(codec, value) == result


@pytest.mark.parametrize(
    "changes",
    [{"input_offset": 2**63}, {"epoch": "one"}, {"task_id": None}, {"content": Verdict.model_construct(label=1)}],
)
async def test_what_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"task_id": "t", "input_offset": 1, "epoch": 2, "content": Verdict(label="x"), **changes}
    result: ResultEnvelope[Any] = ResultEnvelope(
        **fields, root_id="r", outcome=Outcome.OK, request_hash="h", started_at=3, finished_at=4, code_version="1"
    )
    codec = await ready()
    with pytest.raises(MalformedValue):
        SCHEMAS.encode_result(codec, result)
