"""Shows what live tasks tell of their progress to whoever follows them."""

from __future__ import annotations

from aiosv3.agents.worker.live import LiveTask
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.streams.deltas import DeltaSender, sealed_delta
from aiosv3.streams.ownlog import provenance


class Showing:
    """``epoch``: the offset of the worker's marker; until it is known nothing is shown."""

    def __init__(self, sender: DeltaSender) -> None:
        self._sender = sender
        self.epoch = -1

    def show(self, live: LiveTask) -> None:
        """What the task has told since the last time. Whoever lost the partition meanwhile has a lower epoch."""
        told = live.run.progress.take()
        if not told:
            return
        task, partition = live.task, live.task.wishes.stream
        if partition is None or not self._sender.reaches(partition):
            return
        source = provenance(live.record)
        for one in told:
            delta = Delta(
                root_id=task.grant.root,
                task_id=task.id,
                agent=live.run.agent.name,
                step_id=one.id,
                attempt=1,
                epoch=self.epoch,
                sequence=0,
                kind=DeltaKind.PROGRESS,
                fraction=one.fraction,
                content=one.text,
            )
            delta = sealed_delta(delta, task.keys.key(live.run.clearance))
            self._sender.send(delta, partition, f"{task.id}/{one.id}", source, task.traceparent)
