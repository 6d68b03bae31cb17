"""Sealed arguments of tools, and their answers: in the own log, the asker's journal and the claim store."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

import pytest
from toolstage import NOW, Scripted, request, served

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import JournalRecord, Outcome
from aiosv3.schemas.sealing import ANSWER, TOOL, DataKey, open_sealed, seal
from aiosv3.schemas.tooling import ToolResult
from aiosv3.streams.keys import KeyRing, MasterKeys, Owner, TopicKeys, new_master_keys
from aiosv3.streams.keys.answers import HIDDEN, opened_answer
from aiosv3.streams.log import Outgoing
from aiosv3.streams.testing import MemoryBroker, MemoryClaims, MemoryLog
from aiosv3.tools import ServerPolicy, ToolWorker, Zone

OFFICE = Zone("office", Clearance.RESTRICTED, max_bytes=1_000, hard_bytes=5_000, preview=20)
SECRET = "the-secret"


class World:
    def __init__(self, codec: Codec, answer: Any, up_to: Clearance = Clearance.RESTRICTED) -> None:
        broker, masters = MemoryBroker(), new_master_keys()
        broker.create_topic("keys", 1)
        store = TopicKeys(MemoryLog(broker, "me"), codec, "keys")
        self.codec, self.server, self.claims = codec, Scripted({"ask": answer}), MemoryClaims()
        self.asker = KeyRing(store, MasterKeys.parse(masters))
        self.ring = KeyRing(TopicKeys(MemoryLog(broker, "zone"), codec, "keys"), MasterKeys.parse(masters, up_to))
        servers = {"crm": served(self.server, ServerPolicy(backoff=0.0))}
        self.worker = ToolWorker(OFFICE, servers, codec, lambda: NOW, self.claims, self.ring)

    async def ask(self) -> tuple[DataKey, ToolResult, JournalRecord, bytes]:
        """The key, the result, what the asker's journal gets, and all bytes that were written."""
        key = await self.asker.obtain(Owner("t", None, Clearance.CONFIDENTIAL))
        body = seal(key, TOOL, "task-1/2", json.dumps({"a": SECRET}).encode())
        await self.ring.resolve([key.id])
        asked = request(self.codec, self.worker, content=body, clearance=Clearance.CONFIDENTIAL)
        outcome = self.worker.work(asked, epoch=4)
        answer = await outcome if inspect.isawaitable(outcome) else outcome
        assert isinstance(answer, Outgoing)
        onward = self.worker.forward(asked, answer)
        assert onward is not None
        written = (answer.value or b"") + (onward.value or b"") + b"".join(self.claims.stored.values())
        back = self.codec.decode_as(JournalRecord, onward.value or b"")
        return key, self.codec.decode_as(ToolResult, answer.value or b""), back, written


async def test_arguments_are_opened_and_the_answer_is_sealed(codec: Codec) -> None:
    world = World(codec, {"n": SECRET})
    key, said, back, written = await world.ask()
    assert world.server.calls[0].arguments == {"a": SECRET}
    assert (said.outcome, said.content_key_id, said.content) == (Outcome.OK, key.id, back.content)
    assert SECRET.encode() not in written
    assert isinstance(back.content, bytes)
    opened = opened_answer(back, open_sealed(key, ANSWER, "task-1/2", back.content))
    assert json.loads(str(opened.content)) == {"n": SECRET}


async def test_a_long_answer_is_sealed_in_the_claim_store_too(codec: Codec) -> None:
    text = f"{SECRET} " * 150
    world = World(codec, text)
    key, said, _, written = await world.ask()
    assert said.claim is not None
    assert SECRET.encode() not in written
    stored = open_sealed(key, ANSWER, "task-1/2", world.claims.stored[said.claim])
    assert json.loads(stored) == text


async def test_the_words_of_a_failure_are_sealed(codec: Codec) -> None:
    world = World(codec, "x" * 6_000)
    key, said, _, written = await world.ask()
    assert said.error is not None
    assert (said.error.type, said.error.message) == ("ToolFailed", HIDDEN)
    assert b"6002 bytes" not in written
    assert isinstance(said.content, bytes)
    assert b"6002 bytes" in open_sealed(key, ANSWER, "task-1/2", said.content)


@pytest.mark.parametrize(("shredded", "kind"), [(False, "ClearanceDenied"), (True, "ContentShredded")])
async def test_without_the_key_no_tool_is_called(codec: Codec, shredded: bool, kind: str) -> None:
    world = World(codec, 1, Clearance.RESTRICTED if shredded else Clearance.INTERNAL)
    if shredded:
        real = world.ring.resolve

        async def too_late(key_ids: Iterable[str]) -> None:
            await real(key_ids)
            await world.asker.shred("t", None)
            await world.ring.refresh()

        world.ring.resolve = too_late  # type: ignore[method-assign]
    _, said, _, _ = await world.ask()
    assert said.error is not None
    assert (said.error.type, said.calls, world.server.calls) == (kind, 0, [])
