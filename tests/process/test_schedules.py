"""Real workers, killed while a schedule and a trial sleep on a real Kafka: each time is fired once, the gap too."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]

EVERY_S = 1
TRIAL = Path(__file__).resolve().parents[2] / "examples" / "trial" / "trial.py"
PLAN: dict[str, Any] = {"agent": "plain", "input": {"number": 7}, "cron": f"*/{EVERY_S} * * * * *", "key": "k"}


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    shutil.copy(TRIAL, tmp_path)
    endpoint = CountingEndpoint()
    endpoint.start()
    agents = ("crash_agents:plain", "trial:trial", "aiosv3.app.schedules:schedule")
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=agents, partitions=1)
    with processes.project.open("a", encoding="utf-8") as project:
        project.write("\n[agent.schedule]\npark_after = 1\n\n[agent.trial]\npark_after = 1\n")
    for name in ("plain", "trial", "schedule"):
        processes.start(name, "agent", name)
    yield processes
    processes.close()


def give(run: Run, agent: str, task_id: str, value: dict[str, Any]) -> None:
    """A task event, as any producer sends it."""
    topic, headers = run.topic(f"tasks.{agent}"), [("ce_id", task_id.encode())]
    run.producer.produce(topic, json.dumps(value).encode(), task_id.encode(), headers=list(headers))
    run.producer.flush(10)


def fired(run: Run) -> list[datetime]:
    """The times that have a result, in order."""
    return sorted(datetime.fromisoformat(name.partition("/")[2]) for name in run.results("plain"))


def test_killed_workers_neither_lose_a_time_nor_fire_it_twice(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("results.plain", "results.trial", "results.schedule"), "the topics")
    run.wait(lambda: run.registered("results.schedule") and run.registered("results.plain"), "the schemas")
    give(run, "schedule", "often", PLAN)
    give(run, "trial", "ada", {"customer": "Ada", "days": 8 / 86_400})
    run.wait(lambda: len(fired(run)) >= 2, "two times")
    mesh.kill("schedule", "trial")
    up_again = time.time() + 3.5 * EVERY_S
    run.wait(lambda: time.time() > up_again, "the downtime")
    before = fired(run)
    mesh.restart("schedule", "trial")
    run.wait(lambda: len(fired(run)) >= len(before) + 3, "three more times")
    run.cancel("schedule", "often", "often")
    run.wait(lambda: "often" in run.results("schedule"), "the end of the schedule")
    run.wait(lambda: "ada" in run.results("trial"), "the end of the trial")
    times, copies = fired(run), run.results("plain")
    gaps = [later - sooner for sooner, later in pairwise(times)]
    step = timedelta(seconds=EVERY_S)
    assert [gap for gap in gaps if gap != step] == [max(gaps)], "one gap, where nobody ran"
    assert times[len(before)] > times[len(before) - 1] + step, "the first one after it is the latest that was missed"
    assert {len(results) for results in copies.values()} == {1}
    assert {results[0]["content"]["number"] for results in copies.values()} == {7}
    assert run.results("schedule")["often"][0]["outcome"] == "CANCELLED"
    over = run.results("trial")["ada"][0]["content"]
    assert [letter.split()[0] for letter in over["letters"]] == ["welcome", "reminder", "goodbye"]
