"""The stack of the demo: what ``aiosv3 up`` starts, and beside it what the demo adds, under one supervisor."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol

from aiosv3.app.commands.stack import process_specs
from aiosv3.app.localmodel import fetch_model
from aiosv3.app.localstack.errors import StateDamaged
from aiosv3.app.localstack.progress import Progress, Silent
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Addresses
from aiosv3.app.localstack.stack import Stack as Supervised
from aiosv3.app.localstack.status import StackStatus, read_status
from aiosv3.app.settings import PoolSettings, Settings
from aiosv3.schemas.errors import AiosError

PROJECT_FILE: Final = "aiosv3.toml"
STATE_FOLDER: Final = ".aiosv3"
NAIVE_LOOP: Final = "naive loop"
MODEL_PROCESS: Final = "model"
_KINDS: Final = {"agent": "agent worker", "router": "router", "pool": "model worker", "naive": NAIVE_LOOP}


class DemoFailed(AiosError):
    """The demo cannot go on; says what to do."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the stack. ``pid`` is None while it does not run."""

    name: str
    pid: int | None
    state: str
    restarts: int = 0

    @property
    def kind(self) -> str | None:
        """agent worker, router, model worker or naive loop; None for the broker, the registry and the like."""
        return _KINDS.get(re.split(r"[^a-z]", self.name.lower())[0])


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up."""

    bootstrap: str
    registry: str | None
    processes: tuple[Process, ...]


class Stack(Protocol):
    """What the demo needs of a stack. ``up`` and ``down`` raise ``LocalStackError``."""

    def up(self) -> Running:
        """Starts everything, waits until it is ready."""
        ...

    def processes(self) -> tuple[Process, ...]:
        """The processes as they are now; cheap, so that a kill falls when it is due."""
        ...

    def down(self) -> None:
        """Stops everything."""
        ...


class LocalStack:
    """The project in ``folder`` with ``pools``; ``beside`` gives further processes for the broker's address.

    ``fetches``: whether the local model's file is needed.
    """

    def __init__(
        self,
        settings: Settings,
        pools: Mapping[str, PoolSettings],
        beside: Callable[[Addresses], Sequence[ProcessSpec]],
        *,
        fetches: bool = False,
        progress: Progress | None = None,
    ) -> None:
        # Workers take the pools that they are given: those of a file or of the environment are behind the demo's own.
        self._settings = settings.model_copy(update={"pools": {}})
        self._pools = pools
        self._beside = beside
        self._fetches = fetches
        self._progress = progress or Silent()
        self._stack = Supervised(settings.state_folder, progress=self._progress)
        self._seen: tuple[Process, ...] = ()

    def up(self) -> Running:
        if self._settings.kafka.bootstrap:
            raise DemoFailed("the demo kills a broker of its own: take AIOSV3_KAFKA__BOOTSTRAP out of the environment")
        specs = process_specs(self._settings, self._pools, self._settings.folder / PROJECT_FILE)
        if self._fetches:
            fetch_model(self._progress)
        addresses = self._stack.prepare()
        status = self._stack.up([*specs, *self._beside(addresses)], detach=True)
        return Running(addresses.kafka, addresses.registry, processes_of(status))

    def processes(self) -> tuple[Process, ...]:
        try:
            status = read_status(self._settings.state_folder)
        except StateDamaged:
            return self._seen  # its supervisor mends it within a second
        self._seen = () if status is None else processes_of(status)
        return self._seen

    def down(self) -> None:
        self._stack.down()


def processes_of(status: StackStatus) -> tuple[Process, ...]:
    """The processes of a status, in start order."""
    return tuple(Process(one.name, one.pid, str(one.state), one.restarts) for one in status.processes)


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
        Supervised(state).down()
        shutil.rmtree(state)
    folder.mkdir(parents=True, exist_ok=True)
    project.write_text(packaged, encoding="utf-8")
    return state.resolve()
