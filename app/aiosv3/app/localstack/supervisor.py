"""Starts processes in order, keeps them running, stops them in reverse; says how they are in ``state.json``.

One thread: ``poll`` does what is due and says for how long nothing will be. ``serve`` calls it until a signal comes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.logs import last_line, size, trim
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
from aiosv3.app.localstack.statefile import StateFile
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.localstack.wakeups import Wakeups

_PROBE_EVERY_S: Final = 0.05
_IDLE_S: Final = 1.0


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
    log_start: int = 0
    """Where in its log this run began."""
    heard: float = 0.0
    log_size: int = 0
    reason: str | None = None

    def status(self) -> ProcessStatus:
        return ProcessStatus(
            self.spec.name,
            self.state,
            self.process,
            self.restarts,
            self.changed,
            self.exit_code,
            str(self.spec.log_path),
            self.spec.ready,
            self.reason,
        )


class Supervisor:
    """Supervises ``specs``; ``folder`` gets the state file. Not thread-safe. One supervisor a folder.

    ``note`` is told in one line what happens to a process once the stack was ready.
    """

    def __init__(
        self,
        specs: Iterable[ProcessSpec],
        folder: Path,
        *,
        addresses: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        probe: Callable[[str], bool] = is_ready,
        note: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._file = StateFile(folder)
        self._note = note
        self._mute = False
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

    @property
    def is_abandoned(self) -> bool:
        """Whether the state folder was deleted: nobody can find, ask or stop this stack any more."""
        return self._file.is_gone()

    def publish(self) -> None:
        """Write the state file. A full disk is noted, and no reason to let go of the processes."""
        try:
            self._file.write(self.status())
        except OSError as error:
            if not self._mute:
                self._note(f"the state file cannot be written now: {error}")
            self._mute = True
        else:
            self._mute = False

    def poll(self) -> float:
        """Do what is due: notice ends, start again, go on with the start. Seconds until the next call.

        A process that ends, or stays silent for too long, before it was ever ready makes the phase ``FAILED``; one that
        only waits for another (``RestartPolicy.waiting``) is given a few tries.
        """
        before = self.status()
        for child in self._children:
            self._reap(child)
            trim(child.spec.log_path)
            if child.state is ProcessState.BACKOFF and self._clock() >= child.due:
                child.restarts += 1
                self._launch(child)
            if child.state is ProcessState.STARTING:
                self._check_ready(child)
        if self._phase is Phase.STARTING:
            self._advance()
        if self.status() != before or not self._file.is_intact():
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
        # A process that was killed had no last words.
        child.reason = last_line(child.spec.log_path, child.log_start) if code is None or code >= 0 else None
        self._after_end(child, _how(code))

    def _after_end(self, child: _Child, how: str) -> None:
        """What an end means: another start, now or later, or none."""
        policy = child.spec.restart
        said = f"{child.spec.name} {how}" + (f": {child.reason}" if child.reason else "")
        waits = child.exit_code in policy.waiting
        if policy.never:
            self._turn(child, ProcessState.STOPPED)
        elif child.was_ready and child.failures >= policy.limit and not waits:
            self._turn(child, ProcessState.FAILED)
            self._note(f"{said}; that was {child.failures} times in a row: it is not started again")
        else:
            delay = policy.delay(child.failures)
            child.due = self._clock() + delay
            self._turn(child, ProcessState.BACKOFF)
            if self._phase is Phase.READY:
                self._note(f"{said}; it is started again in {delay:g} s")
        if not child.was_ready and not (waits and child.failures < policy.first_tries):
            self._fail(child, f"{how} before it was ready")

    def _launch(self, child: _Child) -> None:
        spec = child.spec
        child.log_start = size(spec.log_path)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **spec.env}
        child.started = child.heard = self._clock()
        child.log_size = child.log_start
        try:
            child.process = launch(spec.argv, environment, spec.log_path)
        except OSError as error:
            child.failures += 1
            child.reason = None
            self._after_end(child, f"cannot be started: {error}")
            return
        self._turn(child, ProcessState.STARTING)
        # On disk at once: if this supervisor is killed now, the next one must find the child.
        self.publish()

    def _check_ready(self, child: _Child) -> None:
        if child.spec.ready is None or self._probe(child.spec.ready):
            child.was_ready = True
            self._turn(child, ProcessState.RUNNING)
            if self._phase is Phase.READY:
                self._note(f"{child.spec.name} runs again")
        elif self._overdue(child) and not child.was_ready:
            what = " and said nothing" if child.spec.talks else ""
            self._fail(child, f"did not answer on {child.spec.ready}{what} in {child.spec.ready_timeout_s:.0f} s")

    def _overdue(self, child: _Child) -> bool:
        now = self._clock()
        if child.spec.talks and (written := size(child.spec.log_path)) != child.log_size:
            child.log_size, child.heard = written, now
        return now - child.heard >= child.spec.ready_timeout_s

    def _advance(self) -> None:
        for child in self._children:
            if child.state is ProcessState.WAITING and self._may_start(child):
                self._launch(child)
        if all(child.was_ready for child in self._children):
            self._phase = Phase.READY

    def _may_start(self, child: _Child) -> bool:
        earlier = (one for one in self._children if one.spec.stage < child.spec.stage)
        return self._phase is Phase.STARTING and all(one.was_ready for one in earlier)

    def _fail(self, child: _Child, what: str) -> None:
        if self._phase is not Phase.STARTING:
            return
        self._phase = Phase.FAILED
        log = child.spec.log_path
        child.reason = child.reason or last_line(log, child.log_start)
        self._error = f"{child.spec.name} {what}" + (f": {child.reason}" if child.reason else "") + f" (log: {log})"

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


def serve(
    supervisor: Supervisor,
    on_ready: Callable[[StackStatus], None] | None = None,
    on_change: Callable[[StackStatus], None] = lambda _status: None,
) -> StackStatus:
    """Run until SIGTERM, SIGINT or SIGHUP, then stop all; a second signal ends the drain. Main thread only.

    ``on_change`` is called while it starts. Returns the last status: ``STOPPED``, or ``FAILED`` where the start failed.
    """
    with Wakeups() as wakeups:
        supervisor.publish()
        try:
            _run(supervisor, wakeups, on_ready, on_change)
        finally:
            # Also where showing it failed, because the terminal is gone: nobody else looks after the processes.
            supervisor.stop(hurry=lambda: wakeups.stops > 1)
    return supervisor.status()


def _run(
    supervisor: Supervisor,
    wakeups: Wakeups,
    on_ready: Callable[[StackStatus], None] | None,
    on_change: Callable[[StackStatus], None],
) -> None:
    announced = False
    while not wakeups.stops and not supervisor.is_abandoned:
        wait_s = supervisor.poll()
        status = supervisor.status()
        if status.phase is Phase.FAILED:
            return
        if not announced:
            on_change(status)
        if status.phase is Phase.READY and not announced:
            announced = True
            if on_ready is not None:
                on_ready(status)
        wakeups.wait(wait_s)


def stop_orphans(status: StackStatus, timeout_s: float = 30.0) -> list[str]:
    """Stop what a supervisor that was killed left behind, last first. Returns the names of what was stopped."""
    stopped = []
    for one in reversed(status.processes):
        if one.process is not None and is_alive(one.process):
            terminate(one.process, timeout_s)
            stopped.append(one.name)
    return stopped


def _how(code: int | None) -> str:
    if code is None:
        return "ended"  # not a child of ours any more: nobody can tell how
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
