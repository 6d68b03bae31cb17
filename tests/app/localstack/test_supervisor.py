from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.processes import ProcessId, is_alive
from aiosv3.app.localstack.specs import ProcessSpec, RestartPolicy
from aiosv3.app.localstack.status import Phase, ProcessState, StackStatus, read_status
from aiosv3.app.localstack.supervisor import Supervisor

pytestmark = pytest.mark.process

FOREVER = "import signal; signal.pause()"


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Rig:
    """A supervisor with a clock of its own; probes answer from ``answering``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = _Clock()
        self.answering: set[str] = set()
        self.supervisor: Supervisor

    def spec(self, name: str, code: str = FOREVER, **more: object) -> ProcessSpec:
        argv = (sys.executable, "-c", code)
        return ProcessSpec(name, argv, self.folder / "logs" / f"{name}.log", **more)  # type: ignore[arg-type]

    def run(self, *specs: ProcessSpec) -> Supervisor:
        self.supervisor = Supervisor(
            specs, self.folder, clock=self.clock, probe=lambda address: address in self.answering
        )
        return self.supervisor

    def poll_until(self, done: Callable[[StackStatus], bool]) -> StackStatus:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.supervisor.poll()
            if done(self.supervisor.status()):
                return self.supervisor.status()
        raise AssertionError(f"not reached: {self.supervisor.status()}")

    def states(self) -> list[str]:
        return [one.state.value for one in self.supervisor.status().processes]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[_Rig]:
    rig = _Rig(tmp_path)
    yield rig
    rig.supervisor.stop(hurry=lambda: True)


def _kill(process: ProcessId | None) -> None:
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)


def test_stages_wait_for_readiness(rig: _Rig) -> None:
    broker, registry = "tcp://127.0.0.1:1", "tcp://127.0.0.1:2"
    rig.run(
        rig.spec("agent", stage=2),
        rig.spec("broker", stage=0, ready=broker),
        rig.spec("registry", stage=1, ready=registry),
    )
    for _ in range(3):
        rig.supervisor.poll()
    assert rig.states() == ["starting", "waiting", "waiting"]
    rig.answering.add(broker)
    rig.poll_until(lambda _: rig.states() == ["running", "starting", "waiting"])
    rig.answering.add(registry)
    status = rig.poll_until(lambda status: status.phase is Phase.READY)
    assert [one.name for one in status.processes] == ["broker", "registry", "agent"]
    written = read_status(rig.folder)
    assert written == status
    assert written.is_up


def test_a_crash_is_restarted_with_growing_delays_until_a_stable_run(rig: _Rig) -> None:
    policy = RestartPolicy(first_s=1, max_s=3, stable_s=60)
    rig.run(rig.spec("agent", restart=policy))
    rig.poll_until(lambda status: status.phase is Phase.READY)
    delays = []
    for stable in (False, False, False, True):
        if stable:
            rig.clock.now += 60
        _kill(rig.supervisor.status().processes[0].process)
        rig.poll_until(lambda _: rig.states() == ["backoff"])
        begun = rig.clock.now
        while rig.states() == ["backoff"]:
            rig.clock.now += 0.5
            rig.supervisor.poll()
        delays.append(rig.clock.now - begun)
        rig.poll_until(lambda _: rig.states() == ["running"])
    assert delays == [1, 2, 3, 1]
    one = rig.supervisor.status().processes[0]
    assert (one.restarts, one.exit_code) == (4, -signal.SIGKILL)
    assert rig.supervisor.status().phase is Phase.READY


def test_a_process_that_shall_not_be_restarted_stays_down(rig: _Rig) -> None:
    rig.run(rig.spec("once", "pass", restart=RestartPolicy(never=True)))
    status = rig.poll_until(lambda status: status.processes[0].state is ProcessState.STOPPED)
    assert status.processes[0].exit_code == 0
    assert status.processes[0].pid is None
    assert status.processes[0].uptime_s() == 0


def test_an_end_before_readiness_fails_the_start_with_the_log(rig: _Rig) -> None:
    rig.run(rig.spec("broker", "raise SystemExit('no disk')", ready="tcp://127.0.0.1:1"), rig.spec("x", stage=3))
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    assert status.error is not None
    assert "broker ended with exit code 1 before it was ready" in status.error
    assert "no disk" in status.error
    assert rig.states()[1] == "waiting"


def test_silence_fails_the_start(rig: _Rig) -> None:
    rig.run(rig.spec("broker", ready="tcp://127.0.0.1:1", ready_timeout_s=9))
    rig.supervisor.poll()
    rig.clock.now += 9
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    assert status.error is not None
    assert "did not answer on tcp://127.0.0.1:1 in 9 s" in status.error


def test_a_program_that_is_missing_fails_the_start(rig: _Rig) -> None:
    rig.run(ProcessSpec("ghost", (str(rig.folder / "ghost"),), rig.folder / "log"))
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    assert status.error is not None
    assert "ghost cannot be started" in status.error


def test_stop_is_in_reverse_and_kills_at_the_deadline(rig: _Rig) -> None:
    note = rig.folder / "order"
    polite = (
        "import signal, pathlib, sys\n"
        f"def end(*_):\n    open({str(note)!r}, 'a').write('NAME '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True)\nwhile 1: signal.pause()"
    )
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile 1: signal.pause()"
    )
    rig.run(
        rig.spec("first", polite.replace("NAME", "first"), stage=0),
        rig.spec("second", polite.replace("NAME", "second"), stage=1),
        rig.spec("deaf", deaf, stage=1, stop_timeout_s=0.2),
    )
    rig.poll_until(
        lambda status: (
            status.phase is Phase.READY and all("up" in Path(one.log).read_text() for one in status.processes)
        )
    )
    processes = [one.process for one in rig.supervisor.status().processes]
    rig.supervisor.stop()
    assert note.read_text().split() == ["second", "first"]
    assert rig.states() == ["stopped"] * 3
    assert not any(is_alive(process) for process in processes if process is not None)
    written = read_status(rig.folder)
    assert written is not None
    assert written.phase is Phase.STOPPED


def test_names_are_unique_and_probes_known(rig: _Rig) -> None:
    rig.run()
    with pytest.raises(LocalStackError, match="not unique"):
        Supervisor([rig.spec("a"), rig.spec("a")], rig.folder)
    for probe in ("ftp://127.0.0.1:1", "http://192.0.2.1:80/", "tcp://127.0.0.1"):
        with pytest.raises(LocalStackError, match="is no probe"):
            Supervisor([rig.spec("a", ready=probe)], rig.folder)
