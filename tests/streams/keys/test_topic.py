from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.schemas.sealing import KeyShredded, seal
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.errors import AppendFailed, AppendUnknown, KeysUnavailable
from aiosv3.streams.kafka import Connection, KafkaLog
from aiosv3.streams.keys import KeyRing, MasterKeys, Owner, TopicKeys
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import appended
from aiosv3.streams.testing import MemoryBroker, MemoryLog

CODEC = Codec(SchemaStore())
KEY = KeyRecord("1" * 32, KeyKind.DATA, "t", "s", "public", 1, "m", b"x")
_MINTER = """
import asyncio, sys
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.sealing import seal
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.kafka import Connection, KafkaLog
from aiosv3.streams.keys import KeyRing, MasterKeys, Owner, TopicKeys
async def main():
    bootstrap, topic, masters = sys.argv[1:4]
    async with KafkaLog(Connection(bootstrap)) as log:
        ring = KeyRing(TopicKeys(log, Codec(SchemaStore()), topic), MasterKeys.parse(masters))
        await ring.refresh()
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(10):
            key = await ring.obtain(Owner("t", f"s{n}", Clearance.CONFIDENTIAL))
            print(key.id, seal(key, "answer", f"t/{n}", b"secret").hex(), flush=True)
asyncio.run(main())
"""


class Failing(MemoryLog):
    """Tells what it is told of each append, in order; then it is as good as any."""

    def __init__(self, told: Sequence[AppendFailed]) -> None:
        broker = MemoryBroker()
        broker.create_topic("keys", 1)
        super().__init__(broker, "me")
        self.told = list(told)

    def append(self, record: Outgoing, done: Any) -> None:
        if self.told:
            error = self.told.pop(0)
            super().append(record, lambda _ack: done(error))
        else:
            super().append(record, done)


def _started(command: list[str]) -> Any:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_a_new_key_whose_outcome_is_unknown_is_not_written_again() -> None:
    """A late copy could land behind its shredding."""
    store = TopicKeys(Failing([AppendUnknown("?")]), CODEC, "keys")
    with pytest.raises(KeysUnavailable, match="may not be on"):
        await store.append([KEY])
    assert list(await store.news()) == [KEY], "it was on the log after all: one more key, which harms nobody"


async def test_the_end_of_a_key_is_written_until_it_is_there() -> None:
    store = TopicKeys(Failing([AppendUnknown("?"), AppendUnknown("?")]), CODEC, "keys")
    await store.append([KeyRecord(KEY.key_id, KeyKind.SHREDDED, "t", "s", "public", 2)])
    assert [key.kind for key in await store.news()] == [KeyKind.SHREDDED] * 3
    with pytest.raises(KeysUnavailable, match="does not take"):
        await TopicKeys(Failing([AppendFailed("no")]), CODEC, "keys").append([KEY])


async def test_what_is_no_key_is_passed_over() -> None:
    log = Failing([])
    store = TopicKeys(log, CODEC, "keys")
    headers = event(b"x", "x", b"x", AVRO, b"")
    await appended(log, Outgoing("keys", 0, b"x", b"noise", headers))
    await appended(log, Outgoing("keys", 0, b"x", b"\0\x3b\x9a\xca\0of a schema that nobody has", headers))
    await appended(log, Outgoing("keys", 0, b"x", None, headers))
    await store.append([KEY])
    assert list(await store.news()) == [KEY]
    with pytest.raises(KeysUnavailable, match="cannot be read"):
        await TopicKeys(log, CODEC, "missing").news()


@pytest.mark.kafka
async def test_two_processes_on_a_broker_agree_on_every_key(kafka: str, kafka_topics: Any, master_text: str) -> None:
    topic = kafka_topics.create("keys", 1, {"cleanup.policy": "compact"})
    command = [sys.executable, "-c", _MINTER, kafka, topic, master_text]
    running = [_started(command) for _ in range(2)]
    for process in running:
        assert (await asyncio.to_thread(process.stdout.readline)).strip() == "ready"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [(await asyncio.to_thread(process.communicate))[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert told[0][::2] == told[1][::2], "one used key each"
    assert len(set(told[0][::2])) == 10
    async with KafkaLog(Connection(kafka)) as log:
        ring = KeyRing(TopicKeys(log, CODEC, topic), MasterKeys.parse(master_text))
        for n, body in enumerate(told[1][1::2]):
            assert await ring.opened("answer", f"t/{n}", bytes.fromhex(body)) == b"secret"
        for record in await ring.keys():
            await ring.resolve([record.key_id])
            assert seal(ring.get(record.key_id), "a", "b", b"x"), "each id opens"
        shredded = await ring.shred("t", "s3")
        cold = KeyRing(TopicKeys(log, CODEC, topic), MasterKeys.parse(master_text))
        with pytest.raises(KeyShredded):
            await cold.opened("answer", "t/3", bytes.fromhex(told[0][7]))
        assert (await cold.obtain(Owner("t", "s3", Clearance.CONFIDENTIAL))).id not in shredded
