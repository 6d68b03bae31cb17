"""Gateways and meshes of others, to be measured in the same run: each is installed once, in a folder of its own.

The folders are below ``$XDG_CACHE_HOME/aiosv3/bench`` (else ``~/.cache``). What cannot be had is left out, with a line
that says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from router_calls import HERE, Way, python, running

from aiosv3.app.localstack.ports import free_port

INSTALL_S = 900
START_S = 90
KEY = "sk-bench-" + "0" * 16
LITELLM = """
model_list:
  - model_name: slow
    litellm_params: {{model: openai/slow, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""


class NotHere(Exception):
    """A peer that cannot be had on this machine, in words."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``install``: the commands that fill ``folder`` with it. ``way``: starts it, given bootstrap and endpoint port."""

    name: str
    version: str
    needs: str
    install: Callable[[Path], Sequence[Sequence[str]]]
    way: Callable[[Path, str, int], AbstractContextManager[Way]]

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        return cache() / f"{self.name.lower()}-{self.version}"

    def ready(self) -> Path:
        """Its folder, installed. Raises :class:`NotHere`."""
        mark = self.folder / ".installed"
        if mark.exists():
            return self.folder
        if shutil.which(self.needs) is None:
            raise NotHere(f"there is no '{self.needs}' on this machine")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        print(f"installing {self.name} {self.version} into {self.folder}", file=sys.stderr, flush=True)
        for command in self.install(self.folder):
            _run(command, self.folder)
        mark.touch()
        return self.folder


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHere(f"it could not be installed: {error}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason was given"]
        raise NotHere(f"it could not be installed: {words[-1][:300]}")


def cache() -> Path:
    """The folder of all peers."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "aiosv3" / "bench"


def by_pip(*packages: str) -> Callable[[Path], Sequence[Sequence[str]]]:
    """An environment with these packages."""

    def commands(folder: Path) -> Sequence[Sequence[str]]:
        pip = str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"
        return [[sys.executable, "-m", "venv", str(folder)], [*pip, *packages]]

    return commands


def by_npm(package: str) -> Callable[[Path], Sequence[Sequence[str]]]:
    """A folder with this package."""
    return lambda folder: [["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), package]]


def _answers(url: str, process: subprocess.Popen[str], folder: Path) -> None:
    """Waits for an HTTP server. Raises :class:`NotHere` with the end of what it said."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    said = "".join(log.read_text(encoding="utf-8", errors="replace")[-400:] for log in folder.glob("*.log"))
    raise NotHere(f"it did not answer in {START_S} s: {said}")


def _says(words: str, log: Path, process: subprocess.Popen[str]) -> None:
    """Waits for a line in a log. Raises :class:`NotHere`."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if words in log.read_text(encoding="utf-8", errors="replace"):
            return
        time.sleep(0.2)
    raise NotHere(f"it was not ready in {START_S} s: {log.read_text(encoding='utf-8', errors='replace')[-400:]}")


@contextmanager
def served(command: Sequence[str], name: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A server with its log in a folder that goes with it."""
    with TemporaryDirectory(prefix="aiosv3-bench-") as text:
        folder = Path(text)
        with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
            options = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": folder}
            with running(command, env={**os.environ, **environment}, **options) as process:
                yield process, folder


@contextmanager
def litellm(folder: Path, _bootstrap: str, port: int) -> Iterator[Way]:
    """One process of its proxy, with its key checked and nothing else switched on."""
    own = free_port()
    config = folder / "config.yaml"
    config.write_text(LITELLM.format(port=port, key=KEY), encoding="utf-8")
    command = [str(folder / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(own)]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with served(command, "litellm", **quiet) as (process, logs):
        _answers(f"http://127.0.0.1:{own}/health/liveliness", process, logs)
        url = f"http://127.0.0.1:{own}/v1/chat/completions"
        callers = python("callers.py", "http", url, f"authorization=Bearer {KEY}")
        yield Way("LiteLLM", callers, {"gateway": process.pid}, logs)


@contextmanager
def portkey(folder: Path, _bootstrap: str, port: int) -> Iterator[Way]:
    """Its gateway on Node.js."""
    own = free_port()
    script = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    with served(["node", str(script), "--headless", f"--port={own}"], "portkey") as (process, logs):
        _answers(f"http://127.0.0.1:{own}/", process, logs)
        headers = ("authorization=Bearer none", "x-portkey-provider=openai")
        host = f"x-portkey-custom-host=http://127.0.0.1:{port}/v1"
        callers = python("callers.py", "http", f"http://127.0.0.1:{own}/v1/chat/completions", *headers, host)
        yield Way("Portkey", callers, {"gateway": process.pid}, logs)


@contextmanager
def calfkit(folder: Path, bootstrap: str, port: int) -> Iterator[Way]:
    """An agent of it over the same broker, and callers in its own environment."""
    script = [str(folder / "bin" / "python"), "-W", "ignore", str(HERE / "peer_calfkit.py")]
    name = f"bench-{uuid.uuid4().hex[:8]}"
    command = [*script, "worker", bootstrap, name, f"http://127.0.0.1:{port}/v1"]
    with served(command, "calfkit") as (process, logs):
        _says("started successfully", logs / "calfkit.log", process)
        yield Way("Calfkit", [*script, "callers", bootstrap, name], {"worker": process.pid}, logs)


PEERS = (
    # The newest release asks for a package of its proxy that not every index has.
    Peer("LiteLLM", "1.108.7", "python3", by_pip("litellm[proxy]==1.108.7"), litellm),
    Peer("Portkey", "1.15.2", "npm", by_npm("@portkey-ai/gateway@1.15.2"), portkey),
    Peer("Calfkit", "0.13.0", "python3", by_pip("calfkit==0.13.0", "faststream==0.7.2"), calfkit),
)
