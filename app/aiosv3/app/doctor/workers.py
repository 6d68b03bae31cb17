"""Workers: that whatever waits has somebody who works on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiosv3.app.backlog import Backlog, group_of, of_groups
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.schemas.errors import AiosError

NAME = "workers"


async def check(case: Case) -> Sequence[Finding]:
    """Each processor of this project: records without a worker are tasks that wait without a word."""
    reached = await case.reached()
    if reached is None:
        return ()
    inputs = await _inputs(case)
    found = await of_groups(
        reached.overview, case.topics.prefix, {group: topic for group, (topic, _) in inputs.items()}
    )
    return judged(inputs, found)


async def _inputs(case: Case) -> dict[str, tuple[str, str]]:
    """By group: what it reads, and which worker that is."""
    topics = case.topics
    try:
        agents = await case.agents()
    except AiosError:  # the check of the project says so
        agents = {}
    found = {group_of(topics, name): (topics.tasks(name), f"agent {name}") for name in agents}
    found[f"{topics.prefix}router"] = (topics.prompts(), "router")
    for name in await case.pools():
        found[f"{topics.prefix}pool.{name}"] = (topics.pool_prompts(name), f"pool {name}")
    for name in case.settings.tools:
        found[f"{topics.prefix}tools.{name}"] = (topics.tools(name), f"tools {name}")
    found[f"{topics.prefix}memory"] = (topics.memory_queries(), "memory")
    return found


def judged(inputs: Mapping[str, tuple[str, str]], found: Mapping[str, Backlog]) -> list[Finding]:
    """A warning for each processor with work and without workers; one line where there is none."""
    findings = []
    for group, (topic, worker) in inputs.items():
        waiting = found[group].unfinished
        if waiting and not found[group].group.members:
            noun = "1 record waits" if waiting == 1 else f"{waiting} records wait"
            findings.append(
                Finding.warning(NAME, f"{noun} on {topic}, and nobody works on it", f"start it: aiosv3 worker {worker}")
            )
    return findings or [Finding.ok(NAME, "whatever waits has a worker")]
