"""Three durable steps on Restate: a service, and a client of its server's ingress.

python steps_restate.py worker PORT
python steps_restate.py client INGRESS
"""

from __future__ import annotations

import asyncio
import sys

import httpx
import hypercorn.asyncio
import hypercorn.config
import restate
import steps_work

three = restate.Service("Three")


@three.handler()
async def run(ctx: restate.Context, name: str) -> str:
    last = ""
    for number in steps_work.STEPS:
        last = await ctx.run_typed(f"step-{number}", steps_work.step, workflow=name, number=number)
    return last


async def worker(port: str) -> None:
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    print("ready", flush=True)
    await hypercorn.asyncio.serve(restate.app([three]), config)


async def client(ingress: str) -> None:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=ingress, timeout=120, limits=limits, trust_env=False) as http:

        async def one(name: str) -> None:
            answer = await http.post("/Three/run", json=name, headers={"idempotency-key": name})
            answer.raise_for_status()

        async def resume(_count: int, _seconds: float) -> int:
            raise SystemExit("this client is not the one that is killed")

        await steps_work.serve(one, resume)


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    asyncio.run({"worker": worker, "client": client}[role](*given))
