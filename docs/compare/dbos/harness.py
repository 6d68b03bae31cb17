"""The application's process, and a client of its database. ``python harness.py VERB PROGRAM [ID [MORE]]``."""

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

from dbos import DBOS, DBOSClient, WorkflowHandleAsync, error

DATABASE = os.environ["DBOS_DATABASE"]


async def serve(program: str) -> None:
    DBOS(config={"name": "compare", "system_database_url": DATABASE, "application_version": "1"})
    import_module(program)
    DBOS.launch()
    await DBOS.register_queue_async("work", partition_concurrency=1, polling_interval_sec=0.2)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def main(verb: str, program: str, name: str, more: str = "null") -> Any:
    client = DBOSClient(system_database_url=DATABASE)
    if verb == "start":
        key = "ada" if program == "conversation" else name
        await client.enqueue_async(
            {
                "queue_name": "work",
                "workflow_name": "run",
                "workflow_id": name,
                "queue_partition_key": key,
                "app_version": "1",
            },
            json.loads(more),
        )
    elif verb == "approve":
        await client.send_async(name, {"approved": True, "who": more}, "decision")
    elif verb == "cancel":
        await client.send_async(name, True, "cancel")
    elif verb == "result":
        handle: WorkflowHandleAsync[Any] = await client.retrieve_workflow_async(name)
        try:
            return {"outcome": "ok", "output": await asyncio.wait_for(handle.get_result(), float(more))}
        except error.DBOSAwaitedWorkflowCancelledError as cancelled:
            return {"outcome": "cancelled", "output": str(cancelled)}
    return None


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(serve(sys.argv[2]))
    else:
        print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
