"""Topics: that those which are there are as the workers of this project will want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.topology import agent_topics, base_topics, pool_topics, state_topic, zone_topics
from aiosv3.schemas.errors import AiosError
from aiosv3.streams.kafka import TopicSpec

NAME = "topics"
_SHOWN: Final = 3


async def check(case: Case) -> Sequence[Finding]:
    """Counts, cleanup and retention against what ``ensure_topics`` would make."""
    reached = await case.reached()
    if reached is None:
        return ()
    wanted = {spec.name: spec for spec in await _wanted(case)}
    found = {name: n for name, n in (await reached.overview.topics(case.topics.prefix)).items() if name in wanted}
    configs = await reached.overview.configs(found)
    return judged(wanted, found, configs)


async def _wanted(case: Case) -> list[TopicSpec]:
    settings, topics = case.settings, case.topics
    specs = base_topics(settings, topics)
    for pool in await case.pools():
        specs += pool_topics(settings, topics, pool)
    for zone in settings.tools:
        specs += zone_topics(settings, topics, zone)
    try:
        agents = await case.agents()
    except AiosError:  # the check of the project says so
        agents = {}
    for name, agent in agents.items():
        specs += agent_topics(settings, topics, name)
        if agent.state_type is not None:
            specs.append(state_topic(settings, topics, name))
    return specs


def judged(
    wanted: Mapping[str, TopicSpec], found: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]
) -> list[Finding]:
    """What differs; one line where nothing does."""
    specs = [wanted[name] for name in sorted(found)]
    findings = [*_counts(specs, found), *_cleanup(specs, configs), *_retention(specs, configs)]
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        message = f"{len(missing)} of {len(wanted)} are not there yet: {_some(missing)}"
        findings.append(Finding.warning(NAME, message, "nothing: workers make them when they start"))
    return findings or [Finding.ok(NAME, f"all {len(wanted)} are there, with the right partitions and cleanup")]


def _counts(specs: Sequence[TopicSpec], found: Mapping[str, int]) -> list[Finding]:
    wrong = [
        f"{one.name} has {found[one.name]}, not {one.partitions}" for one in specs if found[one.name] != one.partitions
    ]
    if not wrong:
        return []
    message = f"partition counts differ from the settings, and workers will not start: {_some(wrong)}"
    action = "a count never changes: set [kafka] partitions to the old one, or [kafka] prefix to a new mesh"
    return [Finding.failed(NAME, message, action)]


def _cleanup(specs: Sequence[TopicSpec], configs: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    wrong = []
    for spec in specs:
        policy = spec.settings()["cleanup.policy"]
        if configs[spec.name].get("cleanup.policy") != policy:
            wrong.append(f"{spec.name} has {configs[spec.name].get('cleanup.policy')}, not {policy}")
    if not wrong:
        return []
    action = "set cleanup.policy with kafka-configs.sh --alter, before records are lost"
    return [Finding.failed(NAME, f"cleanup is not as it must be: {_some(wrong)}", action)]


def _retention(specs: Sequence[TopicSpec], configs: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Shorter than wanted; -1 is for ever. A journal that loses records loses what open tasks wait for."""
    short = []
    for spec in specs:
        for name in ("retention.ms", "retention.bytes"):
            wanted, has = spec.settings().get(name), configs[spec.name].get(name, "")
            if wanted is not None and _is_less(has, wanted):
                short.append(f"{spec.name} has {name} {has}, not {wanted}")
    if not short:
        return []
    action = "raise it with kafka-configs.sh --alter: tasks that are open for longer cannot be recovered"
    return [Finding.warning(NAME, f"records are kept for less than they should be: {_some(short)}", action)]


def _is_less(has: str, wanted: str) -> bool:
    if not has.lstrip("-").isdigit() or has == "-1":
        return False
    return wanted == "-1" or int(has) < int(wanted)


def _some(things: Sequence[str]) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return ", ".join(things[:_SHOWN]) + more
