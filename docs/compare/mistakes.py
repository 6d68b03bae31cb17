"""The same mistakes in every framework's words, to be given to a type checker."""

from __future__ import annotations

from typing import Final, NamedTuple


class Mistake(NamedTuple):
    """In a program: ``right`` becomes ``wrong``; without ``right``, ``wrong`` is added at the end."""

    program: str
    right: str
    wrong: str


KINDS: Final = (
    "a number for a prompt",
    "answers used as numbers",
    "a field of the input misspelt",
    "a person's answer misread",
    "text where seconds belong",
    "something else returned than promised",
    "a caller with a wrong input",
    "a step's argument forgotten",
)

MISTAKES: Final[dict[str, tuple[Mistake, ...]]] = {
    "aiosv3": (
        Mistake("retry", 'ctx.generate(f"Summarise {report}")', "ctx.generate(7)"),
        Mistake("fan_out", '"\\n".join(facts)', "str(sum(facts))"),
        Mistake("approval", "mail.topic", "mail.topik"),
        Mistake("approval", "approval.who", "approval.whom"),
        Mistake("sleep", "sleep(reminder.seconds)", "sleep(reminder.topic)"),
        Mistake("conversation", "return answer", "return ctx.state"),
        Mistake("tool_loop", "", "async def caller(ctx: Context) -> str:\n    return await ctx.call(tool_loop, 7)"),
        Mistake("cancel", "partial(reserve, order)", "reserve"),
    ),
    "temporal": (
        Mistake("retry", 'ask, f"Summarise {report}"', "ask, 7"),
        Mistake("fan_out", '"\\n".join(facts)', "str(sum(facts))"),
        Mistake("approval", "mail.topic", "mail.topik"),
        Mistake("approval", "self.approver = who", "self.approver = who.name"),
        Mistake("sleep", "sleep(reminder.seconds)", "sleep(reminder.topic)"),
        Mistake("conversation", 'return str(message["content"])', "return self.history"),
        Mistake(
            "tool_loop",
            "",
            "async def caller() -> str:\n    return await workflow.execute_child_workflow(Program.run, 7)",
        ),
        Mistake("cancel", "reserve, order,", "reserve,"),
    ),
    "restate": (
        Mistake("retry", 'prompt=f"Summarise {report}"', "prompt=7"),
        Mistake("fan_out", '"\\n".join([await fact for fact in facts])', "str(sum([await fact for fact in facts]))"),
        Mistake("approval", "mail.topic", "mail.topik"),
        Mistake("approval", '{who}"\n        case ["denier"', '{who.name}"\n        case ["denier"'),
        Mistake("sleep", "timedelta(seconds=reminder.seconds)", "timedelta(seconds=reminder.topic)"),
        Mistake("conversation", 'return str(message["content"])', "return history"),
        Mistake("tool_loop", "", "async def caller(ctx: Context) -> str:\n    return await ctx.service_call(run, 7)"),
        Mistake("cancel", "reserve, order=order", "reserve"),
    ),
    "dbos": (
        Mistake("retry", 'ask(f"Summarise {report}")', "ask(7)"),
        Mistake("fan_out", '"\\n".join(facts)', "str(sum(facts))"),
        Mistake("approval", "mail['topic']", "mail['topik']"),
        Mistake("approval", "\"sent, approved by {decision['who']}\"", "\"sent, approved by {decision['whom']}\""),
        Mistake("sleep", 'reminder["seconds"]', 'reminder["topic"]'),
        Mistake("conversation", 'return str(message["content"])', "return message"),
        Mistake("tool_loop", "", "async def caller() -> None:\n    await DBOS.start_workflow_async(run, 7)"),
        Mistake("cancel", "reserve(order)", "reserve()"),
    ),
    "langgraph": (
        Mistake("retry", 'ask(f"Summarise {report}")', "ask(7)"),
        Mistake("fan_out", '"\\n".join(facts)', "str(sum(facts))"),
        Mistake("approval", "mail['topic']", "mail['topik']"),
        Mistake("approval", "\"sent, approved by {decision['who']}\"", "\"sent, approved by {decision['whom']}\""),
        Mistake("sleep", "due - time.time()", 'reminder["topic"]'),
        Mistake("conversation", 'value=str(message["content"])', "value=message"),
        Mistake(
            "tool_loop",
            "",
            "async def caller(saver: BaseCheckpointSaver[str]) -> None:\n    await make(saver).ainvoke(7)",
        ),
        Mistake("cancel", "reserve(order)", "reserve()"),
    ),
}


def wrong_text(mistake: Mistake, text: str) -> str:
    """The program with the mistake in it. Raises ValueError where there is nothing to make wrong."""
    if not mistake.right:
        return f"{text}\n\n{mistake.wrong}\n"
    if text.count(mistake.right) != 1:
        raise ValueError(f"{mistake.program}: {mistake.right!r} is there {text.count(mistake.right)} times")
    return text.replace(mistake.right, mistake.wrong)
