"""Work that is undone when it is cancelled: by a message, since a workflow that DBOS cancels runs no further step."""

from dbos import DBOS
from steps import release, reserve


@DBOS.workflow()
async def run(order: str) -> str:
    await reserve(order)
    if await DBOS.recv_async("cancel", timeout_seconds=600):
        await release(order)
        return "cancelled"
    return "paid"
