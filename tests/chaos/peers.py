"""The same checker on somebody else's runtime: Faust with tasks side by side and a slow head, killed and started again.

It commits what is finished past what is not: the checker must find what is lost, or it could find nothing at all.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from tests.chaos.brokers import NotHere, Single
from tests.chaos.checker import Acts, Evidence, Lane, Place, Result, Start, Task, check
from tests.chaos.stage import Report
from topic_reader import TopicReader

from aiosv3.app.localstack.distribution import default_cache

FAUST: Final = "0.15.3"
_PROGRAM: Final = Path(__file__).parent / "peer" / "faust_program.py"
_INSTALL_S: Final = 600
_TASKS: Final = 60
_SLOW: Final = 7
"""Every seventh task takes long: it is still at work when those behind it are done."""
_LONG_S: Final = 20.0
_WAIT_S: Final = 120.0


def faust_python() -> str:
    """The interpreter of an environment with Faust, made once below the cache. Raises :class:`NotHere`."""
    home = default_cache() / "bench" / f"faust-{FAUST}"
    mark, python = home / ".installed", home / "bin" / "python"
    if not mark.exists():
        shutil.rmtree(home, ignore_errors=True)
        commands = [
            [sys.executable, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", f"faust-streaming=={FAUST}"],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
            if done.returncode:
                raise NotHere(f"Faust cannot be installed: {(done.stderr.strip() or 'no words').splitlines()[-1]}")
        mark.touch()
    return str(python)


def faust(seed: int, folder: Path) -> Report:
    """One run: tasks, kill -9 while slow ones are at work, and a new worker that does the rest."""
    python, broker = faust_python(), Single(folder)
    broker.start()
    try:
        return _faust(seed, folder, python, broker.plain)
    finally:
        broker.close()


def _faust(seed: int, folder: Path, python: str, bootstrap: str) -> Report:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic("in", 1), NewTopic("out", 1)]).values():
        future.result(30)
    reader, runs = TopicReader(bootstrap, folder / "none"), folder / "runs.log"
    command = [python, str(_PROGRAM), bootstrap, "in", "out", "8", str(runs)]
    quick = _TASKS - len(range(0, _TASKS, _SLOW))
    worker = _start(command, folder)
    try:
        _send(bootstrap)
        _wait(lambda: reader.count("out") >= quick // 2, "half of the quick tasks")
        _settled(runs)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = _start(command, folder)
        _quiet(lambda: reader.count("out"), _LONG_S * 1.5)
    finally:
        worker.kill()
        worker.wait()
    found = check(_evidence(reader, runs))
    return Report("faust", seed, 0, _TASKS, faults=1, violations=found, folder=str(folder), peer=True)


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "faust.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, "PYTHONPATH": ""})


def _send(bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(_TASKS):
        task = {"id": f"t{number}", "seconds": _LONG_S if number % _SLOW == 0 else 0.05}
        producer.produce("in", key=f"k{number % 5}".encode(), value=json.dumps(task).encode())
    producer.flush(30)


def _settled(runs: Path) -> None:
    """A moment later: what was done meanwhile is committed, as its interval of half a second says."""
    seen = time.monotonic()
    _wait(lambda: runs.exists() and time.monotonic() - seen > 3.0, "three seconds")


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen in {_WAIT_S:.0f} s")
        time.sleep(0.2)


def _quiet(count: Callable[[], int], seconds: float) -> None:
    """Until nothing more has come for so long, or all is there."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < seconds and last < _TASKS:
        time.sleep(0.5)
        if (now := count()) != last:
            last, since = now, time.monotonic()


def _evidence(reader: TopicReader, runs: Path) -> Evidence:
    tasks, results, starts = [], [], []
    for message in reader.partition("in", 0):
        task = json.loads(message.value() or b"{}")
        place, at = Place(0, message.offset() or 0), message.timestamp()[1]
        tasks.append(Task(task["id"], (message.key() or b"").decode(), place, at))
    for message in reader.partition("out", 0):
        task = json.loads(message.value() or b"{}")
        results.append(Result(task["id"], Place(0, message.offset() or 0), message.timestamp()[1], str(task)))
    for number, line in enumerate(runs.read_text(encoding="utf-8").splitlines()):
        began, _, name = line.split(" ", 2)
        starts.append(Start(name, Place(0, number), int(began)))
    return Evidence([Lane("faust", tasks, results, starts)], [Acts("handler", (), ())])
