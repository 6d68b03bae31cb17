"""A conversation: sealed into blocks in a task, the same in a replay, sent by reference, stored about once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from conversation_run import Talk, a_task_a_turn, one_task, one_task_inline, without_memory
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents import Context, Conversation
from aiosv3.agents.agent import Order
from aiosv3.agents.conversation import SEAL
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.headers import ROUTE, Route
from aiosv3.schemas.history import Block
from aiosv3.schemas.records import Message, ModelRequest, Prompt, Role
from aiosv3.schemas.state import StateChange, StateRecord
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.claims import claim_of

if TYPE_CHECKING:
    from tests.agents.conftest import Play, Stage

LONG = "x" * (SEAL + 1)


def prompts_of(stage: Stage) -> list[Prompt]:
    found = [stage.codec.decode_as(ModelRequest, record.value or b"").content for record in stage.prompts()]
    assert all(isinstance(prompt, Prompt) for prompt in found)
    return [prompt for prompt in found if isinstance(prompt, Prompt)]


def told(sealed: dict[str, bytes], conversation: Conversation) -> list[Message]:
    """All turns, read back as the worker that calls the model does."""
    turns, head = list(conversation.turns), conversation.head
    while head is not None:
        block = Block.decode(sealed[head])
        turns, head = [*block.messages, *turns], block.prev
    return turns


# -- turns and blocks -------------------------------------------------------------------------------------------------


def test_outside_a_task_turns_only_gather() -> None:
    chat = Conversation()
    for _ in range(3):
        chat.append("user", LONG)
    assert (chat.head, len(chat), len(chat.turns)) == (None, 3, 3)
    assert Conversation(), "a conversation without a turn is one"


def test_roles_are_checked() -> None:
    chat = Conversation()
    chat.append(Role.TOOL, "42", tool_call_id="1")
    chat.append("Assistant", "", tool_calls="[]")
    assert chat.turns == [Message(Role.TOOL, "42", None, "1"), Message(Role.ASSISTANT, "", "[]")]
    with pytest.raises(ValueError, match="NOBODY"):
        chat.append("nobody", "?")


@given(texts=st.lists(st.text(max_size=SEAL), max_size=8))
def test_no_turn_is_lost_whatever_is_sealed(texts: list[str]) -> None:
    from tests.agents.conftest import Play

    made: list[Conversation] = []

    async def talks(ctx: Context, _value: str) -> str:
        chat = Conversation()
        made.append(chat)
        for text in texts:
            chat.append("user", text)
        return await ctx.generate(chat)

    one = Play(talks)
    assert [turn.content for turn in told(one.run.sealed, made[0])] == texts
    assert len(made[0]) == len(texts)
    assert all(claim == claim_of(raw) for claim, raw in one.run.sealed.items())
    assert sum(len(turn.content) for turn in made[0].turns) <= SEAL
    one.run.close()


def test_a_replay_comes_to_the_same_claims(play: Callable[..., Play]) -> None:
    async def talks(ctx: Context, value: str) -> str:
        chat = Conversation()
        for number in range(4):
            chat.append("user", f"{value} {number} {LONG}")
            chat.append("assistant", await ctx.generate(chat, system="be brief"))
        return str(len(chat))

    one = play(talks)
    for number in range(1, 5):
        one.answer(str(number), f"said {number}")
    again = one.replay()
    assert again.view() == one.view()
    assert again.run.sealed == one.run.sealed
    assert len(one.run.sealed) == 4
    assert one.ended.value == "8"


def test_another_history_is_another_request(play: Callable[..., Play]) -> None:
    def asks(first: str) -> Any:
        async def program(ctx: Context, _value: str) -> str:
            chat = Conversation()
            chat.append("user", first + LONG)
            return await ctx.generate(chat)

        return program

    one = play(asks("a"))
    one.answer("1")
    other = one.replay(asks("b"))
    assert other.run.stuck is not None
    assert "asks for something else" in other.run.stuck


async def test_it_is_state_and_value_like_any_other() -> None:
    """As state on the wire, and as the input of another agent."""
    chat = Conversation("sha256:" + "0" * 64, [Message(Role.USER, "hi")], 3, 70)
    schemas = AgentSchemas("talk", Conversation, Conversation, None, Conversation)
    store = SchemaStore()
    await schemas.register(store)
    codec = Codec(store)
    assert schemas.parse_json_task(b'{"turns": [{"role": "USER", "content": "hi"}]}').turns == chat.turns
    part = schemas.state
    assert part is not None
    record = StateRecord("k", 1, 1, StateChange(chat))
    assert part.decode(codec, part.encode(codec, record)) == record


# -- on the log -------------------------------------------------------------------------------------------------------


async def _turn(ctx: Context[Conversation], value: str) -> str:
    ctx.state.append("user", value)
    answer = await ctx.generate(ctx.state)
    ctx.state.append("assistant", answer)
    return answer


def test_only_new_turns_travel_and_the_estimate_counts_all(stage: Stage) -> None:
    stage.worker(_turn, order=Order.SERIAL, state_type=Conversation).start()
    for number, text in enumerate(("hello", LONG, "and then?")):
        stage.task(f"t{number}", text)
        stage.settle()
        stage.answer(stage.prompts()[-1], f"answer {number}")
        stage.settle()
    first, second, third = prompts_of(stage)
    assert (first.history, [turn.content for turn in first.messages]) == (None, ["hello"])
    assert second.messages == ()
    assert second.history is not None
    assert third.history == second.history
    assert [turn.content for turn in third.messages] == ["answer 1", "and then?"]
    block = Block.decode(stage.claims.stored[second.history])
    assert [turn.content for turn in block.messages] == ["hello", "answer 0", LONG]
    tokens = [Route.decode(record.header(ROUTE) or b"").tokens for record in stage.prompts()]
    assert tokens[0] < tokens[1] < tokens[2]
    assert tokens[1] >= SEAL // 4


def test_a_block_is_stored_before_the_request_that_refers_to_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    put = stage.claims.put

    async def slow(content: bytes) -> str:
        gate = stage.loop.create_future()
        held.append(gate)
        await gate
        return await put(content)

    monkeypatch.setattr(stage.claims, "put", slow)
    stage.worker(_turn, order=Order.SERIAL, state_type=Conversation).start()
    stage.task("t", LONG)
    stage.settle()
    assert stage.asked() == []
    stage.loop.call_soon(held[0].set_result, None)
    stage.settle()
    assert stage.asked() == ["t/1"]


def test_a_block_is_stored_before_the_result_that_refers_to_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task without a step, too: its state names the block."""

    async def notes(ctx: Context[Conversation], value: str) -> str:
        ctx.state.append("user", value)
        return str(len(ctx.state))

    seen: list[int] = []
    put = stage.claims.put

    async def watched(content: bytes) -> str:
        seen.append(len(stage.broker.records("aios.results.worker", 0)))
        return await put(content)

    monkeypatch.setattr(stage.claims, "put", watched)
    worker = stage.worker(notes, order=Order.SERIAL, state_type=Conversation).start()
    stage.task("t", LONG)
    stage.settle()
    assert seen == [0]
    assert [result.content for result in stage.results(worker)] == ["1"]


def test_a_worker_that_takes_over_goes_on_with_the_conversation(stage: Stage) -> None:
    first = stage.worker(_turn, order=Order.SERIAL, state_type=Conversation).start()
    stage.task("t1", LONG)
    stage.settle()
    first.kill()
    stage.claims.stored.clear()
    second = stage.worker(_turn, "b", order=Order.SERIAL, state_type=Conversation).start()
    stage.answer(stage.prompts()[0], "yes")
    stage.settle()
    stage.task("t2", "more")
    stage.settle()
    assert [result.content for result in stage.results(second)] == ["yes"]
    head = prompts_of(stage)[-1].history
    assert head in stage.claims.stored, "a replay seals its blocks again, and stores what is not there"


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_a_hundred_calls_over_800_kb_store_it_less_than_one_and_a_half_times() -> None:
    """All bytes of all records in all topics, headers and keys too, and the claim store."""
    talk = Talk()
    stored = one_task(talk)
    assert talk.payload == 800_000
    assert stored.prompted[-1] == talk.payload - talk.answered, "the model was sent the whole conversation"
    assert stored.prompted[0] == talk.said
    assert stored.total <= 1.5 * talk.payload, f"{stored.total / talk.payload:.2f} times: {stored}"


def test_a_task_for_each_turn_stores_less_than_the_same_calls_without_a_memory() -> None:
    talk = Talk(calls=30)
    stored, forgetful = a_task_a_turn(talk), without_memory(talk)
    assert stored.prompted[-1] == talk.payload - talk.answered
    assert forgetful.prompted[-1] == talk.said
    assert stored.total < forgetful.total


def test_the_whole_conversation_in_each_prompt_would_cost_many_times_as_much() -> None:
    """What the bound is there for; it also shows that the count can fail."""
    talk = Talk(calls=20)
    assert one_task_inline(talk).total > 10 * talk.payload
    assert one_task(talk).total <= 1.5 * talk.payload
