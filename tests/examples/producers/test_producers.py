"""Every producer of the example on real Kafka: kcat, Python, Avro, Node, Java; and what wrong events become.

A worker and a registry are started once for all of them. A machine without one of the tools skips its test in words.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from topic_reader import header
from worker_processes import WorkerProcesses

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.ports import free_port

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.process,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("producers"),
]
EXAMPLE: Final = Path(__file__).resolve().parents[3] / "examples" / "producers"
DAYS: Final = {"DE": 1, "FR": 4, "PL": 4}


@dataclass
class Quotes:
    """The example's agent at work, and what came out of it."""

    run: Run
    registry: str
    folder: Path
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        prefix = self.run.mesh.prefix
        ours = {"KAFKA": self.run.mesh.bootstrap, "REGISTRY": self.registry, "PREFIX": prefix}
        return {**os.environ, **ours, "TOPIC": f"{prefix}tasks.quote", **more}

    def shell(self, *command: str, cwd: Path = EXAMPLE, given: bytes = b"", **more: str) -> str:
        """Runs a program of the example; what it printed."""
        environment = self.environment(**more)
        done = subprocess.run(
            command, cwd=cwd, env=environment, input=given, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def kcat(self, value: bytes, headers: Mapping[str, str]) -> None:
        """One record by kcat; the whole of its input is the value."""
        if shutil.which("kcat") is None:
            pytest.skip("kcat is not on this machine (apt-get install kcat): nothing is proven about it here")
        wanted = [part for name, text in headers.items() for part in ("-H", f"{name}={text}")]
        topic = self.environment()["TOPIC"]
        self.shell("kcat", "-P", "-b", self.run.mesh.bootstrap, "-t", topic, "-D", "\\x01", *wanted, given=value)

    def wait(self, task_id: str) -> dict[str, Any]:
        """The result of a task."""

        def came() -> bool:
            if task_id not in self.seen:
                self.seen = {name: copies[0] for name, copies in self.run.results("quote").items()}
            return task_id in self.seen

        self.run.wait(came, f"the result of {task_id}")
        return self.seen[task_id]

    def nameless(self) -> list[dict[str, Any]]:
        """The results of tasks that were named by their place."""
        results = self.run.results("quote")
        return [copies[0] for name, copies in results.items() if name.startswith("quote-")]


@pytest.fixture(scope="module")
def registry(kafka: str) -> Iterator[str]:
    """The URL of a registry that is a process of its own."""
    port, topic = free_port(), f"t{uuid.uuid4().hex[:10]}._schemas"
    module = "aiosv3.app.localstack.registry"
    command = [sys.executable, "-m", module, "--bootstrap", kafka, "--port", str(port), "--topic", topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the registry did not start"
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture(scope="module")
def quotes(kafka: str, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quotes]:
    folder, prefix = tmp_path_factory.mktemp("quotes"), f"t{uuid.uuid4().hex[:10]}."
    shutil.copy(EXAMPLE / "quotes.py", folder)
    endpoint = CountingEndpoint()
    endpoint.start()
    processes = WorkerProcesses(folder, kafka, prefix, endpoint, agents=("quotes:quote",), partitions=1)
    with processes.project.open("a", encoding="utf-8") as project:
        project.write(f'\n[registry]\nurl = "{registry}"\n')
    processes.start("agent", "agent", "quote")
    try:
        run = Run(processes)
        run.wait(lambda: run.there("results.quote") and run.registered("results.quote"), "topics and schemas")
        yield Quotes(run, registry, folder)
    finally:
        processes.close()


def test_kcat(quotes: Quotes) -> None:
    """Without any header a task is named by its place; a key, headers and a whole CloudEvent are taken as they are."""
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on this machine (apt-get install kcat): nothing is proven about it here")
    quotes.shell("./kcat.sh", "7")
    order, event = quotes.wait("order-7"), quotes.wait("event-7")
    assert (order["outcome"], order["task_key"], order["content"]) == ("OK", "customer-17", {"usd": 13.5, "days": 4})
    assert (event["outcome"], event["task_key"], event["content"]) == ("OK", None, {"usd": 15.0, "days": 4})
    quotes.run.wait(lambda: bool(quotes.nameless()), "the result of the task without a header")
    (plain,) = quotes.nameless()
    assert (plain["outcome"], plain["content"], plain["task_key"]) == ("OK", {"usd": 7.0, "days": 1}, None)
    assert plain["task_id"] == f"quote-0-{plain['input_offset']}"


PARCEL: Final = b'{"kilograms": 1, "country": "DE"}'
WRONG: Final = {
    "no-json": (b"2 kg to DE", {}, "the JSON is no input of quote"),
    "no-input": (b'{"kilograms": 99, "country": "XX"}', {}, "kilograms"),
    "no-class": (PARCEL, {"ce_dataclassification": "secret"}, "one of public"),
    "no-event": (b"{}", {"content-type": "application/cloudevents+json"}, "no CloudEvent"),
}


def test_a_wrong_event_has_a_failed_result_and_a_dead_letter(quotes: Quotes) -> None:
    for name, (value, headers, _) in WRONG.items():
        quotes.kcat(value, {"ce_id": name, **headers})
    quotes.wait("no-event")
    letters = {header(one, "ce_id"): one for one in quotes.run.reader.messages(quotes.run.topic("dead-letters"))}
    for name, (value, _, words) in WRONG.items():
        result, letter = quotes.wait(name), letters[name]
        assert result["outcome"] == "FAILED"
        assert words in result["error"]["message"]
        assert letter.value() == value
        assert words in (header(letter, "kafka_dlt-exception-message") or "")


def test_python_sends_json_and_reads_avro(quotes: Quotes) -> None:
    task_id = quotes.shell(sys.executable, "producer.py")
    topic = quotes.run.topic("results.quote")
    printed = quotes.shell(sys.executable, "consumer.py", task_id, TOPIC=topic, PYTHONWARNINGS="ignore")
    assert printed == "OK {'usd': 7.75, 'days': 1}"


def test_python_sends_avro_with_automatic_registration(quotes: Quotes) -> None:
    task_id = quotes.shell(sys.executable, "avro_producer.py", PYTHONWARNINGS="ignore")
    assert quotes.wait(task_id)["content"] == {"usd": 27.0, "days": 4}


@pytest.mark.online
def test_node_sends_json_and_reads_avro(quotes: Quotes) -> None:
    if shutil.which("npm") is None:
        pytest.skip("Node.js is not on this machine: nothing is proven about kafkajs here")
    for name in ("package.json", "producer.js"):
        shutil.copy(EXAMPLE / name, quotes.folder)
    install = ("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--silent")
    quotes.shell(*install, cwd=quotes.folder)
    assert quotes.shell("node", "producer.js", cwd=quotes.folder) == 'OK {"usd":19.5,"days":4}'


def test_java(quotes: Quotes, kafka_distribution: KafkaDistribution) -> None:
    java = shutil.which("java")
    if java is None or "jdk.compiler" not in quotes.shell(java, "--list-modules"):
        pytest.skip("no JDK is on this machine: nothing is proven about Java here")
    task_id = quotes.shell(java, "-cp", kafka_distribution.class_path(), "Producer.java").splitlines()[-1]
    assert quotes.wait(task_id)["content"] == {"usd": 5.5, "days": 1}


def test_the_page_names_each_program() -> None:
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in EXAMPLE.iterdir() if path.suffix in {".py", ".js", ".java", ".sh", ".json"}}
    assert [name for name in sorted(files) if f"`{name}`" not in page] == []
    assert json.loads((EXAMPLE / "package.json").read_text(encoding="utf-8"))["private"] is True
