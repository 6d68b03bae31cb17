"""AIOSv3 for the comparison: an embedded Kafka that stays, and all of our own processes, which are killed together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from docs.compare.platforms import HERE, Platform, free_port, run, until_open

from aiosv3.app.localstack.kafka import KafkaServer

_PROJECT: Final = """
agents = ["{program}:{program}"]

[kafka]
bootstrap = "{bootstrap}"
partitions = 2

[people.ada]
roles = ["editors"]

[pools.counted]
kind = "openai"
base_url = "{url}/v1"
model = "counted"
clearance = "restricted"
concurrency = 64
capabilities = ["json", "tools"]
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


@dataclass
class Ours(Platform):
    """``aiosv3 worker …`` and ``aiosv3 task …``, as anybody types them."""

    kafka: KafkaServer | None = None
    handles: dict[str, str] = field(default_factory=dict)

    def install(self) -> str:
        return f"aiosv3 {version('aiosv3')}, confluent-kafka {version('confluent-kafka')}, Apache Kafka embedded"

    def up(self) -> None:
        self.kafka = KafkaServer(self.folder / "kafka")
        self.kafka.start()

    def down(self) -> None:
        super().down()
        if self.kafka is not None:
            self.kafka.stop()

    def worker_names(self) -> list[str]:
        return ["agent", "router", "pool", "desk"]

    def start_worker(self, program: str) -> None:
        project = self.folder / "aiosv3.toml"
        bootstrap = self.kafka.bootstrap if self.kafka is not None else ""
        project.write_text(_PROJECT.format(program=program, bootstrap=bootstrap, url=self.url), encoding="utf-8")
        parts = {
            "agent": ["agent", _name(program)],
            "router": ["router"],
            "pool": ["pool", "counted"],
            "desk": ["desk"],
        }
        ports = {}
        for name, arguments in parts.items():
            ports[name] = free_port()
            environment = self._environment() | {"AIOSV3_METRICS__PORT": str(ports[name])}
            command = [sys.executable, "-m", "aiosv3.app", "worker", *arguments, "--project", str(project)]
            self.spawn(name, command, environment, self.folder)
        for name, port in ports.items():
            until_open(f"http://127.0.0.1:{port}/metrics", name)

    def _environment(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join([str(HERE / "aiosv3"), str(HERE / "shared")]), "COMPARE_URL": self.url}

    def send(self, verb: str, program: str, name: str, more: str = "null", seconds: float = 60) -> Any:
        if verb == "start":
            key = "ada" if program == "conversation" else name
            sent = self._aiosv3("task", "send", _name(program), "--json", more, "--id", name, "--key", key)
            self.handles[name] = sent.strip()
        elif verb == "approve":
            self._aiosv3("approvals", "answer", self._question(name), "--approve", "--as", more)
        elif verb == "cancel":
            self._aiosv3("task", "cancel", self.handles[name])
        elif verb == "result":
            got = json.loads(self._aiosv3("task", "get", self.handles[name], "--wait", more, "--json", fails=True))
            if got["outcome"] is None:
                raise RuntimeError(f"{name} has no result after {more} s")
            return {"outcome": got["outcome"].lower(), "output": _plain(got["output"])}
        return None

    def _question(self, task: str) -> str:
        deadline = time.monotonic() + 30
        while True:
            asked = json.loads(self._aiosv3("approvals", "list", "--json"))
            found = [str(question["id"]) for question in asked if question["task"] == task]
            if found:
                return found[0]
            if time.monotonic() > deadline:
                raise RuntimeError(f"{task} asks nobody anything")

    def _aiosv3(self, *arguments: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "aiosv3.app", *arguments, "--project", str(self.folder / "aiosv3.toml")]
        if not fails:
            return run(command, 90, env={**os.environ, **self._environment()})
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
        return done.stdout


def _name(program: str) -> str:
    return program.replace("_", "-")


def _plain(output: Any) -> Any:
    """A text output stands in a record of its own on the log."""
    return output["value"] if isinstance(output, dict) and output.keys() == {"value"} else output
