"""Three durable steps on LangGraph: a graph of three nodes with its SQLite checkpointer.

    python steps_langgraph.py FOLDER

``durability="sync"``: each node's checkpoint is on disk before the next node begins. Finding unfinished runs after a
crash is left to its user: here, a table of the runs that were asked for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any, TypedDict

import steps_work
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    name: str
    last: str


def node(number: int) -> Any:
    async def work(state: State) -> State:
        return {"last": await steps_work.step(state["name"], number)}

    return work


async def main(folder: str) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "checkpoints.sqlite")) as saver:
        built = StateGraph(State)
        for number in steps_work.STEPS:
            built.add_node(f"step-{number}", node(number))
            built.add_edge(START if number == 1 else f"step-{number - 1}", f"step-{number}")
        three = built.compile(checkpointer=saver)
        asked = sqlite3.connect(Path(folder) / "asked.sqlite", isolation_level=None)
        asked.execute("create table if not exists runs (name primary key, done)")

        async def run(name: str) -> Any:
            return await three.ainvoke({"name": name}, {"configurable": {"thread_id": name}}, durability="sync")

        async def one(name: str) -> None:
            config: Any = {"configurable": {"thread_id": name}}
            begun = (await three.aget_state(config)).created_at is not None
            await three.ainvoke(None if begun else {"name": name}, config, durability="sync")
            asked.execute("update runs set done = 1 where name = ?", [name])

        def open_runs() -> list[str]:
            return [name for (name,) in asked.execute("select name from runs where done is null order by rowid")]

        async def flood(count: int, at_once: int) -> int:
            asked.execute("begin")
            asked.executemany("insert into runs values (?, null)", [[f"w-{n}"] for n in range(count)])
            asked.execute("commit")
            return len(await steps_work.together(one, open_runs(), at_once))

        async def resume(count: int, _seconds: float) -> int:
            await steps_work.together(one, open_runs(), 50)
            return count - len(open_runs())

        await steps_work.serve(run, resume, flood)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
