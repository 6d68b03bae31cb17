"""Tasks that are open while their code changes, on real Kafka with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_endpoint import CountingEndpoint
from crash_run import Run
from worker_processes import WorkerProcesses

from aiosv3.agents.mailbox import message_record
from aiosv3.streams.answers import journal_outgoing
from aiosv3.streams.partitioner import murmur2_partition

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240)]

_CODE = '''
from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Work(BaseModel):
    number: int


class Done(BaseModel):
    new: bool
    answer: str


@agent({settings})
async def clerk(ctx: Context, work: Work) -> Done:
    """Asks, waits for a word, asks again: the second time in other words where the change is taken."""
    await ctx.generate(f"{first} {{work.number}}")
    await ctx.receive("go", str)
    new = {new}
    return Done(new=new, answer=await ctx.generate("new words" if new else "old words"))
'''
OLD = _CODE.format(settings='name="clerk"', first="first", new="False")
NEW = _CODE.format(settings='name="clerk", patches=["words"]', first="first", new='ctx.patched("words")')
WRONG = _CODE.format(settings='name="clerk", patches=["words"]', first="premier", new='ctx.patched("words")')


@pytest.fixture
def mesh(tmp_path: Path, kafka: str, topic_prefix: str) -> Iterator[WorkerProcesses]:
    endpoint = CountingEndpoint()
    endpoint.start()
    processes = WorkerProcesses(tmp_path, kafka, topic_prefix, endpoint, agents=("clerk_code:clerk",), partitions=2)
    (tmp_path / "clerk_code.py").write_text(OLD, encoding="utf-8")
    processes.start("agent", "agent", "clerk")
    processes.start("pool", "pool", "counted")
    processes.start("router", "router")
    yield processes
    processes.close()


def release(run: Run, code: str) -> None:
    """Ends the worker, starts one with other code, and waits until that has marked both partitions as its own.

    What lands before the marker may have been seen by the code before, and is taken on the old path.
    """
    mesh, before = run.mesh, markers(run)
    mesh.running["agent"].terminate()
    assert mesh.running["agent"].wait(60) == 0
    (mesh.folder / "clerk_code.py").write_text(code, encoding="utf-8")
    mesh.restart("agent")
    run.wait(lambda: markers(run) >= before + mesh.partitions, "the new worker's markers")


def markers(run: Run) -> int:
    return sum(message.value() is None for message in run.reader.messages(run.topic("journal.clerk")))


def go(run: Run, task_id: str) -> None:
    """The word that a task waits for; its key is its id."""
    mesh, codec = run.mesh, run.reader.codec()
    record = message_record(task_id, "go", '"go"', None)
    partition = murmur2_partition(task_id.encode(), mesh.partitions)
    out = journal_outgoing(codec, run.topic("journal.clerk"), partition, record, b"test")
    headers: list[tuple[str, str | bytes | None]] = [(name, value) for name, value in out.headers]
    run.producer.produce(out.topic, key=out.key, value=out.value, partition=partition, headers=headers)
    run.producer.flush(10)


def outcome(run: Run, task_id: str) -> Any:
    """The output of a task, once it is there."""
    run.wait(lambda: task_id in run.results("clerk"), f"the result of {task_id}")
    return run.results("clerk")[task_id][0]["content"]["new"]


def stuck(mesh: WorkerProcesses, task_id: str) -> bool:
    log = (mesh.folder / "agent.log").read_text(encoding="utf-8")
    return any(f":{task_id} is stuck: step 1 asks for something else" in line for line in log.splitlines())


def test_open_tasks_live_through_upgrades(mesh: WorkerProcesses) -> None:
    run = Run(mesh)
    run.wait(lambda: run.there("results.clerk", "completions.counted", "prompts"), "the topics")
    for number, task_id in enumerate(("before", "through", "stuck")):
        run.send("clerk", task_id, task_id, number)
    run.producer.flush(10)
    run.wait(lambda: run.reader.count(run.topic("completions.counted")) >= 3, "the first answers")
    go(run, "before")
    assert outcome(run, "before") is False

    release(run, NEW)
    go(run, "through")
    assert outcome(run, "through") is True

    release(run, WRONG)
    run.wait(lambda: stuck(mesh, "stuck"), "the task being stuck")
    run.send("clerk", "after", "after", 9)
    run.producer.flush(10)
    go(run, "after")
    assert outcome(run, "after") is True
    assert "stuck" not in run.results("clerk")

    release(run, NEW)
    go(run, "stuck")
    assert outcome(run, "stuck") is True
    again = {key: len(calls) for key, calls in mesh.endpoint.calls.items() if len(calls) > 1}
    assert not again, f"called again: {again}"
