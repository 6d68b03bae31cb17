"""Bad input at the edge, on real Kafka with a real worker: a dead letter, a failed result, a pause or a named stop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from counting_endpoint import CountingEndpoint
from crash_agents import Work, plain
from crash_run import Run
from topic_reader import header
from worker_processes import WorkerProcesses

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas, TaskEnvelope
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]

AGENTS = ("crash_agents:plain", "crash_agents:shout", "crash_agents:astray")
GOOD = json.dumps({"number": 1}).encode()


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=AGENTS, partitions=2)
    yield processes
    processes.close()


@dataclass
class Bad:
    """A bad record, and what must come of it."""

    name: str
    value: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)
    key: bytes | None = b"k"
    outcome: str = "FAILED"
    words: str = ""
    dead: bool = True


CASES = [
    Bad("garbage", b"\x93\xff\x00 not json", words="JSON"),
    Bad("garbage-framed", b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff", words="schema"),
    Bad("unknown-schema", b"\x00\x3b\x9a\xca\x00\x02", words="schema 1000000000"),
    Bad("no-value", None, words="without a value"),
    Bad("wrong-type", b'{"number": "many"}', words="number"),
    Bad("non-utf8-header", GOOD, {"ce_tenant": b"\xff\xfe"}, words="ce_tenant is not UTF-8"),
    Bad("negative-cost", GOOD, {"ce_costlimitusd": b"-1"}, words="-1"),
    Bad("bad-class", GOOD, {"ce_dataclassification": b"secret"}, words="public, internal"),
    Bad("past-deadline", GOOD, {"ce_expirytime": b"2020-01-01T00:00:00Z"}, words="deadline", dead=False),
    Bad("bad-time", GOOD, {"ce_expirytime": b"tomorrow"}, words="RFC 3339"),
    Bad("no-key", GOOD, key=None, outcome="OK", dead=False),
    Bad("good", GOOD, outcome="OK", dead=False),
]


def test_each_bad_record_ends_in_words_and_the_others_go_on(mesh: WorkerProcesses) -> None:
    mesh.start("agent", "agent", "plain")
    run = Run(mesh)
    run.wait(lambda: run.there("results.plain") and run.registered("results.plain"), "topics and schemas")
    truncated = Bad("truncated-avro", _truncated(mesh), words="bytes do not fit")
    for case in [*CASES, truncated]:
        headers = [("ce_id", case.name.encode()), *case.headers.items()]
        run.producer.produce(run.topic("tasks.plain"), case.value, case.key, headers=list(headers))
    run.producer.produce(run.topic("tasks.plain"), GOOD, b"k", headers=[("ce_id", b"\xff\xfe")])
    run.producer.flush(10)
    names = {case.name for case in CASES} | {truncated.name}
    run.wait(lambda: names <= set(run.results("plain")), "a result for each readable id")
    run.wait(
        lambda: any(not _readable(m) for m in run.reader.messages(run.topic("dead-letters"))),
        "the nameless dead letter",
    )
    letters = {header(m, "ce_id") or "": m for m in run.reader.messages(run.topic("dead-letters")) if _readable(m)}
    results = run.results("plain")
    for case in [*CASES, truncated]:
        result = results[case.name][0]
        assert result["outcome"] == case.outcome, (case.name, result)
        if case.words:
            assert case.words in result["error"]["message"], (case.name, result["error"])
        assert (case.name in letters) is case.dead, case.name
        if case.dead:
            assert letters[case.name].value() == case.value, case.name
            assert header(letters[case.name], "kafka_dlt-original-topic") == run.topic("tasks.plain")
    unreadable = [m for m in run.reader.messages(run.topic("dead-letters")) if not _readable(m)]
    assert len(unreadable) == 1
    assert "ce_id is not UTF-8" in (header(unreadable[0], "kafka_dlt-exception-message") or "")


def _readable(message: Any) -> bool:
    return not any(name == "ce_id" and value == b"\xff\xfe" for name, value in message.headers() or [])


def _truncated(mesh: WorkerProcesses) -> bytes:
    """A task envelope by the worker's own schema, cut in the middle."""
    return _avro_task(Codec(SchemaStore(mesh.lock)), mesh)[:-3]


def _avro_task(codec: Codec, mesh: WorkerProcesses) -> bytes:
    schemas = AgentSchemas("plain", plain.input_type, plain.output_type, Topics(mesh.prefix))
    return schemas.encode_task(codec, TaskEnvelope("x", Work(number=7)))


class _Registry(BaseHTTPRequestHandler):
    """Knows one schema; answers what a Confluent registry would."""

    schema: Any = None

    def do_GET(self) -> None:
        body = json.dumps({"schema": json.dumps(self.schema)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"id": 5000}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        """Says nothing."""


def test_an_unreachable_registry_pauses_the_partition_and_drops_nothing(mesh: WorkerProcesses, tmp_path: Path) -> None:
    """A schema id that only the registry knows, while it is away: not a dead letter; it is read when it is back."""
    mesh.start("agent", "agent", "plain")
    run = Run(mesh)
    run.wait(lambda: run.there("results.plain") and run.registered("results.plain"), "topics and schemas")
    run.producer.produce(run.topic("tasks.plain"), GOOD, b"k", partition=1, headers=[("ce_id", b"before")])
    run.wait(lambda: "before" in run.results("plain"), "a first result, by schemas that the project keeps from now on")
    mesh.kill("agent")
    port = _free_port()
    with mesh.project.open("a", encoding="utf-8") as file:
        file.write(f'\n[registry]\nurl = "http://127.0.0.1:{port}"\n')
    mesh.restart("agent")
    elsewhere = SchemaStore()
    schemas = AgentSchemas("plain", plain.input_type, plain.output_type, Topics(mesh.prefix))
    asyncio.run(schemas.register(elsewhere))
    value = bytearray(_avro_task(Codec(elsewhere), mesh))
    value[1:5] = (4711).to_bytes(4, "big")
    run.producer.produce(run.topic("tasks.plain"), bytes(value), b"k", partition=0, headers=[("ce_id", b"waits")])
    run.producer.produce(run.topic("tasks.plain"), GOOD, b"k", partition=1, headers=[("ce_id", b"beside")])
    run.producer.flush(10)
    run.wait(lambda: "beside" in run.results("plain"), "the other partition")
    assert "waits" not in run.results("plain")
    assert not run.reader.messages(run.topic("dead-letters"))
    _Registry.schema = schemas.task_schema
    server = ThreadingHTTPServer(("127.0.0.1", port), _Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run.wait(lambda: "waits" in run.results("plain"), "the record that waited")
    finally:
        server.shutdown()
        server.server_close()
    assert run.results("plain")["waits"][0]["outcome"] == "OK"


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_base_below_the_log_start_is_a_named_stop(mesh: WorkerProcesses) -> None:
    """Records that the group still needs were deleted: that partition stops with a reason, the other goes on."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    mesh.start("agent", "agent", "plain")
    run = Run(mesh)
    run.wait(lambda: run.there("results.plain") and run.registered("results.plain"), "topics and schemas")
    topic = run.topic("tasks.plain")
    run.producer.produce(topic, GOOD, b"k", partition=0, headers=[("ce_id", b"first")])
    run.producer.flush(10)
    run.wait(lambda: "first" in run.results("plain"), "the first result")
    run.wait(lambda: run.committed("agent.plain", topic, 0) == 1, "its commit")
    mesh.kill("agent")
    for number in range(5):
        run.producer.produce(topic, GOOD, b"k", partition=0, headers=[("ce_id", f"gone-{number}".encode())])
    run.producer.flush(10)
    admin = AdminClient({"bootstrap.servers": mesh.bootstrap})
    for future in admin.delete_records([TopicPartition(topic, 0, 4)]).values():
        future.result()
    mesh.restart("agent")
    run.producer.produce(topic, GOOD, b"k", partition=1, headers=[("ce_id", b"other")])
    run.producer.flush(10)
    run.wait(lambda: "other" in run.results("plain"), "the other partition")
    log = mesh.folder / "agent.log"
    run.wait(lambda: "still needs 1" in log.read_text(encoding="utf-8"), "the named stop")
    assert not {f"gone-{number}" for number in range(5)} & set(run.results("plain"))


def test_a_step_that_kafka_refuses_fails_its_task_in_words(mesh: WorkerProcesses) -> None:
    """A 10 MB prompt is over the broker's limit; an agent that nobody runs has no topic."""
    mesh.start("shout", "agent", "shout")
    mesh.start("astray", "agent", "astray")
    run = Run(mesh)
    run.wait(lambda: run.there("results.shout", "results.astray"), "the topics")
    run.send("shout", "huge", "k", 10_000_000)
    run.send("astray", "alone", "k", 1)
    run.producer.flush(10)
    run.wait(lambda: "huge" in run.results("shout"), "the failed result of the huge prompt")
    run.wait(lambda: "alone" in run.results("astray"), "the failed result of the lost call")
    huge, alone = run.results("shout")["huge"][0], run.results("astray")["alone"][0]
    assert (huge["outcome"], huge["error"]["type"]) == ("FAILED", "RecordRejected")
    assert "max.message.bytes" in huge["error"]["message"]
    assert (alone["outcome"], alone["error"]["type"]) == ("FAILED", "RecordRejected")
    assert "tasks.nobody" in alone["error"]["message"]
