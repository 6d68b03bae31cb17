"""What the library leaves to its user: a process that finds unfinished runs, wakes them when they are due or told
something, and keeps the runs of one thread in order. ``python harness.py VERB PROGRAM [ID [MORE]]``."""

import asyncio
import json
import os
import sqlite3
import sys
import time
from importlib import import_module
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

TABLE = """
create table if not exists runs (id primary key, thread, value, output);
create table if not exists told (run, value);
"""


def database() -> sqlite3.Connection:
    opened = sqlite3.connect(os.environ["APP_DATABASE"], isolation_level=None, timeout=30)
    opened.executescript(TABLE)
    return opened


async def serve(program: str) -> None:
    runs: dict[str, asyncio.Task[None]] = {}
    async with AsyncSqliteSaver.from_conn_string(os.environ["CHECKPOINTS"]) as saver:
        graph = import_module(program).make(saver)
        own = database()
        print("ready", flush=True)
        while True:
            rows = own.execute("select id, thread, value from runs where output is null order by rowid").fetchall()
            first = {thread: (run, value) for run, thread, value in reversed(rows)}
            for thread, (run, value) in first.items():
                if thread not in runs or runs[thread].done():
                    runs[thread] = asyncio.create_task(step(graph, own, thread, run, json.loads(value)))
            await asyncio.sleep(0.2)


async def step(graph: Any, own: sqlite3.Connection, thread: str, run: str, value: Any) -> None:
    """Starts a run, goes on with one that was interrupted, or leaves one alone that waits."""
    config = {"configurable": {"thread_id": thread, "run": run}}
    state = await graph.aget_state(config)
    if not state.next or (state.metadata or {}).get("run") != run:
        move: Any = {"messages": [("user", value)]} if "messages" in graph.channels else value
    elif not state.interrupts:
        move = None
    else:
        told = own.execute("select value from told where run = ?", [run]).fetchone()
        due = state.interrupts[0].value["due"]
        if told is None and time.time() < due:
            return
        move = Command(resume=json.loads(told[0]) if told else "late")
    output = await graph.ainvoke(move, config)
    if not (await graph.aget_state(config)).next:
        answer = output["messages"][-1].content if "messages" in graph.channels else output
        own.execute("update runs set output = ? where id = ?", [json.dumps(answer), run])


async def main(verb: str, program: str, name: str, more: str = "null") -> Any:
    own = database()
    if verb == "start":
        thread = "ada" if program == "conversation" else name
        own.execute("insert or ignore into runs values (?, ?, ?, null)", [name, thread, more])
    elif verb == "approve":
        own.execute("insert into told values (?, ?)", [name, json.dumps({"approved": True, "who": more})])
    elif verb == "cancel":
        own.execute("insert into told values (?, ?)", [name, json.dumps("cancel")])
    elif verb == "result":
        deadline = time.monotonic() + float(more)
        while time.monotonic() < deadline:
            (output,) = own.execute("select output from runs where id = ?", [name]).fetchone()
            if output is not None:
                return {"outcome": "ok", "output": json.loads(output)}
            await asyncio.sleep(0.1)
        raise TimeoutError(f"run {name} has no output")
    return None


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(serve(sys.argv[2]))
    else:
        print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
