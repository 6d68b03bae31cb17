"""The command as a shell sees it: one sentence on stderr, exit codes, no traces, no hangs."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from aiosv3.agents.client import NotFinished
from aiosv3.agents.errors import AgentDefinitionError, StepError
from aiosv3.app import cli
from aiosv3.app.cli import exit_code, main
from aiosv3.app.demo.stack import DemoFailed
from aiosv3.app.localstack.errors import PortTaken
from aiosv3.app.settings import SettingsError
from aiosv3.router.endpoints.weights import WeightsUnavailable
from aiosv3.router.vllm.errors import ServerFailed
from aiosv3.schemas.errors import AiosError, IncompatibleSchema, RegistryUnavailable
from aiosv3.schemas.topics import BadName
from aiosv3.streams.errors import BrokerUnavailable, PartitionMismatch
from aiosv3.streams.kafka import AuthenticationFailed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (BadName("x"), 2),
        (AgentDefinitionError("x"), 2),
        (PartitionMismatch("x"), 2),
        (IncompatibleSchema("s", "f", "r", "x"), 2),
        (NotFinished("x"), 3),
        (BrokerUnavailable("x"), 4),
        (AuthenticationFailed("x"), 4),
        (RegistryUnavailable("x"), 4),
        (PortTaken("Kafka", 1), 4),
        (WeightsUnavailable("x"), 4),
        (ServerFailed("x"), 4),
        (DemoFailed("x"), 1),
        (AiosError("x"), 1),
    ],
)
def test_exit_codes_are_as_documented(error: AiosError, code: int) -> None:
    assert exit_code(error) == code
    assert f" {code} " in (cli.__doc__ or "")


def test_step_errors_are_no_settings() -> None:
    assert not issubclass(StepError, cli._WRONG)


@pytest.fixture
def logging_kept() -> Iterator[None]:
    """Leaves the handlers as they were."""
    ours = logging.getLogger("aiosv3")
    before = list(ours.handlers)
    yield
    ours.handlers[:] = before


@pytest.mark.usefixtures("logging_kept")
def test_a_defect_ends_with_70_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise LookupError("nothing there")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 70
    said = capsys.readouterr().err
    assert said.startswith("aiosv3: unexpected LookupError: nothing there (this is a defect")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("logging_kept")
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 4, "aiosv3: the disk is full, at /x"),
        (OSError(errno.EBADF, "Bad file descriptor"), 70, "aiosv3: unexpected OSError"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_an_error_of_the_machine_is_told_from_a_defect(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    code: int,
    words: str,
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr("aiosv3.app.endings._let_go", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(words)


def test_help_names_every_verb_and_version_prints_it(aiosv3: Any) -> None:
    said = aiosv3("--help")
    assert said.code == 0
    for verb in ("up", "down", "status", "tail", "trace", "demo", "worker", "task"):
        assert f" {verb} " in said.out
    assert aiosv3("--version").out == f"aiosv3 {version('aiosv3')}\n"


def test_a_verb_that_there_is_not_ends_with_2(aiosv3: Any) -> None:
    assert aiosv3("fly").code == 2
    assert aiosv3("task", "send").code == 2


# -- as processes -----------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    ("toml", "verb", "code", "words"),
    [
        ("", ("worker", "router"), 2, "no broker: start the local stack with 'aiosv3 up'"),
        ('[pools.x]\nkind = "vllm"\nmodel = "m"', ("up",), 2, "pools.x: vllm needs an address"),
        ("agents = [", ("status",), 2, "is not TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence_on_stderr(
    tmp_path: Path, aiosv3_process: Any, toml: str, verb: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "aiosv3.toml").write_text(toml, encoding="utf-8")
    said = aiosv3_process(*verb, cwd=tmp_path)
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith("aiosv3: ")
    assert words in said.err
    assert said.err.count("\n") == 1


@pytest.mark.process
def test_a_reader_that_went_away_is_no_error_to_speak_of(tmp_path: Path) -> None:
    """As ``aiosv3 … | head -1`` is, once head has what it wants."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "aiosv3.app", "status", "--json"]
    done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.process
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full, so no full disk is tried here")
def test_output_to_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aiosv3.app", "status", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 4
    assert done.stderr.startswith(b"aiosv3: the disk is full")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.process
def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, aiosv3_process: Any) -> None:
    pool = '[pools.x]\nkind = "vllm"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"'
    (tmp_path / "aiosv3.toml").write_text(pool, encoding="utf-8")
    state = tmp_path / "aiosv3.toml" / "state"
    said = aiosv3_process("up", "-d", cwd=tmp_path, env={"AIOSV3_STATE": str(state)})
    assert said.code == 4
    *_, last = said.err.splitlines()
    assert last == (
        f"aiosv3: {state} cannot be used (Not a directory): make it writable for this user, or set AIOSV3_STATE to "
        "another folder"
    )


@pytest.mark.process
def test_a_broker_that_is_not_there_ends_with_4_in_ten_seconds(tmp_path: Path, aiosv3_process: Any) -> None:
    began = time.monotonic()
    (tmp_path / "aiosv3.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"', encoding="utf-8")
    said = aiosv3_process("task", "get", "a:0:b", cwd=tmp_path)
    took = time.monotonic() - began
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith("aiosv3: no Kafka broker answered at 127.0.0.1:1")
    assert said.err.count("\n") == 1
    # The start of Python itself depends on who else uses the machine.
    assert took < 10 + 5


@pytest.mark.kafka
@pytest.mark.process
def test_ctrl_c_ends_following_in_peace(idle: Any, kafka_topics: Any) -> None:
    topic = kafka_topics.create("notes", 1)
    producer = Producer({"bootstrap.servers": idle.bootstrap, "log_level": 0})
    producer.produce(topic, b'{"n": 1}')
    producer.flush(30)
    # A job in the background of a shell inherits an ignored SIGINT: set it as a terminal has it.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from aiosv3.app.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "tail", "notes", "--follow", "--json", "-p", str(idle.file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(line)["value"] == {"n": 1}
