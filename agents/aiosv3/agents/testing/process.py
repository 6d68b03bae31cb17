"""A worker of the production classes as a process that can be killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack

from aiosv3.agents.testing.wire import HOUSEKEEPING_S
from aiosv3.streams.commit import Commit
from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Committed
from aiosv3.streams.metrics import ProcessorMetrics
from aiosv3.streams.processor import Processor
from aiosv3.streams.tenure import Tenure, Wiring
from aiosv3.streams.testing import Host, MemoryBroker, MemoryLog, MemoryMember

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class ProcessLoop(DeterministicLoop):
    """Plain functions of ``ctx.run`` run here and now, not in a thread: a test is one thread and repeats."""

    __slots__ = ()

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts) -> asyncio.Future[_T]:
        done = self.create_future()
        inside = asyncio._get_running_loop()  # noqa: SLF001 -- in its thread it would see no loop either
        asyncio._set_running_loop(None)  # noqa: SLF001
        try:
            done.set_result(func(*args))
        except StopIteration as error:
            done.set_exception(RuntimeError(f"the function raised {error!r}"))
        except Exception as error:  # noqa: BLE001 -- user code: whatever it raises, its step fails with it
            done.set_exception(error)
        finally:
            asyncio._set_running_loop(inside)  # noqa: SLF001
        return done


class Part(NamedTuple):
    """What a worker process runs: one processor. ``open(wiring, partition, committed, start)`` makes its tenures."""

    name: str
    group: str
    inputs: str
    own: str
    journal: str | None
    open: Callable[[Wiring, int, Committed | None, Commit], Tenure]
    metrics: ProcessorMetrics


class WorkerProcess(Host):
    """One worker on an event loop of its own. ``clock``: seconds since the epoch."""

    def __init__(self, name: str, part: Part, broker: MemoryBroker, clock: Callable[[], float]) -> None:
        self.own_loop = ProcessLoop(broker.network.time)
        super().__init__(name, self.own_loop)
        self.part = part
        self._broker = broker
        log = MemoryLog(broker, self)
        member = MemoryMember(broker, log, part.group, part.inputs, part.journal)
        wiring = Wiring(
            name=name,
            input_topic=part.inputs,
            own_topic=part.own,
            journal_topic=part.journal,
            log=log,
            member=member,
            clock=lambda: int(clock() * 1000),
            metrics=part.metrics,
        )
        self.processor = Processor(wiring, partial(part.open, wiring), commit_every=HOUSEKEEPING_S)
        self.main = self.own_loop.create_task(self.processor.start())

    def kill(self) -> None:
        """kill -9: none of its code runs again, and the group gives its partitions to others."""
        super().kill()
        self._broker.group(self.part.group, self.part.inputs).remove(self.name, "killed")

    def bury(self) -> None:
        """Frees its coroutines; from outside its loop, once it is killed."""
        for tenure in self.processor.tenures.values():
            tenure.stop("killed")
        self.own_loop.close()

    @property
    def tenures(self) -> list[Tenure]:
        """Its ownerships."""
        return list(self.processor.tenures.values())

    def troubles(self) -> list[BaseException | str]:
        """What its code raised where nobody looks."""
        found: list[BaseException | str] = [
            context.get("exception") or str(context.get("message")) for context in self.own_loop.exceptions
        ]
        failure = self.main.exception() if self.main.done() and not self.main.cancelled() else None
        return [*found, failure] if failure is not None else found
