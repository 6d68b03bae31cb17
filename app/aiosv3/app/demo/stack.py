"""The stack of the demo, started and asked through the command line, as anybody would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol

from aiosv3.schemas.errors import AiosError

PROJECT_FILE: Final = "aiosv3.toml"
STATE_FOLDER: Final = ".aiosv3"
_UP_TIMEOUT_S: Final = 900.0
_ASK_TIMEOUT_S: Final = 60.0
_SHOWN: Final = 800
_KINDS: Final = {"agent": "agent worker", "router": "router", "pool": "model worker"}


class DemoFailed(AiosError):
    """The demo cannot go on; says what to do."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the stack. ``pid`` is None while it does not run."""

    name: str
    pid: int | None
    state: str

    @property
    def kind(self) -> str | None:
        """agent worker, router or model worker; None for the broker, the registry and the like."""
        return _KINDS.get(re.split(r"[^a-z]", self.name.lower())[0])


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up."""

    bootstrap: str
    registry: str | None
    processes: tuple[Process, ...]


class Stack(Protocol):
    """What the demo needs of a stack. Each raises :class:`DemoFailed`."""

    def up(self) -> Running:
        """Starts everything, waits until it is ready."""
        ...

    def processes(self) -> tuple[Process, ...]:
        """The processes as they are now."""
        ...

    def down(self) -> None:
        """Stops everything."""
        ...


class CommandLineStack:
    """``aiosv3 up``, ``status`` and ``down`` for the project file in ``folder``."""

    def __init__(self, folder: Path, command: Sequence[str] = (sys.executable, "-m", "aiosv3.app")) -> None:
        self._command = tuple(command)
        self._project = folder.resolve() / PROJECT_FILE

    def up(self) -> Running:
        return running_of(self._json(_UP_TIMEOUT_S, "up", "--detach", "--json"))

    def processes(self) -> tuple[Process, ...]:
        return running_of(self._json(_ASK_TIMEOUT_S, "status", "--json")).processes

    def down(self) -> None:
        self._run(_ASK_TIMEOUT_S * 2, "down", "--json")

    def _json(self, timeout_s: float, *verb: str) -> Any:
        output = self._run(timeout_s, *verb)
        try:
            return json.loads(output)
        except ValueError:
            raise DemoFailed(f"'aiosv3 {' '.join(verb)}' printed no JSON: {output[:_SHOWN]}") from None

    def _run(self, timeout_s: float, *verb: str) -> str:
        command = [*self._command, *verb, "--project", str(self._project)]
        try:
            done = subprocess.run(  # noqa: S603 -- our own command line, no shell
                command, stdout=subprocess.PIPE, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"'aiosv3 {' '.join(verb)}' was not done after {timeout_s:g} s") from None
        if done.returncode != 0:
            logs = self._project.parent / STATE_FOLDER / "logs"
            raise DemoFailed(f"'aiosv3 {' '.join(verb)}' ended with {done.returncode}; the logs are in {logs}")
        return done.stdout


def running_of(found: Any) -> Running:
    """What ``up --json`` and ``status --json`` print."""
    try:
        processes = tuple(Process(one["name"], one["pid"], one["state"]) for one in found["processes"])
        return Running(str(found["bootstrap"]), found.get("registry"), processes)
    except (KeyError, TypeError):
        raise DemoFailed(f"this is not how a stack is described: {str(found)[:_SHOWN]}") from None


def prepare(folder: Path) -> Path:
    """Puts the demo's project file into ``folder``, without the state of an earlier run. Returns the state folder.

    Raises :class:`DemoFailed` where another project lives there: its state is not ours to delete.
    """
    packaged = (files("aiosv3.app.demo") / "project.toml").read_text(encoding="utf-8")
    project = folder / PROJECT_FILE
    state = folder / STATE_FOLDER
    first = packaged.splitlines()[0]
    if project.exists() and not project.read_text(encoding="utf-8").startswith(first):
        raise DemoFailed(f"{folder} holds another project: give the demo a folder of its own with --folder")
    if state.exists():
        if not project.exists():
            raise DemoFailed(f"{state} is not the demo's: give it a folder of its own with --folder")
        CommandLineStack(folder).down()
        shutil.rmtree(state)
    folder.mkdir(parents=True, exist_ok=True)
    project.write_text(packaged, encoding="utf-8")
    return state.resolve()
