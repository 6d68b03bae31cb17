"""With sealing on nothing that a task says or hears stands on the log in plain, whatever is killed or parked."""

from __future__ import annotations

import logging

import pytest
from sealing_run import leaks, outputs, run_sealed

from aiosv3.schemas.records import Outcome


@pytest.mark.parametrize("seed", [0, 1, 2, 7])
def test_no_secret_is_on_the_log(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    mesh, _ = run_sealed(seed)
    assert leaks(mesh) == []
    ended = outputs(mesh)
    for planned in mesh.plan:
        result = ended[planned.id]
        if planned.program == "fail":
            assert result.outcome is Outcome.FAILED
            assert b"as planned" in result.content
        elif result.outcome is Outcome.OK and planned.program not in {"race", "noop"}:
            assert any("s3cret-word-" in word for word in result.content.words), planned


def test_every_program_runs_sealed_as_it_does_in_plain() -> None:
    """In quiet times: answers, children, tools, loops, people, state, errors."""
    programs: tuple[str, ...] = (
        "seq",
        "gather",
        "run",
        "tree",
        "send",
        "long",
        "approve",
        "tool",
        "loop",
        "fail",
        "noop",
    )
    programs += ("ask", "start", "impatient", "flaky", "typed", "chat")
    mesh, _ = run_sealed(30, programs)
    assert leaks(mesh) == []
    ended = outputs(mesh)
    outcomes = {planned.program: ended[planned.id].outcome for planned in mesh.plan}
    assert outcomes.pop("fail") is Outcome.FAILED
    assert set(outcomes.values()) == {Outcome.OK}, outcomes
    for planned in mesh.plan:
        if planned.program in {"run", "long"}:  # what a function of ctx.run gave
            drawn = next(word for word in ended[planned.id].content.words if word.isdigit())
            assert leaks(mesh, [drawn.encode()]) == []
    states = [result for result in ended.values() if result.state is not None]
    assert all(result.state.content is None for result in states)
