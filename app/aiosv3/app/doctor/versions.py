"""Which versions work together here."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

import confluent_kafka

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding

NAME = "versions"


async def check(_case: Case) -> Sequence[Finding]:
    """Ours, Python's, and those of the Kafka client and the library inside of it."""
    client, library = version("confluent-kafka"), confluent_kafka.libversion()[0]
    said = (
        f"aiosv3 {version('aiosv3')} on Python {platform.python_version()}, "
        f"confluent-kafka {client} with librdkafka {library}"
    )
    if _minor(client) != _minor(library):
        action = "install confluent-kafka from its wheel, which brings the librdkafka that it was tested with"
        return [Finding.warning(NAME, f"{said}: they are not of one release", action)]
    return [Finding.ok(NAME, said)]


def _minor(release: str) -> tuple[str, ...]:
    return tuple(release.split(".")[:2])
