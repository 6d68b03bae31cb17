"""Calfkit over the same Kafka; runs in an environment of its own, so it knows nothing of this project.

    python bench/peer_calfkit.py worker BOOTSTRAP NAME URL
    python bench/peer_calfkit.py callers BOOTSTRAP NAME CALLERS CALLS

``worker``: an agent without tools, one model call for each input, as many at once as there are callers. ``callers``:
see ``rounds.py``.
"""

from __future__ import annotations

import asyncio
import sys

from calfkit import Agent, Client, OpenAIModelClient, ProvisioningConfig, Worker  # type: ignore[import-not-found]
from rounds import told

TEXT = "Which of the three departments should answer this letter? The card was charged twice and the shop says no. " * 4


def connected(bootstrap: str) -> Client:
    """A client that makes its topics, and whose records are acknowledged as ours are."""
    return Client.connect(bootstrap, provisioning=ProvisioningConfig(enabled=True), enable_idempotence=True)


async def worker(bootstrap: str, name: str, url: str) -> None:
    model = OpenAIModelClient("slow", base_url=url, api_key="none", max_tokens=64)
    agent = Agent(name, system_prompt="", model_client=model)
    await Worker(connected(bootstrap), [agent], max_workers=64).run()


async def callers(bootstrap: str, name: str, count: str, calls: str) -> None:
    async with connected(bootstrap) as client:
        agent = client.agent(name)

        async def call(_number: int) -> None:
            answer = await agent.execute(TEXT, timeout=60)
            if not answer.output:
                raise SystemExit("an answer without a text")

        await told(int(count), int(calls), call)


if __name__ == "__main__":
    role, *given = sys.argv[1:]
    asyncio.run(worker(*given) if role == "worker" else callers(*given))
