"""The seven programs' days: what is started, when the process is killed, and what is looked at afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from docs.compare.endpoint import Endpoint
from docs.compare.platforms import Platform

PATIENCE: Final = 100
"""Seconds that a result may take after the restart."""
_KEPT_S: Final = 2.0
"""After an answer, before the kill: nobody is asked to keep what it had no time to write down."""


@dataclass(frozen=True)
class Outcome:
    """``survived``: the run came to its right end. ``paid_twice``: answered calls that were made again.

    ``in_flight``: calls that were made again because the kill caught them; nobody can avoid these. ``seconds`` from the
    start of the new process to the end.
    """

    survived: bool
    paid_twice: int
    in_flight: int
    seconds: float
    note: str = ""


Scenario: TypeAlias = Callable[[Platform, Endpoint], Outcome]


def _kept(endpoint: Endpoint, what: str, count: int) -> None:
    endpoint.wait(f"{count} answers to {what!r}", lambda: endpoint.answered(what) >= count)
    time.sleep(_KEPT_S)


def _restarted(platform: Platform, program: str, down_s: float = 0.0) -> float:
    platform.kill_worker()
    time.sleep(down_s)
    began = time.monotonic()
    platform.start_worker(program)
    return began


def _ended(platform: Platform, program: str, name: str) -> dict[str, str]:
    found: dict[str, str] = platform.send("result", program, name, str(PATIENCE), seconds=PATIENCE + 30)
    return found


def retry(platform: Platform, endpoint: Endpoint) -> Outcome:
    """The second call fails twice; the kill comes after its first failure."""
    endpoint.fails["A title"] = 2
    platform.start_worker("retry")
    platform.send("start", "retry", "retry-1", '"the report"')
    endpoint.wait("a first failure", lambda: len(endpoint.of("A title")) >= 1)
    began = _restarted(platform, "retry")
    ended = _ended(platform, "retry", "retry-1")
    right = "answer to A title for answer to Summarise the report"
    return Outcome(
        ended == {"outcome": "ok", "output": right},
        len(endpoint.of("model: Summarise")) - 1,
        max(0, len(endpoint.of("A title")) - 3),
        time.monotonic() - began,
        f"{len(endpoint.of('A title'))} tries of the failing call, 3 are needed",
    )


def fan_out(platform: Platform, endpoint: Endpoint) -> Outcome:
    """Ten calls at once; five are answered and five in flight when the kill comes."""
    quick, slow = [f"city {letter}" for letter in "ABCDE"], [f"town {letter}" for letter in "ABCDE"]
    endpoint.slow["town"] = 8.0
    platform.start_worker("fan_out")
    platform.send("start", "fan_out", "fan-1", json.dumps([*quick, *slow]))
    _kept(endpoint, "city", 5)
    began = _restarted(platform, "fan_out")
    ended = _ended(platform, "fan_out", "fan-1")
    right = "\n".join(f"answer to A fact about {name}" for name in [*quick, *slow])
    return Outcome(
        ended == {"outcome": "ok", "output": right},
        len(endpoint.of("city")) - 5,
        len(endpoint.of("town")) - 5,
        time.monotonic() - began,
    )


def approval(platform: Platform, endpoint: Endpoint) -> Outcome:
    """One run is approved after the restart; another's time runs out while nothing runs."""
    platform.start_worker("approval")
    platform.send("start", "approval", "yes-1", json.dumps({"topic": "apples", "seconds": 120}))
    platform.send("start", "approval", "late-1", json.dumps({"topic": "pears", "seconds": 6}))
    _kept(endpoint, "Draft", 2)
    began = _restarted(platform, "approval", down_s=5.0)
    platform.send("approve", "approval", "yes-1", "ada")
    said = [_ended(platform, "approval", name)["output"] for name in ("yes-1", "late-1")]
    return Outcome(
        said == ["sent, approved by ada", "nobody answered"],
        len(endpoint.of("Draft")) - 2,
        0,
        time.monotonic() - began,
        "" if said == ["sent, approved by ada", "nobody answered"] else f"it said {said}",
    )


def sleep(platform: Platform, endpoint: Endpoint) -> Outcome:
    """Sleeps 12 s; killed after some 2 s, down for 3 s."""
    platform.start_worker("sleep")
    platform.send("start", "sleep", "sleep-1", json.dumps({"topic": "lunch", "seconds": 12}))
    _kept(endpoint, "model: Announce", 1)
    began = _restarted(platform, "sleep", down_s=3.0)
    ended = _ended(platform, "sleep", "sleep-1")
    due = (endpoint.of("model: Announce")[0].answered or 0) + 12
    right = {"outcome": "ok", "output": "answer to Remind of answer to Announce lunch"}
    late = endpoint.of("Remind")[0].at - max(due, began)
    return Outcome(
        ended == right and late < 10,
        len(endpoint.of("model: Announce")) - 1,
        0,
        time.monotonic() - began,
        f"woke up {late:.1f} s after it was due and a worker was started",
    )


def conversation(platform: Platform, endpoint: Endpoint) -> Outcome:
    """Three turns of one customer; the second is being answered, the third waits, when the kill comes."""
    endpoint.slow["second"] = 8.0
    platform.start_worker("conversation")
    for number, text in enumerate(("first", "second", "third"), 1):
        platform.send("start", "conversation", f"turn-{number}", json.dumps(text))
        if number == 1:
            _ended(platform, "conversation", "turn-1")
    endpoint.wait("the second turn", lambda: len(endpoint.of("second")) >= 1)
    began = _restarted(platform, "conversation")
    said = [_ended(platform, "conversation", f"turn-{number}")["output"] for number in (1, 2, 3)]
    histories = {text: endpoint.of(text)[-1].turns for text in ("first", "second", "third")}
    right = said == [f"answer to {text}" for text in ("first", "second", "third")]
    in_order = histories == {"first": 1, "second": 3, "third": 5}
    return Outcome(
        right and in_order,
        len(endpoint.of("first")) - 1 + len(endpoint.of("third")) - 1,
        len(endpoint.of("second")) - 1,
        time.monotonic() - began,
        "" if in_order else f"messages that the model saw: {histories}",
    )


def tool_loop(platform: Platform, endpoint: Endpoint) -> Outcome:
    """The model asks for two tools at once; one has answered and one is working when the kill comes."""
    endpoint.slow["/weather: Rome"] = 8.0
    platform.start_worker("tool_loop")
    platform.send("start", "tool_loop", "loop-1", '"What to wear?"')
    _kept(endpoint, "/weather: Oslo", 1)
    began = _restarted(platform, "tool_loop")
    ended = _ended(platform, "tool_loop", "loop-1")
    return Outcome(
        ended == {"outcome": "ok", "output": "answer to What to wear?"},
        len(endpoint.of("model: ")) - 1 + len(endpoint.of("Oslo")) - 1,
        len(endpoint.of("Rome")) - 1,
        time.monotonic() - began,
    )


def cancel(platform: Platform, endpoint: Endpoint) -> Outcome:
    """Cancelled while it waits; the kill comes while it cleans up."""
    endpoint.slow["/release"] = 5.0
    platform.start_worker("cancel")
    platform.send("start", "cancel", "cancel-1", '"order-7"')
    _kept(endpoint, "/reserve", 1)
    platform.send("cancel", "cancel", "cancel-1")
    endpoint.wait("the cleanup", lambda: len(endpoint.of("/release")) >= 1)
    began = _restarted(platform, "cancel")
    ended = _ended(platform, "cancel", "cancel-1")
    endpoint.wait("a whole cleanup", lambda: endpoint.of("/release")[-1].answered is not None)
    cleaned = len(endpoint.of("/release")) >= 2
    cancelled = "cancelled" in {ended["outcome"], ended["output"]}
    return Outcome(
        cleaned and cancelled,
        len(endpoint.of("/reserve")) - 1,
        len(endpoint.of("/release")) - 1,
        time.monotonic() - began,
        "" if cleaned else "the cleanup was not done again",
    )


ALL: Final[dict[str, Scenario]] = {
    "retry": retry,
    "fan_out": fan_out,
    "approval": approval,
    "sleep": sleep,
    "conversation": conversation,
    "tool_loop": tool_loop,
    "cancel": cancel,
}
