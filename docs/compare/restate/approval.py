"""A person's yes, within a time."""

from datetime import timedelta

import restate
from pydantic import BaseModel
from restate import Workflow, WorkflowContext, WorkflowSharedContext
from world import ask

program = Workflow("Approval")


class Mail(BaseModel):
    topic: str
    seconds: float


@program.main()
async def run(ctx: WorkflowContext, mail: Mail) -> str:
    await ctx.run_typed("draft", ask, prompt=f"Draft a mail about {mail.topic}")
    match await restate.select(
        approver=ctx.promise("approver", type_hint=str).value(),
        denier=ctx.promise("denier", type_hint=str).value(),
        late=ctx.sleep(timedelta(seconds=mail.seconds)),
    ):
        case ["approver", who]:
            return f"sent, approved by {who}"
        case ["denier", who]:
            return f"denied by {who}"
        case _:
            return "nobody answered"


@program.handler()
async def decide(ctx: WorkflowSharedContext, who: str) -> None:
    await ctx.promise("approver", type_hint=str).resolve(who)


@program.handler()
async def deny(ctx: WorkflowSharedContext, who: str) -> None:
    await ctx.promise("denier", type_hint=str).resolve(who)
