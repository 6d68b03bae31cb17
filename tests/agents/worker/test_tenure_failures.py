"""What cannot be run, read, sent or kept: each ends in words, and the partition goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from aiosv3.agents import Context
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, TaskEnvelope
from aiosv3.schemas.errors import RegistryUnavailable, UnknownSchema
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Headers, Outgoing

if TYPE_CHECKING:
    from tests.agents.conftest import Stage, Worker

DAY_S = 86_400.0
WAITED_FOR: Headers = [
    (GRANT, Grant("acme", "root", Clearance.INTERNAL, depth=2).encode()),
    (ROUTE, Route("parent", "auto", 0, 0, hash="cafe", first_sent=1).encode()),
    (REPLY, Reply("aios.journal.child", 0, 11, "parent-task", "4", "token").encode()),
]


async def asks(ctx: Context, value: str) -> str:
    return await ctx.generate(f"about {value}")


async def echoes(_ctx: Context, value: str) -> str:
    return value


def failure(stage: Stage, worker: Worker) -> tuple[str, str]:
    """Type and words of the only result."""
    (result,) = stage.results(worker)
    assert result.outcome is Outcome.FAILED
    return result.error.type, result.error.message


# -- records that are too large, topics that are not there ------------------------------------------------------------


def test_a_request_that_is_too_large_fails_its_step(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.limit_bytes("aios.prompts", 2_000)
    stage.task("t1", "x" * 3_000)
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "RecordRejected"
    assert "max.message.bytes is 2000" in words
    assert stage.noted() == [("STARTED", None), ("VALUE", "1")]


def test_a_value_that_is_too_large_fails_its_step(stage: Stage) -> None:
    async def large() -> str:
        return "x" * 3_000

    async def program(ctx: Context, _value: str) -> str:
        return await ctx.run(large)

    worker = stage.worker(program).start()
    stage.limit_bytes("aios.journal.worker", 2_000)
    stage.task("t1")
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "RecordRejected"
    assert words.startswith("the value is too large: ")


def test_a_result_that_is_too_large_is_a_failed_result(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.limit_bytes("aios.results.worker", 2_000)
    stage.task("t1", "x" * 3_000, headers=WAITED_FOR)
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "RecordRejected"
    assert words.startswith("the result does not fit on the log: ")
    (answer,) = stage.journal("child")
    assert (answer.outcome, answer.error and answer.error.type) == (Outcome.FAILED, "RecordRejected")


def test_an_agent_that_is_not_there_fails_the_call_in_words(stage: Stage) -> None:
    async def program(ctx: Context, _value: str) -> str:
        return str(await ctx.call("nobody", "x"))

    worker = stage.worker(program).start()
    stage.task("t1")
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "RecordRejected"
    assert "aios.tasks.nobody" in words


def test_an_answer_that_nobody_can_take_is_a_dead_letter(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    reply = Reply("aios.journal.gone", 0, 11, "parent-task", "4", "token")
    stage.task("t1", headers=[(REPLY, reply.encode())])
    stage.settle()
    assert [record.header("kafka_dlt-original-topic") for record in stage.dead()] == [b"aios.tasks.worker"]
    assert worker.tenure.offsets.base == 1


def test_a_result_of_another_type_is_a_failed_result(stage: Stage) -> None:
    async def program(_ctx: Context, _value: str) -> Any:
        return {"not": "text"}

    worker = stage.worker(program).start()
    stage.task("t1")
    stage.settle()
    kind, words = failure(stage, worker)
    assert kind == "ResultInvalid"
    assert words.startswith("the result is not of the declared type: ")


# -- records that nobody can read -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "raw", "kind", "words"),
    [
        ([], b"not json", "MalformedValue", "the JSON is no input of worker"),
        ([], b"17", "MalformedValue", "the JSON is no input of worker"),
        ([], b"\0\1", "MalformedValue", "not Confluent-framed"),
        ([("ce_costlimitusd", b"-1")], b'"x"', "MalformedHeader", "must be 0 or more"),
        ([("ce_costlimitusd", b"1e999999")], b'"x"', "MalformedHeader", "is not an amount of money"),
        ([("ce_expirytime", b"tomorrow")], b'"x"', "MalformedHeader", "ce_expirytime is not an RFC 3339 time"),
        ([(GRANT, b"{}")], b'"x"', "MalformedHeader", "aios-grant: v"),
    ],
)
def test_poison_with_a_readable_id_is_a_dead_letter_and_a_failed_result(
    stage: Stage, headers: Headers, raw: bytes, kind: str, words: str
) -> None:
    worker = stage.worker(echoes).start()
    stage.task("bad", headers=headers, raw=raw)
    stage.task("good", "fine")
    stage.settle()
    bad, good = sorted(stage.results(worker), key=lambda result: result.task_id)
    assert (bad.error.type, bad.outcome) == (kind, Outcome.FAILED)
    assert words in bad.error.message
    assert good.content == "fine"
    assert [record.value for record in stage.dead()] == [raw]
    assert worker.tenure.offsets.base == 2


def test_the_asker_of_a_poisoned_task_hears_of_it(stage: Stage) -> None:
    stage.worker(echoes).start()
    stage.task("bad", raw=b"not json", headers=WAITED_FOR)
    stage.settle()
    (answer,) = stage.journal("child")
    assert (answer.outcome, answer.error and answer.error.type) == (Outcome.FAILED, "MalformedValue")


def test_poison_without_a_readable_id_is_a_dead_letter_only(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.task("", raw=b'"x"', headers=[("ce_id", b"\xff\xfe")])
    stage.settle()
    assert len(stage.dead()) == 1
    assert stage.results(worker) == []
    assert worker.tenure.offsets.base == 1


def test_a_task_without_a_value_fails(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.broker.append(Outgoing("aios.tasks.worker", 0, b"k", None, [("ce_id", b"t1")]))
    stage.settle()
    assert failure(stage, worker) == ("WireError", "a task without a value: its input is missing")


def test_a_sealed_task_says_which_key_is_missing(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    sealed: TaskEnvelope[str] = TaskEnvelope("t1", None, sealed=b"secret", content_key_id="key-9")
    stage.task("t1", raw=worker.setup.schemas.encode_task(worker.setup.codec, sealed))
    stage.settle()
    assert failure(stage, worker)[1] == "the task is sealed with key key-9, which this worker does not have"


def test_an_avro_task_is_read(stage: Stage) -> None:
    worker = stage.worker(echoes).start()
    stage.task("t1", raw=worker.setup.schemas.encode_task(worker.setup.codec, TaskEnvelope("t1", "avro")))
    stage.settle()
    assert [result.content for result in stage.results(worker)] == ["avro"]


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"\0\0"])
def test_poison_in_the_journal_is_a_dead_letter_and_the_task_goes_on(stage: Stage, value: bytes | None) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.broker.append(Outgoing("aios.journal.worker", 0, b"t1", value, []))
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert len(stage.dead()) == 1
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]


def test_a_journal_record_of_a_schema_that_nobody_has_is_a_dead_letter_too(stage: Stage) -> None:
    worker = stage.worker(asks).start()
    stage.task("t1")
    stage.settle()
    stage.broker.append(Outgoing("aios.journal.worker", 0, b"t1", b"\0\1\2\3\4garbage", []))
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert len(stage.dead()) == 1
    assert [result.outcome for result in stage.results(worker)] == [Outcome.OK]


# -- schemas that are not known yet -----------------------------------------------------------------------------------


class Shelf:
    """A registry: ``answer`` says what comes of asking for a schema."""

    def __init__(self, answer: Callable[[int], Schema], base: int = 7_000) -> None:
        self.base = base
        self.answer = answer
        self.asked = 0

    async def register(self, subject: str, _schema: Schema) -> int:
        return self.base + len(subject)

    async def schema(self, schema_id: int) -> Schema:
        self.asked += 1
        return self.answer(schema_id)


def foreign_task(stage: Stage) -> tuple[bytes, Schema]:
    """A task in Avro by a producer whose schema id this worker has never seen."""
    schemas = AgentSchemas("worker", str, str, stage.topics)
    producer = Shelf(lambda _id: schemas.task_schema, base=9_000)
    store = SchemaStore(registry=producer)
    stage.finish(schemas.register(store))
    return schemas.encode_task(Codec(store), TaskEnvelope("t1", "from far away")), schemas.task_schema


def test_an_unresolved_schema_waits_for_the_registry(stage: Stage) -> None:
    raw, schema = foreign_task(stage)
    away = [True]

    def answer(_id: int) -> Schema:
        if away[0]:
            raise RegistryUnavailable("no answer")
        return schema

    shelf = Shelf(answer)
    worker = stage.worker(echoes, store=SchemaStore(registry=shelf)).start()
    stage.task("t1", raw=raw)
    stage.task("t2", "behind it")
    stage.advance(3)
    assert shelf.asked > 2
    assert stage.results(worker) == []
    assert stage.dead() == []
    away[0] = False
    stage.advance(1)
    assert [result.content for result in stage.results(worker)] == ["from far away", "behind it"]


def test_a_schema_that_the_registry_does_not_know_is_a_dead_letter(stage: Stage) -> None:
    raw, _ = foreign_task(stage)

    def answer(schema_id: int) -> Schema:
        raise UnknownSchema(f"there is no schema {schema_id}")

    worker = stage.worker(echoes, store=SchemaStore(registry=Shelf(answer))).start()
    stage.task("t1", raw=raw)
    stage.settle()
    assert failure(stage, worker) == ("UnknownSchema", "there is no schema 9023")
    assert [record.value for record in stage.dead()] == [raw]


def test_answering_again_waits_for_the_registry_as_well(stage: Stage) -> None:
    first = stage.worker(echoes).start()
    stage.task("t1", headers=WAITED_FOR)
    stage.settle()
    first.kill()
    written = AgentSchemas("worker", str, str, stage.topics).result_schema
    answers: list[Any] = [RegistryUnavailable("no answer"), written]

    def answer(_id: int) -> Schema:
        found: Any = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        schema: Schema = found
        return schema

    stage.worker(echoes, "b", store=SchemaStore(registry=Shelf(answer))).start()
    stage.task("t1", headers=WAITED_FOR)
    stage.advance(3)
    assert answers == []
    assert [record.content for record in stage.journal("child")][-1] == '"in"'
