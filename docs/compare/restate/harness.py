"""The service's process, and a client of Restate's ingress. ``python harness.py VERB PROGRAM [ID [MORE]]``."""

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import restate

SEND = {"approval": "Approval/{id}/run/send", "conversation": "Conversation/ada/say/send"}
ATTACH = {"approval": "restate/workflow/Approval/{id}/attach"}


def serve(program: str) -> None:
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{os.environ['RESTATE_SERVICE_PORT']}"]
    print("ready", flush=True)
    asyncio.run(hypercorn.asyncio.serve(restate.app([import_module(program).program]), config))


async def main(verb: str, program: str, name: str, more: str = "null") -> Any:
    async with httpx.AsyncClient(base_url=os.environ["RESTATE_INGRESS"], timeout=120) as client:
        path = SEND.get(program, "Program/run/send").format(id=name)
        if verb == "start":
            headers = {} if program == "approval" else {"idempotency-key": name}
            await expect(client, path, json.loads(more), headers)
        elif verb == "approve":
            await expect(client, f"Approval/{name}/decide", more)
        elif verb == "cancel":
            sent = await client.post(path, json="again", headers={"idempotency-key": name})
            address = f"{os.environ['RESTATE_ADMIN']}/invocations/{sent.json()['invocationId']}/cancel"
            (await client.patch(address)).raise_for_status()
        elif verb == "result":
            handler = path.removesuffix("/send")
            attach = ATTACH.get(program, f"restate/invocation/{handler}/{name}/attach").format(id=name)
            found = await client.get(attach, timeout=float(more))
            if found.status_code == 409:
                return {"outcome": "cancelled", "output": found.text}
            return {"outcome": "ok" if found.is_success else "failed", "output": found.json()}
    return None


async def expect(client: httpx.AsyncClient, path: str, body: Any, headers: dict[str, str] | None = None) -> None:
    (await client.post(path, json=body, headers=headers)).raise_for_status()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        serve(sys.argv[2])
    else:
        print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
