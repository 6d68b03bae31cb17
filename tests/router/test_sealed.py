"""With sealing on, a pool without the key reads nothing, whatever a router decides."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import EndpointError, ServerFault
from aiosv3.router.guard import GuardPolicy
from aiosv3.router.history import HistoryReader
from aiosv3.router.pools import Pool, Price
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.deltas import Delta
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.history import Block
from aiosv3.schemas.records import (
    Completion,
    JournalRecord,
    Message,
    ModelRequest,
    Outcome,
    Prompt,
    Role,
    Usage,
)
from aiosv3.schemas.sealing import ANSWER, BLOCK, DELTA, PROMPT, DataKey, open_sealed, seal, seal_same
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.deltas import DeltaSender, delta_place
from aiosv3.streams.effector import Request, Unresolved
from aiosv3.streams.keys import KeyRing, KeyStore, MasterKeys, Owner, TopicKeys, new_master_keys
from aiosv3.streams.keys.answers import HIDDEN, opened_answer
from aiosv3.streams.log import Outgoing, Record
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.testing import MemoryBroker, MemoryClaims, MemoryLog

NOW = 1_750_000_000_000
SECRET = "the-secret-of-the-prompt"
ANSWERED = "the-secret-of-the-answer"
CODEC = Codec(SchemaStore())
MASTERS = new_master_keys()
POOLS = ("a", "b", "c")
SINCE = Clearance.CONFIDENTIAL


@dataclass
class Watched:
    """An endpoint that notes what it is given."""

    script: list[EndpointError | None] = field(default_factory=list)
    given: list[Prompt] = field(default_factory=list)

    async def complete(self, call: Call) -> Completed:
        self.given.append(call.prompt)
        if call.on_text is not None:
            call.on_text(ANSWERED)
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        return Completed(ANSWERED, None, "stop", 10, 5, 0, "req-1", 3)

    async def probe(self) -> Probed:
        return Probed(("m",), 1)

    async def aclose(self) -> None:
        return None


class World:
    """Three pools that all believe that they may see everything; what they hold keys for is another matter."""

    def __init__(self, cleared: tuple[Clearance, ...] = (Clearance.RESTRICTED,)) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic("keys", 1)
        self.broker.create_topic("aios.deltas", 1)
        self.claims = MemoryClaims()
        self.asker = KeyRing(self.store(), MasterKeys.parse(MASTERS))
        self.cleared = dict(zip(POOLS, cleared, strict=False))
        self.endpoints = {name: Watched() for name in self.cleared}
        self.workers = {name: self.worker(name) for name in self.cleared}
        self.seen: list[bytes] = []
        """Every value that stood on a topic."""

    def store(self) -> KeyStore:
        return TopicKeys(MemoryLog(self.broker, "somebody"), CODEC, "keys")

    def worker(self, name: str) -> ModelWorker:
        ring = KeyRing(self.store(), MasterKeys.parse(MASTERS, self.cleared[name]))
        metrics = MetricsCatalogue().processor(name)
        return ModelWorker(
            Pool(name, "openai", "m", Clearance.RESTRICTED, Price(1, 1)),
            self.endpoints[name],
            Topics(),
            CODEC.store,
            CODEC,
            lambda: NOW,
            WorkerPolicy(retries=0, backoff=0.0, guard=GuardPolicy()),
            HistoryReader(self.claims, ring=ring),
            DeltaSender(MemoryLog(self.broker, name), CODEC, "aios.deltas", 1, metrics),
            ring=ring,
        )

    async def key(self, clearance: Clearance, subject: str | None = None) -> DataKey:
        return await self.asker.obtain(Owner("tenant-hash", subject, clearance))

    async def asked(
        self, clearance: Clearance, number: int = 1, history: str | None = None, stream: int | None = None
    ) -> Record:
        """A request as an agent's worker sends it: sealed from ``SINCE`` on."""
        request_id = f"task-{number}/1"
        prompt = Prompt((Message(Role.USER, SECRET),), None, 10, history=history)
        body = ModelRequest(request_id, "root", f"task-{number}", "1", "agent", prompt)
        if clearance >= SINCE:
            key = await self.key(clearance)
            sealed = seal(key, PROMPT, request_id, CODEC.encode(body))
            body = ModelRequest(request_id, "root", f"task-{number}", "1", "agent", sealed, key.id)
        headers = [
            ("ce_id", request_id.encode()),
            (GRANT, Grant("t", "root", clearance).encode()),
            (ROUTE, Route("agent", 0.2, 10, 10, first_sent=NOW, hash="h", stream=stream).encode()),
            (REPLY, Reply("aios.journal.agent", 0, 7, f"task-{number}", "1", "tok").encode()),
        ]
        return Record("aios.prompts", 0, number, NOW, b"k", CODEC.encode(body), headers)

    async def read(self, worker: ModelWorker, record: Record) -> Request:
        while isinstance(found := worker.read(record), Unresolved):
            await found.wait
        return found

    async def work(self, name: str, record: Record) -> tuple[Request, Completion, Outgoing | None]:
        """One pool's work on a request, and what it hands on."""
        worker = self.workers[name]
        request = await self.read(worker, record)
        answer = worker.work(request, 3)
        if not isinstance(answer, Outgoing):
            answer = await answer
        onward = worker.forward(request, answer)
        self.seen += [record.value or b"", answer.value or b"", b"" if onward is None else onward.value or b""]
        return request, CODEC.decode_as(Completion, answer.value or b""), onward

    async def send(self, clearance: Clearance, draw: random.Random, number: int) -> Completion:
        """Through pools that are chosen at random, until the request is done."""
        record = await self.asked(clearance, number)
        for _ in range(50):  # with each pool once and one of them twice it is over
            name = draw.choice(list(self.workers))
            before = len(self.endpoints[name].given)
            _, completion, onward = await self.work(name, record)
            called = len(self.endpoints[name].given) > before
            if clearance >= SINCE:
                assert called == (self.cleared[name] >= clearance)
                assert called or completion.usage == Usage(), "what reads nothing is not paid"
            if completion.outcome is not Outcome.REFUSED:
                return completion
            assert onward is not None
            record = Record("aios.prompts", 0, number, NOW, onward.key, onward.value, onward.headers)
        raise AssertionError("a request that nobody can read goes round for ever")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(*(st.sampled_from(Clearance) for _ in POOLS)),
    st.lists(st.sampled_from(Clearance), min_size=1, max_size=5),
    st.integers(0, 2**32),
)
def test_a_pool_without_the_key_reads_nothing(
    cleared: tuple[Clearance, ...], classes: list[Clearance], seed: int
) -> None:
    """The router chooses at random, and every worker's policy lets everything through: only the keys are left."""

    async def run() -> None:
        world, draw = World(cleared), random.Random(seed)
        for number, clearance in enumerate(classes):
            world.seen.clear()
            completion = await world.send(clearance, draw, number)
            if clearance < SINCE:
                continue
            for value in world.seen:
                assert SECRET.encode() not in value
                assert ANSWERED.encode() not in value
            if completion.outcome is not Outcome.OK:
                assert completion.error is not None
                assert completion.error.type == "ClearanceDenied"

    asyncio.run(run())


async def test_the_answer_is_sealed_for_who_asked_and_travels_as_it_is() -> None:
    world = World()
    record = await world.asked(SINCE)
    request, completion, onward = await world.work("a", record)
    assert world.endpoints["a"].given[0].messages[0].content == SECRET
    back = CODEC.decode_as(JournalRecord, (onward and onward.value) or b"")
    key = await world.key(SINCE)
    assert (completion.content_key_id, back.content_key_id) == (key.id, key.id)
    assert back.content == completion.content
    assert isinstance(back.content, bytes)
    opened = opened_answer(back, open_sealed(key, ANSWER, "task-1/1", back.content))
    assert json.loads(str(opened.content)) == {"text": ANSWERED, "tool_calls": None}
    assert completion.usage.output_tokens == 5, "what it cost stays readable"
    blind = ModelWorker(world.workers["a"].pool, Watched(), Topics(), CODEC.store, CODEC, lambda: NOW)
    answer = Record("aios.completions.a", 0, 1, NOW, b"k", CODEC.encode(completion), [])
    handed = blind.forward(request, answer)
    assert handed is not None
    assert handed.value == (onward and onward.value), "handing an answer on needs no key"


async def test_the_words_of_an_error_are_sealed_too() -> None:
    world = World()
    world.endpoints["a"].script = [ServerFault(f"cannot work on {SECRET}")]
    _, completion, _ = await world.work("a", await world.asked(SINCE))
    assert (completion.error and completion.error.message) == HIDDEN
    assert not any(SECRET.encode() in value for value in world.seen)
    key, body = await world.key(SINCE), completion.content
    assert isinstance(body, bytes)
    assert SECRET in open_sealed(key, ANSWER, "task-1/1", body).decode()


async def test_who_asks_without_anybody_who_can_read_hears_of_it() -> None:
    """Each pool has its turn once; the second time it is over."""
    world = World((Clearance.INTERNAL,))
    record = await world.asked(SINCE)
    _, first, onward = await world.work("a", record)
    assert first.outcome is Outcome.REFUSED
    assert onward is not None
    again = Record("aios.prompts", 0, 1, NOW, onward.key, onward.value, onward.headers)
    _, second, _ = await world.work("a", again)
    assert second.outcome is Outcome.FAILED
    assert second.error is not None
    assert second.error.type == "ClearanceDenied"
    assert "no model was called" in second.error.message
    assert world.endpoints["a"].given == []


async def test_a_worker_without_any_keys_says_what_to_set() -> None:
    world = World()
    blind = ModelWorker(world.workers["a"].pool, Watched(), Topics(), CODEC.store, CODEC, lambda: NOW)
    answer = blind.work(await world.read(blind, await world.asked(SINCE)), 1)
    assert isinstance(answer, Outgoing)
    error = CODEC.decode_as(Completion, answer.value or b"").error
    assert error is not None
    assert "set [sealing]" in error.message


@pytest.mark.parametrize("how", ["shredded", "moved"])
async def test_what_cannot_be_read_by_anybody_is_not_sent_on(how: str) -> None:
    world = World()
    record = await world.asked(SINCE)
    if how == "shredded":
        await world.asker.shred("tenant-hash", None)
    else:
        other = CODEC.decode_as(ModelRequest, (await world.asked(SINCE, 2)).value or b"")
        body = ModelRequest("task-1/1", "root", "task-1", "1", "agent", other.content, other.content_key_id)
        record = record._replace(value=CODEC.encode(body))
    _, completion, _ = await world.work("a", record)
    assert completion.outcome is Outcome.FAILED
    assert completion.error is not None
    assert completion.error.type == ("ContentShredded" if how == "shredded" else "ClearanceDenied")
    assert world.endpoints["a"].given == []


async def test_deltas_are_sealed() -> None:
    world = World()
    await world.work("a", await world.asked(SINCE, stream=0))
    async with asyncio.timeout(30):
        while not (deltas := world.broker.records("aios.deltas", 0)):
            await asyncio.sleep(0)
    assert not any(ANSWERED.encode() in (delta.value or b"") for delta in deltas)
    first = CODEC.decode_as(Delta, deltas[0].value or b"")
    assert isinstance(first.content, bytes)
    assert open_sealed(await world.key(SINCE), DELTA, delta_place(first), first.content).decode() == ANSWERED


async def test_a_sealed_block_is_read_with_its_key_and_forgotten_with_it() -> None:
    world = World()
    key = await world.key(SINCE, "ana")
    block = seal_same(key, BLOCK, "", Block(None, (Message(Role.USER, "before"),)).encode())
    head = await world.claims.put(block)
    for number in (1, 2):
        await world.work("a", await world.asked(SINCE, number, history=head))
        assert [message.content for message in world.endpoints["a"].given[-1].messages] == ["before", SECRET]
    await world.asker.shred("tenant-hash", "ana")
    ring = world.workers["a"]._ring
    assert ring is not None
    await ring.refresh()
    _, completion, _ = await world.work("a", await world.asked(SINCE, 3, history=head))
    assert completion.outcome is Outcome.FAILED
    assert len(world.endpoints["a"].given) == 2


async def test_a_sealed_block_without_the_key_is_for_another_pool() -> None:
    world = World((Clearance.PUBLIC,))
    block = seal_same(await world.key(SINCE), BLOCK, "", Block(None, (Message(Role.USER, "before"),)).encode())
    head = await world.claims.put(block)
    _, completion, _ = await world.work("a", await world.asked(Clearance.PUBLIC, history=head))
    assert completion.outcome is Outcome.REFUSED
    assert world.endpoints["a"].given == []


def test_plain_requests_stay_what_they_were() -> None:
    async def run() -> Any:
        world = World()
        return (await world.work("a", await world.asked(Clearance.PUBLIC)))[1]

    completion = asyncio.run(run())
    assert (completion.content_key_id, completion.content.text) == (None, ANSWERED)
