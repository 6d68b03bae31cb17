"""The same work on Faust, as its guide has it: an agent over a topic that sends to another one.

python stream_faust.py BOOTSTRAP INPUT OUTPUT CONCURRENCY
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from typing import Any

import faust
from faust.serializers import codecs
from work import INSTANCE, SESSION_MS, decoded, worked


class Ticket(codecs.Codec):
    """A codec of the registry, as its guide says for formats that it does not bring along."""

    def _dumps(self, obj: Any) -> bytes:
        return obj

    def _loads(self, s: bytes) -> Any:
        return decoded(s)


def main(bootstrap: str, source: str, sink: str, concurrency: str) -> None:
    codecs.register("ticket", Ticket())
    app = faust.App(
        f"faust-{sink}",
        broker=f"kafka://{bootstrap}",
        datadir=tempfile.mkdtemp(prefix="aiosv3-bench-"),
        web_enabled=False,
        topic_disable_leader=True,
        broker_session_timeout=SESSION_MS / 1e3,
        broker_heartbeat_interval=2.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=INSTANCE or None,
        stream_wait_empty=False,
    )
    incoming = app.topic(source, value_type=None, value_serializer="ticket", key_serializer="raw", allow_empty=True)
    outgoing = app.topic(sink, value_serializer="raw", key_serializer="raw")

    @app.agent(incoming, concurrency=max(1, int(concurrency)))
    async def work(stream: Any) -> None:
        async for event in stream.events():
            await outgoing.send(key=event.key, value=await worked(event.value), headers=event.headers)

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
        if any(each.topic == source for each in partitions):
            os.write(1, b"\nready\n")  # it draws on standard output

    worker = faust.Worker(app, loglevel="error", loop=asyncio.new_event_loop())
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
