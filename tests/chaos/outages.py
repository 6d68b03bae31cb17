"""A schema registry that comes and goes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Final

from tests.chaos.stage import Stage

from aiosv3.app.localstack.ports import answers, free_port

_READY_S: Final = 60.0
_ABSENT_S: Final = 10.0


def prepare_registry(stage: Stage) -> None:
    """The project names a registry; nobody answers there until the workers have been up for a while."""
    port = free_port()
    with stage.workers.project.open("a", encoding="utf-8") as file:
        file.write(f'\n[registry]\nurl = "http://127.0.0.1:{port}"\n')
    stage.kept["registry"] = registry = Registry(stage, port)
    stage.closing.append(registry.kill)
    threading.Timer(_ABSENT_S, registry.start).start()


class Registry:
    """The embedded one, as a process."""

    def __init__(self, stage: Stage, port: int) -> None:
        self._port = port
        self._stage = stage
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "aiosv3.app.localstack.registry", "--bootstrap", self._stage.plain]
        with (self._stage.folder / "registry.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--port", str(self._port)], stdout=log, stderr=log)
        deadline = time.monotonic() + _READY_S
        while not answers(self._port) and time.monotonic() < deadline:
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
