from __future__ import annotations

from typing import Any

from aiosv3.app.doctor import Finding, Level, topics
from aiosv3.streams.kafka import TopicSpec

_WANTED = {
    "journal.a": TopicSpec("journal.a", 6, "keep"),
    "results.a": TopicSpec("results.a", 6, "delete", {"retention.ms": "1000"}),
    "state.a": TopicSpec("state.a", 6, "compact"),
}
_FITS = {
    "journal.a": {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
    "results.a": {"cleanup.policy": "delete", "retention.ms": "5000"},
    "state.a": {"cleanup.policy": "compact"},
}


def judged(found: dict[str, int], **changed: dict[str, str]) -> list[Finding]:
    configs = {name: _FITS[name] | changed.get(name.replace(".", "_"), {}) for name in found}
    return topics.judged(_WANTED, found, configs)


def test_one_line_where_all_fits() -> None:
    (found,) = judged(dict.fromkeys(_WANTED, 6))
    assert (found.level, found.message) == (Level.OK, "all 3 are there, with the right partitions and cleanup")


def test_another_count_fails() -> None:
    (found,) = judged({**dict.fromkeys(_WANTED, 6), "results.a": 1})
    assert (found.level, "results.a has 1, not 6" in found.message) == (Level.FAILED, True)


def test_another_cleanup_fails() -> None:
    (found,) = judged(dict.fromkeys(_WANTED, 6), state_a={"cleanup.policy": "delete"})
    assert (found.level, "state.a has delete, not compact" in found.message) == (Level.FAILED, True)


def test_records_kept_for_less_are_a_warning() -> None:
    changed = {"journal_a": {"retention.ms": "60000"}, "results_a": {"retention.ms": "999"}}
    (found,) = judged(dict.fromkeys(_WANTED, 6), **changed)
    assert found.level is Level.WARNING
    assert "journal.a has retention.ms 60000, not -1" in found.message
    assert "results.a has retention.ms 999, not 1000" in found.message
    assert judged(dict.fromkeys(_WANTED, 6), results_a={"retention.ms": "-1"})[0].level is Level.OK


def test_what_is_missing_is_made_by_workers() -> None:
    (found,) = judged({"journal.a": 6})
    assert (found.level, found.message) == (Level.WARNING, "2 of 3 are not there yet: results.a, state.a")


def test_many_are_counted() -> None:
    wanted = {f"t{n}": TopicSpec(f"t{n}", 6) for n in range(5)}
    (found,) = topics.judged(wanted, {}, {})
    assert found.message == "5 of 5 are not there yet: t0, t1, t2 and 2 more"


async def test_without_a_broker_it_says_nothing(case_of: Any) -> None:
    assert await topics.check(case_of()) == ()
