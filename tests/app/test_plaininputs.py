"""Inputs about a subject are deleted from the front of their partition, and never too many, on real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from aiosv3.app.plaininputs import Deleted, PlainInputs
from aiosv3.app.settings import load_settings
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas.headers import GRANT, Clearance, Grant
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.kafka import TopicSpec, ensure_topics
from aiosv3.streams.log import Headers, Outgoing
from aiosv3.streams.tenure import appended

pytestmark = pytest.mark.kafka
ADA: Headers = [("ce_subject", b"ada")]


@pytest.fixture
async def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> AsyncIterator[Mesh]:
    project = tmp_path / "aiosv3.toml"
    project.write_text(f'[kafka]\nbootstrap = "{kafka}"\nprefix = "{topic_prefix}"\n\n[mesh]\nsecret = "s"\n', "utf-8")
    async with open_mesh(load_settings(project), "test") as opened:
        names = opened.topics.tasks("desk"), opened.topics.results("desk"), opened.topics.tasks("idle")
        await ensure_topics(opened.connection, [TopicSpec(name, 1) for name in names])
        yield opened


async def send(mesh: Mesh, topic: str, task: str, headers: Headers) -> None:
    await appended(mesh.log, Outgoing(topic, 0, b"k", b"{}", [("ce_id", task.encode()), *headers]))


def commit(mesh: Mesh, base: int) -> None:
    group = f"{mesh.topics.prefix}agent.desk"
    consumer = Consumer({"bootstrap.servers": mesh.settings.kafka.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(mesh.topics.tasks("desk"), 0, base)], asynchronous=False)
    consumer.close()


async def deleted(mesh: Mesh, finished: float = 0.0) -> Deleted:
    (one,) = await PlainInputs(mesh, "default", "ada").delete(finished)
    assert one.to_json()["again"] == one.again
    return one


async def test_only_what_is_finished_and_committed_is_deleted(mesh: Mesh) -> None:
    tasks, results = mesh.topics.tasks("desk"), mesh.topics.results("desk")
    for task, about in (("a", ADA), ("b", []), ("c", ADA), ("d", ADA), ("e", [])):
        await send(mesh, tasks, task, about)
    assert "no commit" in (await deleted(mesh)).why
    for task in ("a", "b", "c"):
        await send(mesh, results, task, [])
    commit(mesh, 1)
    one = await deleted(mesh, 3_600.0)
    assert (one.about, one.left, one.below, one.again is not None) == (0, 3, None, True)
    one = await deleted(mesh)
    assert (one.about, one.others, one.left, one.below) == (1, 0, 2, 1)
    assert "no commit" in one.why
    commit(mesh, 4)
    one = (await deleted(mesh)).after(one)
    assert (one.about, one.others, one.left, one.below, one.again) == (2, 1, 1, 3, None)
    assert one.why == "the task at offset 3 has no result yet"
    assert (await mesh.log.bounds(tasks, 0)).start == 3


def test_inputs_name_whom_they_are_about(mesh: Mesh) -> None:
    hashed = KeyedHashes(b"s").subject("default", "ada")
    inputs = PlainInputs(mesh, "default", "ada")

    def about(*headers: tuple[str, bytes]) -> bool:
        from aiosv3.streams.log import Record

        return inputs.is_about(Record("tasks", 0, 0, 0, None, b"{}", list(headers)))

    assert about(*ADA)
    assert about(("ce_subject", f"keyed:{hashed}".encode()))
    assert about((GRANT, Grant("default", "r", Clearance.PUBLIC, subject=hashed).encode()))
    assert not about((GRANT, Grant("other", "r", Clearance.PUBLIC, subject=hashed).encode()), *ADA)
    assert not about(("ce_subject", b"bob"))
    assert not about(("ce_tenant", b"other"), *ADA)
    assert not about(("ce_subject", b"\xff"))
    assert not about()
