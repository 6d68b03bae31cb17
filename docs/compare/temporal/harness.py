"""A worker, and a client that starts workflows and speaks to them. ``python harness.py VERB PROGRAM [ID [MORE]]``."""

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

import activities
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowFailureError, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import CancelledError
from temporalio.worker import Worker

QUEUE = "compare"


async def main(verb: str, program: str, name: str = "", more: str = "null") -> Any:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter)
    workflow: Any = import_module(program).Program
    if verb == "worker":
        async with Worker(client, task_queue=QUEUE, workflows=[workflow], activities=activities.ALL):
            print("ready", flush=True)
            await asyncio.Event().wait()
    if program == "conversation":
        return await converse(client, workflow, verb, name, more)
    handle = client.get_workflow_handle_for(workflow.run, name)
    if verb == "start":
        await client.start_workflow(workflow.run, json.loads(more), id=name, task_queue=QUEUE)
    elif verb == "approve":
        await handle.signal(workflow.decide, more)
    elif verb == "cancel":
        await handle.cancel()
    elif verb == "result":
        try:
            return {"outcome": "ok", "output": await asyncio.wait_for(handle.result(), float(more))}
        except WorkflowFailureError as error:
            cancelled = isinstance(error.cause, CancelledError)
            return {"outcome": "cancelled" if cancelled else "failed", "output": str(error.cause)}
    return None


async def converse(client: Client, workflow: Any, verb: str, name: str, more: str) -> Any:
    """A turn is an update of the customer's workflow, which its first turn starts."""
    if verb == "start":
        start = WithStartWorkflowOperation(
            workflow.run, id="ada", task_queue=QUEUE, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
        )
        await client.start_update_with_start_workflow(
            workflow.say,
            json.loads(more),
            id=name,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            start_workflow_operation=start,
        )
        return None
    update = client.get_workflow_handle("ada").get_update_handle(name)
    return {"outcome": "ok", "output": await asyncio.wait_for(update.result(), float(more))}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))), flush=True)
    os._exit(0)  # a client that ends at once may die of its own threads on the way out (seen with temporalio 1.35.0)
