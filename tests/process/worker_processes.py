"""Real worker processes of a small project, to be killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from counting_endpoint import CountingEndpoint
from project_processes import ProjectProcesses

_PROJECT = """
agents = [{agents}]

[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = {partitions}

[pools.counted]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
model = "counted"
clearance = "restricted"
concurrency = 64
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


@dataclass
class WorkerProcesses(ProjectProcesses):
    """Starts workers of one project; each part is a process of its own."""

    bootstrap: str
    prefix: str
    endpoint: CountingEndpoint
    agents: Sequence[str] = ("crash_agents:worker", "crash_agents:queue")
    partitions: int = 4

    def __post_init__(self) -> None:
        text = _PROJECT.format(
            agents=", ".join(f'"{agent}"' for agent in self.agents),
            bootstrap=self.bootstrap,
            prefix=self.prefix,
            partitions=self.partitions,
            port=self.endpoint.port,
        )
        self.project.write_text(text, encoding="utf-8")

    def start(self, name: str, *arguments: str) -> None:
        """``aiosv3 worker …`` as process ``name``; its output goes to ``name.log``."""
        self.launch(name, arguments, {"PYTHONPATH": str(Path(__file__).parent)})

    def restart(self, *names: str) -> None:
        """Starts them again, as their supervisor would."""
        for name in names:
            self.start(name, *self.arguments[name])
