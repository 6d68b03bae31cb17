"""The servers that some of the peers need: Restate's, Temporal's development server, and Postgres."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beside.places import Place, Running, until
from peers import NotHere

from aiosv3.app.localstack.ports import free_port

START_S = 60.0


def answers(url: str) -> bool:
    """Whether something answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def told(url: str, body: Any) -> None:
    """JSON to an address of this machine."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=20).close()


@contextmanager
def _server(name: str, command: list[str], environment: Mapping[str, str], folder: Path, url: str) -> Iterator[Running]:
    """A server that answers at ``url``. Raises :class:`NotHere`."""
    server = Running(name, command, environment, folder)
    try:
        server.start(ready="")
        if not until(lambda: answers(url), START_S, 0.1):
            raise NotHere(f"its server does not answer: {server.said()}")
        yield server
    finally:
        server.kill()


@contextmanager
def restate(place: Place, folder: Path) -> Iterator[tuple[Running, str, str]]:
    """The server, its ingress and its admin address."""
    place.interpreter()
    ingress, admin, node = (f"127.0.0.1:{free_port()}" for _ in range(3))
    settings = {
        "RESTATE_BASE_DIR": str(folder / "restate-data"),
        "RESTATE_INGRESS__BIND_ADDRESS": ingress,
        "RESTATE_ADMIN__BIND_ADDRESS": admin,
        "RESTATE_BIND_ADDRESS": node,
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LISTEN_MODE": "tcp",
    }
    binary = place.home / "node_modules" / ".bin" / "restate-server"
    with _server("restate-server", [str(binary)], settings, folder, f"http://{admin}/health") as server:
        if not until(lambda: answers(f"http://{ingress}/restate/health"), START_S, 0.1):
            raise NotHere(f"its ingress does not answer: {server.said()}")
        yield server, f"http://{ingress}", f"http://{admin}"


@contextmanager
def temporal(place: Place, folder: Path) -> Iterator[tuple[Running, str]]:
    """The development server, which keeps what happened in a file, and its address."""
    place.interpreter()
    port, http = free_port(), free_port()
    command = [str(place.home / "bin" / "temporal"), "server", "start-dev", "--headless", "--log-level", "error"]
    command += ["--port", str(port), "--http-port", str(http), "--metrics-port", str(free_port())]
    command += ["--db-filename", str(folder / "temporal.db")]
    url = f"http://127.0.0.1:{http}/api/v1/namespaces/default"
    with _server("temporal-server", command, {}, folder, url) as server:
        until(lambda: _status(url) == 200, START_S, 0.2)
        yield server, f"127.0.0.1:{port}"


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _postgres_program(name: str) -> str:
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name) or next((str(each / name) for each in places if (each / name).exists()), None)
    if found is None:
        raise NotHere(f"there is no '{name}' of Postgres on this machine")
    return found


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[Running, str]]:
    """A server of its own with defaults, and the address of its database. Raises :class:`NotHere`."""
    initdb, program = _postgres_program("initdb"), _postgres_program("postgres")
    data, port = folder / "postgres", free_port()
    data.mkdir()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        other = pwd.getpwnam("nobody")
        user = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        os.chown(data, other.pw_uid, other.pw_gid)
        for each in (folder, *folder.parents):
            if not each.stat().st_mode & 0o001:
                each.chmod(each.stat().st_mode | 0o001)
    made = [initdb, "-D", str(data), "-U", "bench", "--auth=trust", "--encoding=UTF8"]
    done = subprocess.run(made, capture_output=True, text=True, check=False, cwd="/", **user)
    if done.returncode:
        raise NotHere(f"Postgres could not be set up: {done.stderr.strip()[-300:]}")
    command = [program, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data)]
    server = Running("postgres", command, {}, folder, user)
    try:
        server.start(ready="")
        if not until(lambda: (data / "postmaster.pid").exists() and "ready to accept" in server.said(), START_S, 0.1):
            raise NotHere(f"Postgres does not answer: {server.said()}")
        yield server, f"postgresql://bench@127.0.0.1:{port}/postgres"
    finally:
        server.kill()
