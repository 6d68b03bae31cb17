"""The addresses of the local stack, for commands and clients alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiosv3.app import clients
from aiosv3.app.addresses import located
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.status import Phase, StackStatus, write_status
from aiosv3.app.settings import KafkaSettings, RegistrySettings, Settings

ADDRESSES = {"kafka": "127.0.0.1:29999", "registry": "http://127.0.0.1:28888"}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A project whose stack is up, as far as its state file tells; this process is the supervisor."""
    state = tmp_path / ".aiosv3"
    state.mkdir()
    write_status(state, StackStatus(Phase.READY, identify(os.getpid()), ADDRESSES, ()))
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    return tmp_path


def test_configured_addresses_are_left_alone(stack: Path) -> None:
    other = Settings(folder=stack, kafka=KafkaSettings(bootstrap="other:1"))
    assert located(other) == other
    same = Settings(folder=stack, kafka=KafkaSettings(bootstrap=ADDRESSES["kafka"]))
    assert located(same).registry.url == ADDRESSES["registry"], "the one that 'up' runs on this broker"
    registry = Settings(folder=stack, registry=RegistrySettings(url="http://other:2"))
    assert located(registry).registry.url == "http://other:2"
    assert located(registry).kafka.bootstrap == ADDRESSES["kafka"]


def test_a_stack_that_is_down_lends_nothing(tmp_path: Path) -> None:
    assert located(Settings(folder=tmp_path)).kafka.bootstrap == ""


async def test_a_client_finds_the_running_stack_too(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(Exception):
        """Carries the settings that a mesh would be opened with."""

    def open_mesh(settings: Settings, name: str) -> object:
        del name
        raise Opened(settings.kafka.bootstrap, settings.registry.url)

    monkeypatch.setattr(clients, "open_mesh", open_mesh)
    with pytest.raises(Opened) as opened:
        await clients.open_client(Settings(folder=stack)).__aenter__()
    assert opened.value.args == (ADDRESSES["kafka"], ADDRESSES["registry"])
