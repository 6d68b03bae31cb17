"""One task event for each installed Python distribution: its licence text, as JSON with CloudEvents headers.

A plain script on confluent-kafka. It knows a topic and the names of standard headers, and nothing of who works on
the events. The licence that a distribution *declares* is not sent.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Producer

LONGEST_TEXT = 400_000
"""Characters; a broker takes a megabyte by default, and JSON escapes make it more."""
_NAMES = ("licen", "copying", "copyright", "notice", "unlicense", "third-party", "mit-license", "apache-license")
_CODE = (".py", ".pyc", ".pyi", ".so")


class Event(NamedTuple):
    """A distribution as it is sent. ``local``: it was installed from a folder of this machine."""

    distribution: str
    version: str
    text: str
    local: bool


def installed() -> list[metadata.Distribution]:
    """The distributions that this interpreter can import, each name once (the first on the path), sorted."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(name.lower().replace("_", "-"), distribution)
    return [found[name] for name in sorted(found)]


def is_local(distribution: metadata.Distribution) -> bool:
    """Whether PEP 610's ``direct_url.json`` names a place in the file system (editable installs do, too)."""
    origin = distribution.read_text("direct_url.json")
    return origin is not None and str(json.loads(origin).get("url", "")).startswith("file:")


def licence_text(distribution: metadata.Distribution) -> str:
    """Its licence files as one text, the uppermost file first; empty when it ships none."""
    files = sorted(_licence_files(distribution), key=lambda path: (len(path.parts), str(path)))
    texts = []
    for path in files:
        try:
            texts.append(path.locate().read_text(encoding="utf-8", errors="replace").strip())
        except OSError as error:
            sys.stderr.write(f"{distribution.metadata['Name']}: {path} cannot be read: {error}\n")
    return "\n\n".join(texts)[:LONGEST_TEXT]


def _licence_files(distribution: metadata.Distribution) -> Iterator[Any]:
    for path in distribution.files or ():
        name = PurePosixPath(path).name.lower()
        inside = path.parts[0].endswith((".dist-info", ".egg-info"))
        if inside and name.startswith(_NAMES) and not name.endswith(_CODE):
            yield path


def chosen(limit: int | None = None) -> list[metadata.Distribution]:
    """The distributions that are sent. ``limit``: only that many, spread over the alphabet."""
    found = installed()
    if limit is None or limit >= len(found):
        return found
    return [found[place * len(found) // limit] for place in range(limit)]


def events(limit: int | None = None) -> Iterator[Event]:
    """What is sent, read from the environment as it goes."""
    for distribution in chosen(limit):
        name, version = distribution.metadata["Name"], distribution.version
        yield Event(name, version, licence_text(distribution), is_local(distribution))


def headers(event: Event, task_id: str) -> list[tuple[str, str | bytes | None]]:
    """CloudEvents in binary mode, with the data's class as an extension."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", task_id.encode()),
        ("ce_source", b"/licences/produce"),
        ("ce_type", b"org.example.licences.text"),
        ("ce_time", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()),
        ("ce_dataclassification", b"confidential" if event.local else b"public"),
        ("content-type", b"application/json"),
    ]


def value(event: Event) -> bytes:
    """The JSON that the receiver's schema asks for."""
    content = {"distribution": event.distribution, "version": event.version, "text": event.text}
    return json.dumps(content, ensure_ascii=False).encode()


def send(arguments: argparse.Namespace) -> int:
    """Sends all events and waits for each acknowledgement, printed as it comes; how many failed."""
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(f"{message.key().decode()}: {error}")
        else:
            name = message.key().decode()
            sys.stdout.write(f"{arguments.run}.{name}\t{message.partition()}\t{message.offset()}\n")

    # murmur2_random places keys as Java clients do, so that other producers of this topic agree about partitions.
    producer = Producer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "client.id": "licences-produce",
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "message.max.bytes": 2_000_000,
        }
    )
    due = time.monotonic()
    for event in events(arguments.limit):
        task_id = f"{arguments.run}.{event.distribution}"
        producer.produce(
            arguments.topic,
            value(event),
            event.distribution,
            headers=headers(event, task_id),
            on_delivery=delivered,
        )
        due += 1 / arguments.rate if arguments.rate else 0.0
        wait(producer, due)
    left = producer.flush(60)
    for line in failed:
        sys.stderr.write(f"{line}\n")
    return left + len(failed)


def wait(producer: Any, due: float) -> None:
    """Serves acknowledgements until ``due`` (monotonic seconds): one that comes ends a poll, not the wait."""
    producer.poll(0)
    while (left := due - time.monotonic()) > 0:
        producer.poll(left)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Sends one event for each installed distribution.")
    parser.add_argument("--bootstrap", required=True, help="host:port of the broker")
    parser.add_argument("--topic", default="aios.tasks.licences")
    parser.add_argument("--run", required=True, help="prefix of the event ids, new for each run")
    parser.add_argument("--limit", type=int, help="only so many distributions")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0: as fast as it goes")
    try:
        return 1 if send(parser.parse_args()) else 0
    except KafkaException as error:
        sys.stderr.write(f"the broker refused: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
