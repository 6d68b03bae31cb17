"""Starts processes in order, keeps them running, stops them in reverse; says how they are in ``state.json``.

One thread, no callbacks: ``poll`` does what is due and says for how long nothing will be. ``serve`` calls it until a
signal comes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import LocalStackError, tail
from aiosv3.app.localstack.processes import (
    ProcessId,
    exit_status,
    identify,
    is_alive,
    launch,
    send,
    terminate,
    wait_gone,
)
from aiosv3.app.localstack.readiness import check_probe, is_ready
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus, write_status
from aiosv3.app.localstack.wakeups import Wakeups

_PROBE_EVERY_S: Final = 0.05
_IDLE_S: Final = 1.0
_KEEP_LOG_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class _Child:
    """The changing half of a ``ProcessSpec``. Times: ``changed`` is wall clock, the rest is the supervisor's."""

    spec: ProcessSpec
    changed: float
    state: ProcessState = ProcessState.WAITING
    process: ProcessId | None = None
    started: float = 0.0
    due: float = 0.0
    failures: int = 0
    restarts: int = 0
    exit_code: int | None = None
    was_ready: bool = False

    def status(self) -> ProcessStatus:
        return ProcessStatus(
            self.spec.name,
            self.state,
            self.process,
            self.restarts,
            self.changed,
            self.exit_code,
            str(self.spec.log_path),
        )


class Supervisor:
    """Supervises ``specs``; ``folder`` gets the state file. Not thread-safe. One supervisor a folder."""

    def __init__(
        self,
        specs: Iterable[ProcessSpec],
        folder: Path,
        *,
        addresses: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        probe: Callable[[str], bool] = is_ready,
    ) -> None:
        self._folder = folder
        self._addresses = dict(addresses or {})
        self._clock = clock
        self._probe = probe
        self._phase = Phase.STARTING
        self._error: str | None = None
        self._children = [_Child(spec, time.time()) for spec in sorted(specs, key=lambda spec: spec.stage)]
        names = [child.spec.name for child in self._children]
        if len(set(names)) != len(names):
            raise LocalStackError(f"process names are not unique: {', '.join(sorted(names))}")
        for child in self._children:
            if child.spec.ready is not None:
                check_probe(child.spec.ready)

    def status(self) -> StackStatus:
        processes = tuple(child.status() for child in self._children)
        return StackStatus(self._phase, identify(os.getpid()), self._addresses, processes, self._error)

    def publish(self) -> None:
        """Write the state file."""
        write_status(self._folder, self.status())

    def poll(self) -> float:
        """Do what is due: notice ends, start again, go on with the start. Seconds until the next call.

        A process that ends, or stays silent for too long, before it was ever ready makes the phase ``FAILED``.
        """
        before = self.status()
        for child in self._children:
            self._reap(child)
            if child.state is ProcessState.BACKOFF and self._clock() >= child.due:
                child.restarts += 1
                self._launch(child)
            if child.state is ProcessState.STARTING:
                self._check_ready(child)
        if self._phase is Phase.STARTING:
            self._advance()
        if self.status() != before:
            self.publish()
        return self._next()

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop all, latest stage first: SIGTERM, then SIGKILL at the deadline or as soon as ``hurry`` says so.

        The phase ends as ``STOPPED``, or stays ``FAILED``.
        """
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPING
        self.publish()
        for stage in sorted({child.spec.stage for child in self._children}, reverse=True):
            self._stop_stage([child for child in self._children if child.spec.stage == stage], hurry)
            self.publish()
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPED
        self.publish()

    def _reap(self, child: _Child) -> None:
        if child.process is None:
            return
        code = exit_status(child.process.pid)
        if code is None:
            if identify(child.process.pid) == child.process:
                return
            code = exit_status(child.process.pid)  # it may have ended between the two looks
        stable = self._clock() - child.started >= child.spec.restart.stable_s
        child.failures = 1 if stable else child.failures + 1
        child.process, child.exit_code = None, code
        if child.spec.restart.never:
            self._turn(child, ProcessState.STOPPED)
        else:
            child.due = self._clock() + child.spec.restart.delay(child.failures)
            self._turn(child, ProcessState.BACKOFF)
        if not child.was_ready:
            self._fail(child, f"ended with exit code {code} before it was ready")

    def _launch(self, child: _Child) -> None:
        spec = child.spec
        _rotate(spec.log_path)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **spec.env}
        child.started = self._clock()
        try:
            child.process = launch(spec.argv, environment, spec.log_path)
        except OSError as error:
            child.failures += 1
            child.due = self._clock() + spec.restart.delay(child.failures)
            self._turn(child, ProcessState.BACKOFF)
            self._fail(child, f"cannot be started: {error}")
            return
        self._turn(child, ProcessState.STARTING)
        # On disk at once: if this supervisor is killed now, the next one must find the child.
        self.publish()

    def _check_ready(self, child: _Child) -> None:
        if child.spec.ready is None or self._probe(child.spec.ready):
            child.was_ready = True
            self._turn(child, ProcessState.RUNNING)
        elif self._clock() - child.started >= child.spec.ready_timeout_s and not child.was_ready:
            self._fail(child, f"did not answer on {child.spec.ready} in {child.spec.ready_timeout_s:.0f} s")

    def _advance(self) -> None:
        for child in self._children:
            if child.state is ProcessState.WAITING and self._may_start(child):
                self._launch(child)
        if all(child.was_ready for child in self._children):
            self._phase = Phase.READY

    def _may_start(self, child: _Child) -> bool:
        earlier = (one for one in self._children if one.spec.stage < child.spec.stage)
        return self._phase is Phase.STARTING and all(one.was_ready for one in earlier)

    def _fail(self, child: _Child, reason: str) -> None:
        if self._phase is not Phase.STARTING:
            return
        self._phase = Phase.FAILED
        log = child.spec.log_path
        self._error = f"{child.spec.name} {reason}\nend of {log}:\n{tail(log)}"

    def _next(self) -> float:
        if any(child.state is ProcessState.STARTING for child in self._children):
            return _PROBE_EVERY_S
        waits = [child.due - self._clock() for child in self._children if child.state is ProcessState.BACKOFF]
        return max(0.0, min([_IDLE_S, *waits]))

    def _stop_stage(self, children: list[_Child], hurry: Callable[[], bool]) -> None:
        running = [(child, child.process) for child in children if child.process is not None]
        for _, process in running:
            send(process, signal.SIGTERM)
        begun = time.monotonic()
        for child, process in running:
            while is_alive(process) and time.monotonic() - begun < child.spec.stop_timeout_s and not hurry():
                time.sleep(0.02)
            send(process, signal.SIGKILL)
            wait_gone(process, 10.0)
        for child in children:
            child.process = None
            self._turn(child, ProcessState.STOPPED)

    def _turn(self, child: _Child, state: ProcessState) -> None:
        child.state = state
        child.changed = time.time()


def serve(supervisor: Supervisor, on_ready: Callable[[StackStatus], None] | None = None) -> StackStatus:
    """Run until SIGTERM, SIGINT or SIGHUP, then stop all; a second signal ends the drain. Main thread only.

    Returns the last status: ``STOPPED``, or ``FAILED`` where the start failed.
    """
    with Wakeups() as wakeups:
        supervisor.publish()
        announced = False
        while not wakeups.stops:
            wait_s = supervisor.poll()
            phase = supervisor.status().phase
            if phase is Phase.FAILED:
                break
            if phase is Phase.READY and not announced:
                announced = True
                if on_ready is not None:
                    on_ready(supervisor.status())
            wakeups.wait(wait_s)
        supervisor.stop(hurry=lambda: wakeups.stops > 1)
    return supervisor.status()


def stop_orphans(status: StackStatus, timeout_s: float = 30.0) -> list[str]:
    """Stop what a supervisor that was killed left behind, last first. Returns the names of what was stopped."""
    stopped = []
    for one in reversed(status.processes):
        if one.process is not None and is_alive(one.process):
            terminate(one.process, timeout_s)
            stopped.append(one.name)
    return stopped


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _KEEP_LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))
