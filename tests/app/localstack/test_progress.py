from __future__ import annotations

from aiosv3.app.localstack.progress import Progress, Silent
from aiosv3.app.localstack.status import Phase, StackStatus


def test_nobody_has_to_look() -> None:
    silent: Progress = Silent()
    silent.say("x")
    silent.changed(StackStatus(Phase.STARTING, None, {}, ()))
    with silent.download("x", 2) as advance:
        advance(1)
