"""What a run decides of sealing when it starts, and comes to again in a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aiosv3.agents import Agent, Context, Conversation, agent
from aiosv3.agents.facts import JournalEntry, Task
from aiosv3.agents.steps import ModelStep, Step
from aiosv3.agents.task import TaskRun
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.history import Block
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.sealing import BLOCK, PLAIN, ContentKeys, DataKey, is_sealed, open_sealed

KEYS = ContentKeys(
    Clearance.CONFIDENTIAL,
    {clearance: DataKey.new("t") for clearance in (Clearance.CONFIDENTIAL, Clearance.RESTRICTED)},
)
LONG = "word " * 600


@agent
async def asks(ctx: Context, text: str) -> str:
    return await ctx.generate(text)


@agent
async def talks(ctx: Context, text: str) -> str:
    chat = Conversation()
    chat.append("user", text + LONG)
    return await ctx.generate(chat)


def started(seals: str | None) -> JournalEntry:
    record = JournalRecord("t", 7, None, None, JournalKind.STARTED, Outcome.OK, code_version="v", seals=seals)
    return JournalEntry(1, 1, record)


def run(
    of: Agent[str, str],
    keys: ContentKeys,
    journal: Sequence[JournalEntry] = (),
    clearance: Clearance = Clearance.CONFIDENTIAL,
    text: str = "hi",
) -> TaskRun:
    task = Task("t", "k", 7, 1, Grant("t", "t", clearance, exp=None, depth=1), None, b"", text, keys=keys)
    made = TaskRun(of, task, b"secret")
    made.recall(journal)
    made.start()
    return made


def asked(of: TaskRun) -> ModelStep:
    (step,) = of.take()
    assert isinstance(step, ModelStep)
    return step


def test_the_hash_of_a_request_is_keyed_where_content_is_sealed() -> None:
    plain, sealed = asked(run(asks, PLAIN)), asked(run(asks, KEYS))
    assert plain.hash != sealed.hash
    assert (sealed.route.hash, asked(run(asks, KEYS)).hash) == (sealed.hash, sealed.hash)
    assert asked(run(asks, KEYS, clearance=Clearance.PUBLIC)).hash == sealed.hash, "one rule for all of its tasks"


def test_a_task_goes_on_as_it_began() -> None:
    """Settings may be others after a restart; its journal holds the old hashes."""
    assert asked(run(asks, KEYS, [started(None)])).hash == asked(run(asks, PLAIN)).hash
    off = replace(KEYS, since=None)
    assert asked(run(asks, off, [started("confidential")])).hash == asked(run(asks, KEYS)).hash


def test_a_block_of_a_conversation_is_sealed_and_a_replay_comes_to_the_same() -> None:
    first, again = run(talks, KEYS), run(talks, KEYS, [started("confidential")])
    assert first.sealed == again.sealed
    ((claim, raw),) = first.sealed.items()
    assert is_sealed(raw)
    assert b"word" not in raw
    block = Block.decode(open_sealed(KEYS.keys[Clearance.CONFIDENTIAL], BLOCK, "", raw))
    assert block.messages[0].content == "hi" + LONG
    assert asked(first).prompt.history == claim


def test_the_class_of_a_block_is_that_of_its_text() -> None:
    def sealed_with(text: str) -> str | None:
        (raw,) = run(talks, KEYS, clearance=Clearance.INTERNAL, text=text).sealed.values()
        return raw[1:17].hex() if is_sealed(raw) else None

    assert sealed_with("hello") is None
    assert sealed_with("pay with 4111 1111 1111 1111 ") == KEYS.keys[Clearance.CONFIDENTIAL].id
    assert sealed_with("the password = hunter2-x9Qz7_pL ") == KEYS.keys[Clearance.RESTRICTED].id


def test_without_the_key_of_its_class_a_block_does_not_go_out_in_plain() -> None:
    ended = run(talks, ContentKeys(Clearance.CONFIDENTIAL, {})).finish
    assert ended is not None
    assert ended.failure is not None
    assert "NoKey" in f"{ended.failure.type} {ended.failure.message}"


def test_an_answer_that_stays_sealed_holds_its_task() -> None:
    made = run(asks, KEYS)
    step: Step = asked(made)
    record = JournalRecord("t", 7, step.id, step.hash, JournalKind.ANSWER, Outcome.OK, token=made.token(step))
    made.feed(JournalEntry(2, 2, replace(record, content=b"\1sealed", content_key_id="key-1")))
    assert made.finish is None
    assert "sealed with key key-1, which is not here" in str(made.stuck)
