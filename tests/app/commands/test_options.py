"""What the verbs share: the addresses of the local stack, JSON on stdout, quiet clients."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiosv3.app.commands.options import echo_json, listen_to_clients, settings_of
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.status import Phase, StackStatus, write_status

ADDRESSES = {"kafka": "127.0.0.1:29999", "registry": "http://127.0.0.1:28888"}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A project whose stack is up, as far as its state file tells; this process is the supervisor."""
    state = tmp_path / ".aiosv3"
    state.mkdir()
    write_status(state, StackStatus(Phase.READY, identify(os.getpid()), ADDRESSES, ()))
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    return tmp_path


def test_a_running_stack_lends_its_addresses(stack: Path) -> None:
    settings = settings_of(stack)
    assert (settings.kafka.bootstrap, settings.registry.url) == (ADDRESSES["kafka"], ADDRESSES["registry"])


def test_json_is_one_line_and_keeps_letters(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json({"a": "ä", "path": Path("p")})
    assert capsys.readouterr().out == '{"a": "ä", "path": "p"}\n'


@pytest.fixture
def handlers() -> Iterator[None]:
    """Leaves logging as it was."""
    ours = logging.getLogger("aiosv3")
    before = list(ours.handlers)
    yield
    ours.handlers[:] = before


@pytest.mark.usefixtures("handlers")
def test_clients_are_not_heard_unless_asked_for() -> None:
    listen_to_clients(verbose=False)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("aiosv3").handlers)
