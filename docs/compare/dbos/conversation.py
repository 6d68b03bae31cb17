"""A conversation for each customer: turns in order (by the queue), each with the history (in a table of its own)."""

import json
import os
import sqlite3
from contextlib import closing
from typing import Any

from dbos import DBOS
from steps import chat

TABLE = "create table if not exists turns (customer, turn unique, messages)"


@DBOS.step()
def history(customer: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(os.environ["APP_DATABASE"])) as database:
        database.execute(TABLE)
        rows = database.execute("select messages from turns where customer = ? order by rowid", [customer])
        return [message for (messages,) in rows for message in json.loads(messages)]


@DBOS.step()
def remember(customer: str, turn: str, messages: list[dict[str, Any]]) -> None:
    with closing(sqlite3.connect(os.environ["APP_DATABASE"])) as database, database:
        database.execute("insert or ignore into turns values (?, ?, ?)", [customer, turn, json.dumps(messages)])


@DBOS.workflow()
async def run(text: str) -> str:
    customer, turn = "ada", str(DBOS.workflow_id)
    said = {"role": "user", "content": text}
    message = await chat([*history(customer), said])
    remember(customer, turn, [said, message])
    return str(message["content"])
