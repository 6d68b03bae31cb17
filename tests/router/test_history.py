"""Earlier messages of a prompt: read once, checked, bounded, and a failure in words when they are not there."""

from __future__ import annotations

import pytest

from aiosv3.router.history import HistoryReader, HistoryUnavailable
from aiosv3.schemas.history import Block
from aiosv3.schemas.records import Message, Prompt, Role
from aiosv3.streams.errors import ClaimsUnavailable
from aiosv3.streams.testing import MemoryClaims


class Counted(MemoryClaims):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    async def get(self, claim: str) -> bytes:
        self.reads.append(claim)
        return await super().get(claim)


def user(text: str) -> Message:
    return Message(Role.USER, text)


def prompt(head: str | None, *messages: Message) -> Prompt:
    return Prompt(messages, None, 10, history=head)


async def chain(claims: MemoryClaims, count: int, size: int = 10) -> list[str]:
    heads: list[str] = []
    for number in range(count):
        block = Block(heads[-1] if heads else None, (user(f"{number:0{size}d}"),))
        heads.append(await claims.put(block.encode()))
    return heads


@pytest.fixture
def claims() -> Counted:
    return Counted()


async def test_a_prompt_without_history_is_left_as_it_is(claims: Counted) -> None:
    asked = prompt(None, user("hello"))
    assert await HistoryReader(claims).whole(asked) is asked


async def test_the_chain_is_put_in_order_behind_the_instructions(claims: Counted) -> None:
    head = (await chain(claims, 3, 1))[-1]
    whole = await HistoryReader(claims).whole(prompt(head, Message(Role.SYSTEM, "be brief"), user("now")))
    assert [message.content for message in whole.messages] == ["be brief", "0", "1", "2", "now"]
    assert whole.history is None


async def test_of_a_conversation_that_goes_on_only_what_is_new_is_read(claims: Counted) -> None:
    heads = await chain(claims, 4)
    reader = HistoryReader(claims)
    await reader.whole(prompt(heads[2]))
    assert claims.reads == [heads[2], heads[1], heads[0]]
    await reader.whole(prompt(heads[3]))
    assert claims.reads[3:] == [heads[3]]


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first(claims: Counted) -> None:
    heads = await chain(claims, 4, 2_000)
    size = len(claims.stored[heads[1]])
    reader = HistoryReader(claims, kept=2 * size)
    await reader.whole(prompt(heads[3]))
    assert reader._size <= 2 * size
    assert set(reader._blocks) == {heads[0], heads[1]}, "those read last"
    whole = await reader.whole(prompt(heads[3]))
    assert len(whole.messages) == 4


async def test_a_history_that_is_too_long_is_refused_before_it_is_all_read(claims: Counted) -> None:
    heads = await chain(claims, 50, 2_000)
    with pytest.raises(HistoryUnavailable, match="more than 5000 bytes") as refused:
        await HistoryReader(claims, most=5_000).whole(prompt(heads[-1]))
    assert not refused.value.later
    assert len(claims.reads) == 3


async def test_what_cannot_be_read_is_said_without_its_words(claims: Counted) -> None:
    head = (await chain(claims, 1))[0]
    with pytest.raises(HistoryUnavailable, match="no claim store"):
        await HistoryReader(None).whole(prompt(head))
    with pytest.raises(HistoryUnavailable, match="is not in memory"):
        await HistoryReader(claims).whole(prompt("sha256:" + "0" * 64))
    claims.stored[head] = Block(None, (user("forged"),)).encode()
    with pytest.raises(HistoryUnavailable, match="is something else") as refused:
        await HistoryReader(claims).whole(prompt(head))
    assert "forged" not in str(refused.value)
    other = await claims.put(b"secret, and no block")
    with pytest.raises(HistoryUnavailable, match="no block of a conversation") as refused:
        await HistoryReader(claims).whole(prompt(other))
    assert "secret" not in str(refused.value)


async def test_a_store_that_is_away_is_another_matter(claims: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_claim: str) -> bytes:
        raise ClaimsUnavailable("away")

    heads = await chain(claims, 2)
    monkeypatch.setattr(claims, "get", away)
    reader = HistoryReader(claims)
    with pytest.raises(HistoryUnavailable) as refused:
        await reader.whole(prompt(heads[-1]))
    assert refused.value.later
    monkeypatch.undo()
    assert len((await reader.whole(prompt(heads[-1]))).messages) == 2, "a failure is not kept"
