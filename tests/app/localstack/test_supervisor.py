from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiosv3.app.localstack import logs, statefile, supervisor
from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.logs import trim
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
        self.notes: list[str] = []
        self.supervisor: Supervisor

    def spec(self, name: str, code: str = FOREVER, **more: object) -> ProcessSpec:
        argv = (sys.executable, "-c", code)
        return ProcessSpec(name, argv, self.folder / "logs" / f"{name}.log", **more)  # type: ignore[arg-type]

    def run(self, *specs: ProcessSpec) -> Supervisor:
        self.supervisor = Supervisor(
            specs,
            self.folder,
            clock=self.clock,
            probe=lambda address: address in self.answering,
            note=self.notes.append,
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


def test_a_crash_loop_ends_and_says_of_whom_and_why(rig: _Rig) -> None:
    """It runs until its file is there; from then on it fails."""
    flag = rig.folder / "broken"
    code = f"import os, signal\nif os.path.exists({str(flag)!r}): raise ValueError('no [key]')\nsignal.pause()"
    rig.run(rig.spec("agent", code, restart=RestartPolicy(first_s=1, limit=3)), rig.spec("other"))
    rig.poll_until(lambda status: status.phase is Phase.READY)
    flag.touch()
    _kill(rig.supervisor.status().processes[0].process)

    def failed(status: StackStatus) -> bool:
        rig.clock.now += status.processes[0].state is ProcessState.BACKOFF
        return status.processes[0].state is ProcessState.FAILED

    status = rig.poll_until(failed)
    one = status.processes[0]
    assert (one.restarts, one.exit_code, one.reason, one.pid) == (2, 1, "ValueError: no [key]", None)
    assert rig.notes[0] == "agent was killed by SIGKILL; it is started again in 1 s"
    assert rig.notes[-1] == (
        "agent ended with exit code 1: ValueError: no [key]; that was 3 times in a row: it is not started again"
    )
    assert status.phase is Phase.READY
    rig.clock.now += 1_000
    rig.supervisor.poll()
    assert rig.states() == ["failed", "running"]
    assert read_status(rig.folder) == rig.supervisor.status()


def test_who_only_waits_for_another_is_started_again_for_ever(rig: _Rig) -> None:
    policy = RestartPolicy(first_s=1, limit=2, waiting=(4,), first_tries=3)
    rig.run(rig.spec("agent", FOREVER, restart=policy))
    rig.poll_until(lambda status: status.phase is Phase.READY)
    (child,) = rig.supervisor._children
    child.spec = rig.spec("agent", "raise SystemExit(4)", restart=policy)
    _kill(child.process)

    def often(status: StackStatus) -> bool:
        rig.clock.now += status.processes[0].state is ProcessState.BACKOFF
        return status.processes[0].restarts > 4

    assert rig.poll_until(often).processes[0].state is not ProcessState.FAILED


def test_before_it_was_ready_who_waits_has_a_few_tries(rig: _Rig) -> None:
    policy = RestartPolicy(first_s=1, waiting=(4,), first_tries=3)
    code = "print('aiosv3: no answer'); raise SystemExit(4)"
    rig.run(rig.spec("agent", code, restart=policy, ready="tcp://127.0.0.1:1"))

    def failed(status: StackStatus) -> bool:
        rig.clock.now += status.processes[0].state is ProcessState.BACKOFF
        return status.phase is Phase.FAILED

    status = rig.poll_until(failed)
    assert status.processes[0].restarts == 2
    assert status.error is not None
    assert status.error.startswith("agent ended with exit code 4 before it was ready: no answer (log: ")


def test_a_harmed_state_file_is_mended_and_a_full_disk_is_noted_once(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.run(rig.spec("agent"))
    rig.poll_until(lambda status: status.phase is Phase.READY)
    (rig.folder / "state.json").write_text("{")
    rig.supervisor.poll()
    assert read_status(rig.folder) == rig.supervisor.status()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(statefile, "write_status", full)
        (rig.folder / "state.json").unlink()
        for _ in range(3):
            rig.supervisor.poll()
    assert rig.notes == ["the state file cannot be written now: [Errno 28] No space left on device"]
    rig.supervisor.poll()
    assert read_status(rig.folder) == rig.supervisor.status()


def test_a_log_cannot_grow_for_ever(rig: _Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[Path] = []

    def trim_small(log: Path) -> bool:
        trimmed.append(log)
        return trim(log, 10)

    monkeypatch.setattr(supervisor, "trim", trim_small)
    rig.run(rig.spec("agent", "print('x' * 100, flush=True); import signal; signal.pause()"))
    rig.poll_until(lambda status: logs.older(Path(status.processes[0].log)).exists())
    assert set(trimmed) == {rig.folder / "logs" / "agent.log"}
    assert logs.size(trimmed[0]) == 0


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


def test_why_it_ended_is_not_taken_from_an_earlier_run(rig: _Rig) -> None:
    (rig.folder / "logs").mkdir()
    (rig.folder / "logs" / "agent.log").write_text("ValueError: of yesterday\n")
    rig.run(rig.spec("agent", "raise SystemExit(3)", ready="tcp://127.0.0.1:1"))
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    log = rig.folder / "logs" / "agent.log"
    assert status.error == f"agent ended with exit code 3 before it was ready (log: {log})"


def test_silence_fails_the_start(rig: _Rig) -> None:
    rig.run(rig.spec("broker", ready="tcp://127.0.0.1:1", ready_timeout_s=9))
    rig.supervisor.poll()
    rig.clock.now += 9
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    assert status.error is not None
    assert "did not answer on tcp://127.0.0.1:1 in 9 s" in status.error


def test_one_that_talks_has_its_time_from_its_last_word(rig: _Rig) -> None:
    rig.run(rig.spec("pool", ready="tcp://127.0.0.1:1", ready_timeout_s=9, talks=True))
    rig.supervisor.poll()
    log = rig.folder / "logs" / "pool.log"
    for shard in range(4):
        rig.clock.now += 8
        with log.open("a") as file:
            file.write(f"shard {shard}\n")
        rig.supervisor.poll()
        assert rig.supervisor.status().phase is Phase.STARTING
    rig.clock.now += 9
    status = rig.poll_until(lambda status: status.phase is Phase.FAILED)
    assert status.error is not None
    assert "did not answer on tcp://127.0.0.1:1 and said nothing in 9 s: shard 3" in status.error


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
