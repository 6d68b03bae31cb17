"""What changed in a project since its stack was started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from aiosv3.app.changes import changes, remember
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.settings import KafkaSettings, Settings, UpSettings


def running(*names: str) -> StackStatus:
    processes = tuple(ProcessStatus(name, ProcessState.RUNNING, None, 0, time.time(), None, "/l") for name in names)
    return StackStatus(Phase.READY, None, {}, processes)


def specs(*names: str) -> list[ProcessSpec]:
    return [ProcessSpec(name, ("/x",), Path("/l")) for name in names]


def test_nothing_changed(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    remember(settings)
    found = running("kafka", "registry", "router-1", "agent-a-1")
    assert changes(found, settings, specs("router-1", "agent-a-1")) == []
    borrowed = settings.model_copy(update={"kafka": KafkaSettings(bootstrap="there:1")})
    assert changes(found, borrowed, specs("router-1", "agent-a-1")) == [], "addresses are compared elsewhere"


def test_processes_settings_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(folder=tmp_path, agents=["some_agents:a"])
    found = running("router-1", "agent-a-1")
    assert changes(found, settings, specs("router-1", "agent-b-1")) == ["agent-b-1 is new", "agent-a-1 is gone"]
    remember(settings)
    other = settings.model_copy(update={"up": UpSettings(kafka_port=1)})
    assert changes(found, other, specs("router-1", "agent-a-1")) == ["the settings are others"]

    module = type(sys)("some_agents")
    source = tmp_path / "some_agents.py"
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "some_agents", module)
    assert changes(found, settings, specs("router-1", "agent-a-1")) == []
    source.write_text("")
    os.utime(source, (time.time() + 10, time.time() + 10))
    assert changes(found, settings, specs("router-1", "agent-a-1")) == ["some_agents.py was edited"]
