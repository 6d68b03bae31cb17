"""A person's yes, within a time."""

from datetime import timedelta

from pydantic import BaseModel

from aiosv3.agents import Context, Denied, StepTimeout, agent


class Mail(BaseModel):
    topic: str
    seconds: float


@agent
async def approval(ctx: Context, mail: Mail) -> str:
    draft = await ctx.generate(f"Draft a mail about {mail.topic}")
    try:
        approval = await ctx.approve(f"Send {draft!r}?", by="editors", timeout=timedelta(seconds=mail.seconds))
    except StepTimeout:
        return "nobody answered"
    except Denied as no:
        return f"denied by {no.who}"
    return f"sent, approved by {approval.who}"
