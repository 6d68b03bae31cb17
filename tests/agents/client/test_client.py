"""Starting tasks: what is sent, what is refused, and how many readers many waits need."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from aiosv3.agents import AgentFailed, Client, Context, agent
from aiosv3.agents.client import ClientClosed, InvalidInput, NoSuchAgent
from aiosv3.schemas.headers import CE_ID, CE_STREAM
from aiosv3.schemas.topics import BadName
from aiosv3.streams.log import Appended

SECONDS = 30


class Letter(BaseModel):
    text: str


@dataclass
class Reply:
    text: str


@agent
async def upper(ctx: Context, letter: Letter) -> Reply:
    if letter.text == "fail":
        raise ValueError("no letter")
    if letter.text == "slow":
        await asyncio.sleep(3_600)
    return Reply(letter.text.upper())


async def test_a_typed_task_gives_a_typed_result(office: Any) -> None:
    await office.work(upper)
    async with office.client() as client:
        handle = await client.start(upper, Letter(text="hello"))
        assert await handle.result(timeout=SECONDS) == Reply("HELLO")
        assert str(handle) == f"upper:{handle.place.partition}:{handle.id}"
        again = client.handle(str(handle), upper)
        assert await again.result(timeout=SECONDS) == Reply("HELLO")


async def test_an_agent_by_name_takes_and_gives_json(office: Any) -> None:
    await office.work(upper)
    async with office.client() as client:
        handle = await client.start("upper", {"text": "hello"})
        assert await handle.result(timeout=SECONDS) == {"text": "HELLO"}
        wrong = await client.start("upper", {"text": 3})
        with pytest.raises(AgentFailed, match="MalformedValue: the JSON is no input of upper: text:"):
            await wrong.result(timeout=SECONDS)


async def test_what_is_sent_is_a_cloud_event_and_the_senders_headers_win(office: Any) -> None:
    office.create_topics("upper")
    async with office.client() as client:
        headers = {"ce_tenant": "acme", "ce_source": "shop"}
        handle = await client.start(upper, Letter(text="x"), key="k", id="t-1", headers=headers)
    (record,) = office.of(office.topics.tasks("upper"))
    assert (record.partition, record.key, json.loads(record.value)) == (handle.place.partition, b"k", {"text": "x"})
    found = dict(record.headers)
    assert (found[CE_ID], found["ce_tenant"], found["ce_source"]) == (b"t-1", b"acme", b"shop")
    assert CE_STREAM not in found, "nobody pays for a stream that nobody reads"


async def test_start_returns_when_the_log_has_the_task_and_no_sooner(office: Any) -> None:
    office.create_topics("upper")
    link, held = office.link(), []
    link.log.append = lambda record, done: held.append((record, done))
    async with office.client(link) as client:
        starting = asyncio.create_task(client.start(upper, Letter(text="x"), id="t-1"))
        async with asyncio.timeout(SECONDS):
            while not held:
                await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not starting.done()
        held[0][1](Appended(0, 0, 0))
        assert (await starting).id == "t-1"


async def test_the_same_id_twice_is_the_same_task(office: Any) -> None:
    await office.work(upper)
    async with office.client() as client:
        first, second = [await client.start(upper, Letter(text=text), id="t") for text in ("a", "b")]
        assert str(first) == str(second)
        assert await first.result(timeout=SECONDS) == await second.result(timeout=SECONDS) == Reply("A")
    async with office.client() as client:
        third = await client.start(upper, Letter(text="c"), id="t")
        assert await third.result(timeout=SECONDS) == Reply("A"), "its result is older than this client"


async def test_a_key_decides_the_partition_and_with_it_which_task_an_id_names(office: Any) -> None:
    await office.work(upper)
    async with office.client() as client:
        handles = [await client.start(upper, Letter(text=key), id="t", key=key) for key in "abcdefgh"]
        places = {handle.place.partition for handle in handles}
        assert len(places) > 1
        results = {str(handle): await handle.result(timeout=SECONDS) for handle in handles}
        assert len(results) == len(places)
        assert results[str(handles[0])] == Reply("A"), "the first one of its partition counts"


async def test_an_agent_that_does_not_exist_is_said(office: Any) -> None:
    async with office.client() as client:
        with pytest.raises(NoSuchAgent, match=r"there is no agent 'nobody' at memory:1 \(no topic aios.tasks.nobody\)"):
            await client.start("nobody", {})
        with pytest.raises(NoSuchAgent):
            await client.partitions("nobody")
        with pytest.raises(NoSuchAgent):
            await client.handle("nobody:0:x").result(timeout=0)
        with pytest.raises(BadName):
            await client.start("No_Name", {})
        office.create_topics("nobody")
        assert await client.partitions("nobody") == 3, "one that comes to be is found"


async def test_what_is_no_input_is_refused_before_it_is_sent(office: Any) -> None:
    office.create_topics("upper")
    async with office.client() as client:
        wrong: Any = {"text": "a dict is no Letter"}
        for value in (wrong, 7, None):
            with pytest.raises(InvalidInput, match="upper"):
                await client.start(upper, value)
        for headers in ({"ce_id": "x"}, {"ce_stream": "1"}):
            with pytest.raises(InvalidInput, match="is set by"):
                await client.start(upper, Letter(text="x"), headers=headers)
    assert office.of(office.topics.tasks("upper")) == []


async def test_a_thousand_waits_share_one_reader_for_each_partition(office: Any) -> None:
    await office.work(upper)
    link = office.link()
    async with office.client(link) as client:
        handles = await asyncio.gather(*(client.start(upper, Letter(text=str(n))) for n in range(1_000)))
        results = await asyncio.gather(*(handle.result(timeout=SECONDS) for handle in handles))
    assert [result.text for result in results] == [str(n) for n in range(1_000)]
    topic = office.topics.results("upper")
    assert sorted(place[:2] for place in link.follower.followed) == [(topic, partition) for partition in range(3)]
    follower_reads = [one for one in link.log.ranges if one[0] != topic]
    assert follower_reads == [], "nothing else was read"


async def test_a_wait_begins_at_the_end_of_the_log(office: Any) -> None:
    await office.work(upper)
    async with office.client() as client:
        old = await client.start(upper, Letter(text="old"))
        await old.result(timeout=SECONDS)
    link = office.link()
    async with office.client(link) as client:
        handle = await client.start(upper, Letter(text="new"), key=old.id)
        await handle.result(timeout=SECONDS)
    assert handle.place.partition == old.place.partition
    (followed,) = link.follower.followed
    assert followed[2] == 1
    assert [one for one in link.log.ranges if one[2] == 0] == []


async def test_a_closed_client_says_so_and_lets_nobody_wait(office: Any) -> None:
    await office.work(upper)
    client = office.client()
    with pytest.raises(ClientClosed, match="not open"):
        await client.start(upper, Letter(text="x"))
    async with client:
        handle = await client.start(upper, Letter(text="slow"))
        waiting = asyncio.create_task(handle.result())
        with pytest.raises(ClientClosed, match="open already"):
            await client.__aenter__()
        await asyncio.sleep(0)
    with pytest.raises(ClientClosed, match="the task goes on"):
        await waiting


def test_a_client_needs_an_address() -> None:
    with pytest.raises(ValueError, match="address of a broker"):
        Client()


async def test_a_handle_of_another_agent_is_refused(office: Any) -> None:
    async with office.client() as client:
        with pytest.raises(ValueError, match="is a task of other, not of upper"):
            client.handle("other:0:x", upper)
        with pytest.raises(BadName):
            client.handle("garbage")
