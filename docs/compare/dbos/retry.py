"""A model call that is tried again."""

from dbos import DBOS
from steps import ask


@DBOS.workflow()
async def run(report: str) -> str:
    summary = await ask(f"Summarise {report}")
    return await ask(f"A title for {summary}")
