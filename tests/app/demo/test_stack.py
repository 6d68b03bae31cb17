"""The stack of the demo: whose processes it starts, and how it looks at them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.demo import stack
from aiosv3.app.demo.stack import DemoFailed, LocalStack, Process, Running, prepare, processes_of
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Addresses
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus, write_status
from aiosv3.app.settings import PoolSettings, Settings, load_settings

ME = identify(os.getpid())
ONE = ProcessStatus("router-1", ProcessState.RUNNING, ME, 2, 0.0, None, "router-1.log")
STATUS = StackStatus(Phase.READY, ME, {}, (ONE, replace(ONE, name="kafka", process=None, state=ProcessState.BACKOFF)))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    prepare(tmp_path / "demo")
    return load_settings(tmp_path / "demo" / "aiosv3.toml")


class Supervised:
    """Remembers what it was given."""

    def __init__(self, folder: Path, **_: Any) -> None:
        self.folder = folder

    def prepare(self) -> Addresses:
        return Addresses("127.0.0.1:9", "http://127.0.0.1:8")

    def up(self, specs: Sequence[ProcessSpec], *, detach: bool) -> StackStatus:
        Supervised.specs = list(specs)
        assert detach
        return STATUS

    specs: list[ProcessSpec]


def beside(addresses: Addresses) -> list[ProcessSpec]:
    return [ProcessSpec("extra", (addresses.kafka,), Path("extra.log"))]


def test_the_projects_processes_with_the_pools_that_are_given(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment or a file names pools: the demo's own stand before them."""
    monkeypatch.setattr(stack, "Supervised", Supervised)
    mine = PoolSettings(kind="openai", model="mine", base_url="http://127.0.0.1:1/v1")
    theirs = settings.model_copy(update={"pools": {"theirs": mine}})
    running = LocalStack(theirs, {"mine": mine}, beside).up()
    assert running == Running("127.0.0.1:9", "http://127.0.0.1:8", processes_of(STATUS))
    specs = {spec.name: spec for spec in Supervised.specs}
    assert {"router-1", "pool-mine-1", "agent-licences-1", "agent-licences-2", "extra"} <= set(specs)
    assert specs["extra"].argv == ("127.0.0.1:9",)
    assert all("mine" in specs[name].env["AIOSV3_POOLS"] for name in ("router-1", "pool-mine-1"))


def test_a_local_model_is_fetched_first(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr(stack, "Supervised", Supervised)
    monkeypatch.setattr(stack, "fetch_model", fetched.append)
    pools = {"mine": PoolSettings(kind="openai", model="mine", base_url="http://127.0.0.1:1/v1")}
    LocalStack(settings, pools, beside).up()
    assert fetched == []
    LocalStack(settings, pools, beside, fetches=True).up()
    assert len(fetched) == 1


def test_another_broker_is_not_the_demos_to_kill(settings: Settings) -> None:
    kafka = settings.kafka.model_copy(update={"bootstrap": "127.0.0.1:9092"})
    with pytest.raises(DemoFailed, match="AIOSV3_KAFKA__BOOTSTRAP"):
        LocalStack(settings.model_copy(update={"kafka": kafka}), {}, beside).up()


def test_processes_as_they_are_now(settings: Settings) -> None:
    local = LocalStack(settings, {}, beside)
    assert local.processes() == ()
    write_status(settings.state_folder, STATUS)
    seen = local.processes()
    assert seen == (Process("router-1", os.getpid(), "running", 2), Process("kafka", None, "backoff", 2))
    (settings.state_folder / "state.json").write_text("{", encoding="utf-8")
    assert local.processes() == seen, "a status that is damaged is mended soon; until then the last one serves"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("agent-licences-1", "agent worker"),
        ("router-1", "router"),
        ("pool-local-1", "model worker"),
        ("naive-2", "naive loop"),
        ("kafka", None),
        ("registry", None),
        ("model", None),
        ("desk-1", None),
    ],
)
def test_kinds(name: str, kind: str | None) -> None:
    assert Process(name, 1, "running").kind == kind


def test_a_folder_is_prepared_and_emptied_again(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    state = prepare(folder)
    assert state == (folder / ".aiosv3").resolve()
    assert "aiosv3.app.demo.licences:licences" in (folder / "aiosv3.toml").read_text(encoding="utf-8")
    state.mkdir()
    (state / "old").touch()
    prepare(folder)
    assert not state.exists()


def test_the_state_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "aiosv3.toml").write_text('agents = ["mine:mine"]\n', encoding="utf-8")
    with pytest.raises(DemoFailed, match="another project"):
        prepare(tmp_path)
    other = tmp_path / "other"
    (other / ".aiosv3").mkdir(parents=True)
    with pytest.raises(DemoFailed, match="is not the demo's"):
        prepare(other)
    assert (other / ".aiosv3").is_dir()
