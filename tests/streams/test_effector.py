from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tests.streams.conftest import Stage

def test_smoke(stage: Stage) -> None:
    worker = stage.worker("a").start()
    stage.request("x")
    stage.run(lambda: stage.replies() == [b"x by a"])
    stage.run(lambda: (c := stage.committed()) is not None and c.base == 1)
    worker.effector.on_work = worker.effector.gated
    stage.request("y"); stage.settle(); worker.effector.open("y"); stage.settle()
    assert stage.replies() == [b"x by a", b"y by a"]
    stage.finish(worker.processor.drain(1))
