"""A conversation for each customer: turns in order, each with the whole history."""

from aiosv3.agents import Context, agent
from aiosv3.agents.conversation import Conversation


@agent(state=Conversation, order="serial")
async def conversation(ctx: Context[Conversation], text: str) -> str:
    ctx.state.append("user", text)
    answer = await ctx.generate(ctx.state)
    ctx.state.append("assistant", answer)
    return answer
