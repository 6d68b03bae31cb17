"""``aiosv3 up``, ``down``, ``status``: what is started, what is said, and one whole life for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.commands import stack
from aiosv3.app.commands.stack import process_specs
from aiosv3.app.localstack.errors import LocalStackError, PortTaken
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.processes import ProcessId, identify, is_alive
from aiosv3.app.localstack.progress import Progress
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Borrowed
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.memorysettings import MemorySettings
from aiosv3.app.projects import find_pools
from aiosv3.app.settings import PoolSettings, Settings, SettingsError, UpSettings, load_settings

KEPT = {"phase", "bootstrap", "registry", "processes"}


def running(*names: str, phase: Phase = Phase.READY, error: str | None = None) -> StackStatus:
    me = identify(os.getpid())
    processes = tuple(
        ProcessStatus(name, ProcessState.RUNNING, me, 0, time.time() - 5, None, f"/logs/{name}.log") for name in names
    )
    return StackStatus(phase, me, {"kafka": "127.0.0.1:29999", "registry": "http://127.0.0.1:28888"}, processes, error)


class FakeStack:
    """Stands where the local stack stands; remembers what it was asked."""

    found: StackStatus | None = None
    failure: LocalStackError | None = None
    specs: Sequence[ProcessSpec] = ()
    ports: tuple[int, int] = (0, 0)
    borrowed = Borrowed()

    def __init__(
        self,
        folder: Path,
        *,
        kafka_port: int = 0,
        registry_port: int = 0,
        borrowed: Borrowed,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder
        FakeStack.ports = (kafka_port, registry_port)
        FakeStack.borrowed = borrowed

    def status(self) -> StackStatus | None:
        return FakeStack.found

    def up(
        self, processes: Sequence[ProcessSpec], *, detach: bool, on_ready: Callable[[StackStatus], None]
    ) -> StackStatus:
        FakeStack.specs = processes
        if FakeStack.failure is not None:
            raise FakeStack.failure
        ready = FakeStack.found or running("kafka", "registry", *(spec.name for spec in processes))
        if detach:
            return ready
        on_ready(ready)
        return running(phase=Phase.STOPPED)

    def down(self) -> bool:
        return FakeStack.found is not None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeStack]:
    for name, value in (("found", None), ("failure", None), ("specs", ()), ("ports", (0, 0))):
        monkeypatch.setattr(FakeStack, name, value)
    monkeypatch.setattr(stack, "Stack", FakeStack)

    async def answers(_settings: Settings) -> None:
        """Whatever is borrowed is there."""

    monkeypatch.setattr(stack, "check_borrowed", answers)
    return FakeStack


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "aiosv3.toml"
    path.write_text('[pools.small]\nkind = "vllm"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n', encoding="utf-8")
    return path


# -- specifications ---------------------------------------------------------------------------------------------------


def test_each_worker_is_a_process_of_its_own_with_its_own_port(project: Path) -> None:
    settings = load_settings(project).model_copy(update={"up": UpSettings(routers=2, models=3)})
    specs = process_specs(settings, settings.pools, project)
    assert [spec.name for spec in specs] == [
        *("router-1", "router-2", "desk-1"),
        *("pool-small-1", "pool-small-2", "pool-small-3"),
    ]
    ports = {spec.env["AIOSV3_METRICS__PORT"] for spec in specs}
    assert len(ports) == len(specs)
    for spec in specs:
        assert spec.ready == f"tcp://127.0.0.1:{spec.env['AIOSV3_METRICS__PORT']}"
        assert spec.argv[:4] == (sys.executable, "-m", "aiosv3.app", "worker")
        assert spec.argv[-2:] == ("--project", str(project.resolve()))


def test_a_worker_that_loads_weights_has_its_time_from_its_last_word(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiosv3.app.commands.stack.check_serving", lambda *_: None)
    own = '[pools.own]\nkind = "vllm"\nmodel = "meta-llama/Llama-3-70B"\nserve = true\n'
    project.write_text(project.read_text(encoding="utf-8") + own, encoding="utf-8")
    settings = load_settings(project)
    specs = {spec.name: spec for spec in process_specs(settings, find_pools(settings), project)}
    assert {name for name, spec in specs.items() if spec.talks} == {"pool-own-1"}
    assert (specs["pool-own-1"].restart.first_tries, specs["router-1"].restart.first_tries) == (1, 3)


def test_what_was_found_on_the_machine_is_found_once_for_all(tmp_path: Path) -> None:
    found = {"ollama": PoolSettings(kind="openai", base_url="http://127.0.0.1:11434/v1", model="m")}
    specs = process_specs(Settings(folder=tmp_path), found, None)
    for spec in specs:
        assert json.loads(spec.env["AIOSV3_POOLS"]) == {
            "ollama": {"kind": "openai", "base_url": "http://127.0.0.1:11434/v1", "model": "m"}
        }


def test_each_worker_has_a_name_of_its_own_that_stays(tmp_path: Path) -> None:
    """Under it a killed worker has its partitions back at once; another project on the broker has other names."""
    named = [
        [spec.env["AIOSV3_KAFKA__INSTANCE"] for spec in process_specs(Settings(folder=tmp_path / where), {}, None)]
        for where in ("one", "one", "other")
    ]
    assert named[0] == named[1]
    assert len({*named[0], *named[2]}) == len(named[0]) + len(named[2]) > 2


def test_memory_workers_start_where_memory_is_on(tmp_path: Path) -> None:
    wanted = UpSettings(memories=2)
    both = (Settings(folder=tmp_path, memory=MemorySettings(on=on), up=wanted) for on in (False, True))
    started = [{spec.name for spec in process_specs(settings, {}, None)} for settings in both]
    assert started[1] - started[0] == {"memory-1", "memory-2"}


def test_a_worker_takes_the_pools_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (spec, *_) = process_specs(Settings(folder=tmp_path), find_pools(Settings(), {}, []), None)
    monkeypatch.setenv("AIOSV3_POOLS", spec.env["AIOSV3_POOLS"])
    assert find_pools(Settings(), {"OPENAI_API_KEY": "k"}) == {"local": PoolSettings(kind="local")}


def test_no_key_gets_into_a_specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("AIOSV3_MESH__SECRET", "very-secret")
    settings = Settings(folder=tmp_path)
    specs = process_specs(settings, find_pools(settings), None)
    assert "very-secret" not in repr(specs)


def test_what_could_not_work_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="pool cloud needs a key: set OPENAI_API_KEY"):
        process_specs(Settings(folder=tmp_path), {"cloud": PoolSettings(kind="openai", model="m")}, None)
    with pytest.raises(SettingsError, match="cannot be imported"):
        process_specs(Settings(folder=tmp_path, agents=["no_such_module:f"]), {}, None)


# -- what is said -----------------------------------------------------------------------------------------------------


def test_up_says_what_it_starts_and_what_is_there(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    said = aiosv3("up", "--detach", "-p", str(project))
    assert said.code == 0
    assert [spec.name for spec in fake.specs] == ["router-1", "desk-1", "pool-small-1"]
    assert "No agents: list them in aiosv3.toml" in said.err
    assert "Pool small: m at http://127.0.0.1:9/v1, sees public data and below." in said.err
    assert "No pool may see internal data" in said.err
    assert "pool small is no use now: http://127.0.0.1:9/v1: Unreachable" in said.err
    assert f"Next: aiosv3 status -p {project}\n" in said.err
    assert "pool-small-1" in said.out
    assert "ready: kafka 127.0.0.1:29999, registry http://127.0.0.1:28888; logs in /logs" in said.out


def test_up_says_prices_that_the_project_did_not_set_and_those_that_nobody_knows(
    fake: type[FakeStack],
    project: Path,
    aiosv3: Any,
    desk_files: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    pools = "".join(f'[pools.{name}]\nkind = "openai"\nmodel = "{name}"\n' for name in ("gpt-6-luna", "nobodys"))
    gpu = project.read_text(encoding="utf-8") + "gpu_usd_per_hour = 2\n"
    project.write_text(gpu + pools, encoding="utf-8")
    said = aiosv3("up", "--detach", "-p", str(project))
    assert (said.code, bool(fake.specs)) == (0, True)
    assert "Pool gpt-6-luna costs 0.10/0.50 USD per million tokens in/out since 2026-09-22 (price table of" in said.err
    assert "Pool small costs 2 USD an hour by measured tokens a second" in said.err
    assert "Nobody knows what pool nobodys (nobodys at openai) costs: " in said.err
    desk_files(project.parent)
    project.write_text(f'agents = ["letters_desk:desk"]\n{pools}', encoding="utf-8")
    refused = aiosv3("up", "--detach", "-p", str(project))
    assert refused.code == 2
    assert "budget= of an agent is set, but nobody knows what pool nobodys" in refused.err


def test_up_in_json_prints_one_document_and_nothing_else(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    for arguments in (("--detach",), ()):
        said = aiosv3("up", "--json", *arguments, "-p", str(project))
        assert (said.code, said.err) == (0, "")
        assert set(json.loads(said.out)) == KEPT
    assert fake.specs


def test_up_in_the_foreground_says_when_it_is_over(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    said = aiosv3("up", "-p", str(project))
    assert said.code == 0
    assert said.err.endswith("Ctrl-C stops it.\nStopped.\n")
    assert fake.specs


def test_a_stack_that_runs_is_left_alone_and_what_it_lacks_is_said(
    fake: type[FakeStack], project: Path, aiosv3: Any
) -> None:
    fake.found = running("kafka", "registry", "router-1", "desk-1", "pool-small-1")
    said = aiosv3("up", "--detach", "-p", str(project))
    assert said.err.startswith("It is running already.\n")
    fake.found = running("kafka", "registry", "router-1")
    said = aiosv3("up", "--detach", "-p", str(project))
    assert "as the project was before: desk-1 is new; pool-small-1 is new. 'aiosv3 down' and 'aiosv3 up'" in said.err
    said = aiosv3("up", "--detach", "--bootstrap", "there:9092", "-p", str(project))
    assert said.code == 2
    assert "the stack that runs here has kafka 127.0.0.1:29999, not there:9092: 'aiosv3 down' first" in said.err


def test_a_broker_of_ones_own_gets_the_workers_only(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    said = aiosv3("up", "-d", "--bootstrap", "there:9092", "--registry", "http://there:8081", "-p", str(project))
    assert said.code == 0
    assert fake.borrowed == Borrowed("there:9092", "http://there:8081", schemas_topic="aios.schemas")
    assert "Starting the workers only: the broker is there:9092, the registry http://there:8081…" in said.err
    said = aiosv3("up", "-d", "--registry", "http://there:8081", "-p", str(project))
    assert "Starting Kafka, the registry is http://there:8081 and the workers on this machine…" in said.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", "Starting the workers and a schema registry: the broker is there:9092…"),
        ('properties = {"sasl.username" = "x"}', "The embedded registry cannot log in there, so schemas are kept in "),
    ],
)
def test_a_configured_broker_is_used_and_said(
    fake: type[FakeStack], project: Path, aiosv3: Any, more: str, words: str
) -> None:
    text = project.read_text(encoding="utf-8")
    project.write_text(f'{text}[kafka]\nbootstrap = "there:9092"\n{more}', encoding="utf-8")
    said = aiosv3("up", "-d", "-p", str(project))
    assert said.code == 0
    assert words in said.err
    assert fake.borrowed.kafka == "there:9092"
    assert fake.borrowed.registered == (more == "")


def test_what_is_borrowed_is_asked_before_anything_starts(project: Path, aiosv3: Any) -> None:
    said = aiosv3("up", "-d", "--registry", f"http://127.0.0.1:{free_port()}", "-p", str(project))
    assert said.code == 4
    assert "does not answer" in said.err
    assert "Starting" not in said.err
    assert not (project.parent / ".aiosv3" / "state.json").exists()


def test_ctrl_c_before_it_is_ready_ends_with_130(
    fake: type[FakeStack], project: Path, aiosv3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "up", lambda *_, **__: running(phase=Phase.STOPPED))
    assert aiosv3("up", "-p", str(project)).code == 130


def test_ports_can_be_chosen(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    project.write_text("[up]\nkafka_port = 29092\nregistry_port = 28081\n[pools.t]\nkind = 'local'", encoding="utf-8")
    fake.failure = PortTaken("Kafka", 29092)
    said = aiosv3("up", "-p", str(project))
    assert said.code == 4
    assert fake.ports == (29092, 28081)
    assert "port 29092 on 127.0.0.1 is taken" in said.err
    assert said.err.endswith("([up] kafka_port, registry_port in aiosv3.toml)")


def test_a_start_that_fails_says_why(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    fake.failure = LocalStackError("router-1 ended with exit code 2 before it was ready: counts [differ] (log: /l)")
    said = aiosv3("up", "--detach", "-p", str(project))
    assert said.code == 4
    assert said.err.endswith("router-1 ended with exit code 2 before it was ready: counts [differ] (log: /l)")


def test_status_says_down_with_3(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    said = aiosv3("status", "-p", str(project))
    assert (said.code, said.out) == (3, "")
    assert "The stack is down: 'aiosv3 up' starts it." in said.err
    said = aiosv3("status", "--json", "-p", str(project))
    assert said.code == 3
    down: dict[str, Any] = {"phase": "stopped", "bootstrap": None, "registry": None, "processes": [], "agents": []}
    assert json.loads(said.out) == down
    fake.found = running(phase=Phase.FAILED, error="kafka ended: no [memory]")
    assert "The last start failed: kafka ended: no [memory]\n" in aiosv3("status", "-p", str(project)).err
    fake.found = running("kafka", phase=Phase.LOST)
    said = aiosv3("status", "-p", str(project))
    assert said.code == 3
    assert "The stack has lost its supervisor; kafka still run" in said.err


def test_status_and_down_of_a_running_stack(fake: type[FakeStack], project: Path, aiosv3: Any) -> None:
    fake.found = running("kafka", "registry")
    said = aiosv3("status", "--json", "-p", str(project))
    assert (said.code, set(json.loads(said.out))) == (0, KEPT | {"agents"})
    assert "kafka" in aiosv3("status", "-p", str(project)).out
    assert "Stopped." in aiosv3("down", "-p", str(project)).err
    assert json.loads(aiosv3("down", "--json", "-p", str(project)).out) == {"stopped": True}
    fake.found = None
    assert "Nothing was running." in aiosv3("down", "-p", str(project)).err


# -- for real ---------------------------------------------------------------------------------------------------------


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    """The first line of its output, which comes once all is ready."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        return process.stdout.readline()
    finally:
        timer.cancel()


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.usefixtures("kafka_distribution")
def test_a_task_sent_once_up_says_ready_works_and_ctrl_c_stops_all(
    tmp_path: Path, model_port: int, desk_files: Callable[[Path], None], aiosv3: Any
) -> None:
    desk_files(tmp_path)
    (tmp_path / "aiosv3.toml").write_text(
        'agents = ["letters_desk:desk"]\n[kafka]\npartitions = 2\n[pools.small]\nkind = "openai"\nmodel = "tiny"\n'
        f'clearance = "restricted"\nbase_url = "http://127.0.0.1:{model_port}/v1"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "aiosv3.app", "up", "--json", "--project", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = _first_line(process, 100)
        assert line, process.communicate(timeout=30)[1]
        started = json.loads(line)
        sent = aiosv3("task", "send", "desk", "--json", '{"text": "ask"}', "-p", str(tmp_path))
        got = aiosv3("task", "get", sent.out.strip(), "--wait", "60", "-p", str(tmp_path))
        found = [identify(one["pid"]) for one in started["processes"]]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert (sent.code, got.code, json.loads(got.out)) == (0, 0, {"text": "an answer"})
    assert started["phase"] == "ready"
    assert {one["state"] for one in started["processes"]} == {"running"}
    left = [one for one in found if isinstance(one, ProcessId) and is_alive(one)]
    assert (len(found), left) == (6, [])
    assert aiosv3("status", "-p", str(tmp_path)).code == 3
