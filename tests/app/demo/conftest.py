"""Records of made-up runs, for the tests of the report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal

import pytest

from aiosv3.app.demo.families import Licence
from aiosv3.app.demo.licences import Verdict
from aiosv3.app.demo.topiclog import Entry, Result, TaskEvent
from aiosv3.schemas.envelope import ResultEnvelope
from aiosv3.schemas.records import (
    Candidate,
    Completion,
    Decision,
    DecisionOutcome,
    Outcome,
    StepFailure,
    Usage,
)


def task(name: str, at: int = 1_000, clearance: str = "public") -> Entry[TaskEvent]:
    return Entry(0, 0, at, TaskEvent(f"r.{name}", name, clearance))


def result(
    name: str,
    licence: Licence = "MIT",
    by: Literal["rule", "model", "person"] = "rule",
    *,
    at: int = 1_500,
    offset: int = 0,
    partition: int = 0,
    failed: bool = False,
) -> Entry[Result]:
    verdict = Verdict(distribution=name, licence=licence, by=by, quote="a line", reason="because")
    envelope = ResultEnvelope(
        task_id=f"r.{name}",
        root_id=f"r.{name}",
        outcome=Outcome.FAILED if failed else Outcome.OK,
        input_offset=0,
        epoch=1,
        request_hash="",
        started_at=0,
        finished_at=at,
        code_version="1",
        content=None if failed else verdict,
        error=StepFailure("Livelock", "it never ends", retryable=False) if failed else None,
    )
    return Entry(partition, offset, at, envelope)


def decision(name: str, step: str = "1", pool: str | None = "local", offset: int = 0) -> Entry[Decision]:
    routed = pool is not None
    value = Decision(
        request_id=f"r.{name}/{step}",
        root_id=f"r.{name}",
        task_id=f"r.{name}",
        attempt=1,
        input_offset=0,
        epoch=0,
        request_hash="",
        first_sent=0,
        reply=None,
        outcome=DecisionOutcome.ROUTED if routed else DecisionOutcome.REFUSED,
        pool=pool,
        model="SmolLM2-135M-Instruct" if routed else None,
        reason=f"best of 1 eligible, score 0.7{offset}, about 0 USD" if routed else "no eligible pool (cloud: public)",
        candidates=(Candidate("cloud", eligible=False, reason="clearance: public"),),
        policy_version="1",
        prices_version="1",
    )
    return Entry(0, offset, 0, value)


def completion(
    name: str, step: str = "1", *, at: int = 2_000, took: int = 100, outcome: Outcome = Outcome.OK
) -> Entry[Completion]:
    value = Completion(
        request_id=f"r.{name}/{step}",
        root_id=f"r.{name}",
        task_id=f"r.{name}",
        step_id=step,
        agent="licences",
        attempt=1,
        input_offset=0,
        epoch=0,
        request_hash="",
        first_sent=0,
        reply=None,
        outcome=outcome,
        error=None,
        pool="local",
        model="SmolLM2-135M-Instruct",
        finish_reason="stop",
        usage=Usage(model_calls=1, input_tokens=10, output_tokens=2, cost_usd_micros=3),
        latency_ms=took,
    )
    return Entry(0, 0, at, value)


@pytest.fixture(scope="session")
def runs() -> SimpleNamespace:
    """The functions above."""
    return SimpleNamespace(task=task, result=result, decision=decision, completion=completion)
