"""Work on Faust as its guide has it: an agent over a topic, several tasks at once, results to another topic.

    python faust_program.py BOOTSTRAP INPUT OUTPUT CONCURRENCY RUNS

Runs in an environment of its own; RUNS is a file to which each execution is written as it begins.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time

import faust


def main(bootstrap, source, sink, concurrency, runs):
    app = faust.App(
        f"faust-{source}",
        broker=f"kafka://{bootstrap}",
        datadir=tempfile.mkdtemp(prefix="aiosv3-chaos-"),
        web_enabled=False,
        topic_disable_leader=True,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.5,
    )
    incoming = app.topic(source, value_serializer="raw", key_serializer="raw")
    outgoing = app.topic(sink, value_serializer="raw", key_serializer="raw")

    @app.agent(incoming, concurrency=int(concurrency))
    async def work(stream):
        async for event in stream.events():
            task = json.loads(event.value)
            with open(runs, "a", encoding="utf-8") as file:
                file.write(f"{time.time_ns() // 1_000_000} {os.getpid()} {task['id']}\n")
            await asyncio.sleep(task["seconds"])
            await outgoing.send(key=event.key, value=event.value)

    worker = faust.Worker(app, loglevel="error", loop=asyncio.new_event_loop())
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
