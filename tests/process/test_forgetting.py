"""Somebody is forgotten on real Kafka while work about them is open and processes are killed: nothing can be read.

Every byte of every topic and of the project's folder is looked at, as somebody does who has the cluster and all keys.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from counting_endpoint import CountingEndpoint
from crash_run import Run
from topic_reader import header
from worker_processes import WorkerProcesses

from aiosv3.app.recollection import MemoryReading, as_line
from aiosv3.app.settings import load_settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.keys import new_master_keys

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]
NAME, SECRET = "ada-of-4711", "owes-a-thousand"
Headers = list[tuple[str, str | bytes | None]]
OUTSIDE = ("tasks.confidant", "dead-letters")
"""Where outsiders' own bytes are, in plain."""


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    agents = ("forgetting_agents:confidant",)
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=2)
    with processes.project.open("a", encoding="utf-8") as file:
        file.write('\n[memory]\nembedder = "none"\n\n[sealing]\nfrom = "internal"\n')
    (tmp_path / ".aiosv3").mkdir()
    (tmp_path / ".aiosv3" / "master-keys").write_text(new_master_keys(), encoding="utf-8")
    processes.start("agent-1", "agent", "confidant")
    processes.start("memory-1", "memory")
    processes.start("router-1", "router")
    processes.start("pool-1", "pool", "counted")
    yield processes
    processes.close()


def started(mesh: WorkerProcesses, *words: str) -> subprocess.Popen[str]:
    """``aiosv3 …`` of the project, as a process of its own."""
    line = [sys.executable, "-m", "aiosv3.app", *words, "--project", str(mesh.project)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def tell(run: Run, task: str, about: str, value: str | None = None, **told: Any) -> None:
    """As an outsider does, in plain."""
    headers: Headers = [("ce_id", task.encode()), ("ce_subject", about.encode())]
    body = json.dumps({"about": about, **told}) if value is None else value
    run.producer.produce(run.topic("tasks.confidant"), key=b"customer", value=body.encode(), headers=headers)
    run.producer.flush(10)


def keys(run: Run) -> dict[KeyKind, set[str]]:
    """Ids of data keys, by what they are now."""
    codec, newest = run.reader.codec(), {}
    for message in run.reader.messages(run.topic("keys")):
        key = codec.decode_as(KeyRecord, message.value() or b"")
        newest[key.key_id] = key.kind
    return {kind: {name for name, now in newest.items() if now is kind} for kind in KeyKind}


def places(run: Run, *words: str) -> dict[str, set[str]]:
    """Word -> topics in which it stands in some byte: keys, values and headers."""
    consumer = Consumer({"bootstrap.servers": run.mesh.bootstrap, "group.id": "looks", "enable.auto.commit": False})
    topics = consumer.list_topics(timeout=10).topics
    parts = [
        TopicPartition(name, number, OFFSET_BEGINNING)
        for name, topic in topics.items()
        if name.startswith(run.mesh.prefix)
        for number in topic.partitions
    ]
    ends = {(one.topic, one.partition): consumer.get_watermark_offsets(one, timeout=10) for one in parts}
    left = {place for place, (low, high) in ends.items() if low < high}
    found: dict[str, set[str]] = {word: set() for word in words}
    consumer.assign([one for one in parts if (one.topic, one.partition) in left])
    while left:
        for message in consumer.consume(1_000, timeout=1):
            given: Any = message.headers() or []
            said = [message.key(), message.value(), *(value for _, value in given)]
            for word in words:
                if any(word.encode() in part for part in said if isinstance(part, bytes)):
                    found[word].add(str(message.topic()).removeprefix(run.mesh.prefix))
            place = str(message.topic()), int(message.partition() or 0)
            if int(message.offset() or 0) + 1 >= ends[place][1]:
                left.discard(place)
    consumer.close()
    return found


def files(run: Run, *words: str) -> list[str]:
    """The same for the project's folder: claims, key files, logs."""
    found = [path for path in run.mesh.folder.rglob("*") if path.is_file()]
    return [path.name for path in found if any(word.encode() in path.read_bytes() for word in words)]


async def exported(run: Run) -> list[str]:
    """What a view has that is built from the log, as lines of an export."""
    async with open_mesh(load_settings(run.mesh.project), "test") as opened:
        recollection = await MemoryReading(opened).recollect()
        return [as_line(entry, "default") for entry in await recollection.entries("default")]


def copied(run: Run, topic: str, record_id: str) -> None:
    """A late copy of a request, as a producer writes it that had lost the answer."""
    (message,) = [one for one in run.reader.messages(run.topic(topic)) if header(one, "ce_id") == record_id]
    headers: Any = message.headers()
    run.producer.produce(run.topic(topic), key=message.key(), value=message.value(), headers=headers)
    run.producer.flush(10)


def test_nothing_can_be_read_of_somebody_who_is_forgotten(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("results.confidant", "memory.state", "completions.counted", "keys"), "the topics")
    for number in range(3):
        tell(run, f"done-{number}", NAME, text=f"{NAME} {SECRET} {number}")
    tell(run, "bad", NAME, value=f'{{"text": "{SECRET}" and no JSON')
    tell(run, "other", "bob", text="bob likes tea")
    run.wait(lambda: len(run.results("confidant")) == 5, "the first results")
    tell(run, "open", NAME, text=f"{NAME} {SECRET} still", waits=True)
    run.wait(
        lambda: "open/2" in {header(one, "ce_id") for one in run.reader.messages(run.topic("memory.queries"))},
        "what it remembers",
    )
    assert list((mesh.folder / ".aiosv3" / "claims").rglob("*")), "a conversation in the claim store"
    before = keys(run)[KeyKind.DATA]

    mesh.kill("agent-1")  # with the plain event of an open task ahead of it
    options = ("--delete-tasks", "--finished-for", "0", "--wait", "120", "--json")
    forgetting = started(mesh, "memory", "forget", "--subject", NAME, *options)
    run.wait(lambda: bool(keys(run)[KeyKind.SHREDDED]), "the keys' end")
    mesh.kill("memory-1")  # in the middle of it
    mesh.restart("memory-1", "agent-1")
    receipt = json.loads(ended(forgetting))
    assert run.results("confidant")["open"][0]["outcome"] == "CANCELLED"
    assert run.results("confidant")["open"][0]["error"]["type"] == "SubjectForgotten"
    assert len(keys(run)[KeyKind.SHREDDED]) >= len(receipt["shredded"])
    assert keys(run)[KeyKind.DATA] < before, "no key is made for what was open"
    assert receipt["left_after_replay"] == []
    check(run, receipt)

    copied(run, "memory.queries", "done-0/1")
    tell(run, "again", NAME, text="hello, a new one")
    run.wait(lambda: "again" in run.results("confidant"), "what is new")
    lines = asyncio.run(exported(run))
    assert sorted(json.loads(line)["text"] for line in lines) == ["bob likes tea", "hello, a new one"]
    assert not any(word in line for word in (SECRET, NAME) for line in lines)
    assert places(run, SECRET, NAME) == {SECRET: {"dead-letters"}, NAME: {"dead-letters", "tasks.confidant"}}
    assert files(run, SECRET, NAME) == []


def check(run: Run, receipt: dict[str, Any]) -> None:
    """Every topic is in it, with a date where outsiders' bytes are; the inputs that could be deleted are."""
    ends = {one["store"].removeprefix(run.mesh.prefix): one for one in receipt["stores"]}
    topics = run.producer.list_topics(timeout=10).topics
    assert {name.removeprefix(run.mesh.prefix) for name in topics if name.startswith(run.mesh.prefix)} <= ends.keys()
    assert all(ends[name]["by"] is not None for name in OUTSIDE)
    (deleted,) = [one for one in receipt["tasks"] if one["about"]]
    assert (deleted["about"], deleted["left"]) == (5, 0)
