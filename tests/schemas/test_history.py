"""Blocks of a conversation: the same bytes for the same messages, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.history import Block, whole
from aiosv3.schemas.records import Message, Role

CALLS = Message(Role.ASSISTANT, "", tool_calls='[{"id":"1"}]')
RESULT = Message(Role.TOOL, "42", tool_call_id="1")
MESSAGES = st.builds(
    Message, st.sampled_from(Role), st.text(), st.none() | st.text(max_size=9), st.none() | st.text(max_size=9)
)


@given(st.none() | st.just("sha256:" + "0" * 64), st.lists(MESSAGES, max_size=4).map(tuple))
def test_a_block_is_read_as_it_was_written(prev: str | None, messages: tuple[Message, ...]) -> None:
    block = Block(prev, messages)
    assert Block.decode(block.encode()) == block


def test_its_bytes_are_fixed() -> None:
    """They are hashed: other bytes for the same messages would be another claim, and a replay would differ."""
    block = Block("sha256:ab", (Message(Role.USER, "grün\n"), CALLS, RESULT))
    assert block.encode().decode() == (
        '{"v":1,"prev":"sha256:ab","messages":[{"role":"user","content":"grün\\n"},'
        '{"role":"assistant","content":"","tool_calls":"[{\\"id\\":\\"1\\"}]"},'
        '{"role":"tool","content":"42","tool_call_id":"1"}]}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        json.dumps({"v": 2, "prev": None, "messages": []}).encode(),
        json.dumps({"v": 1, "prev": 3, "messages": []}).encode(),
        json.dumps({"v": 1, "prev": None, "messages": 3}).encode(),
        json.dumps({"v": 1, "prev": None, "messages": ["secret"]}).encode(),
        json.dumps({"v": 1, "prev": None, "messages": [{"role": "nobody", "content": "secret"}]}).encode(),
        json.dumps({"v": 1, "prev": None, "messages": [{"role": "user", "content": ["secret"]}]}).encode(),
        b"[" * 100_000,
    ],
)
def test_anything_else_is_refused_without_its_words(body: bytes) -> None:
    with pytest.raises(MalformedValue) as refused:
        Block.decode(body)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("inline", "expected"),
    [("", "hh"), ("u", "hhu"), ("s", "shh"), ("ssu", "sshhu"), ("us", "hhus"), ("sus", "shhus")],
)
def test_history_stands_behind_the_leading_instructions(inline: str, expected: str) -> None:
    made: dict[str, Any] = {"u": Role.USER, "s": Role.SYSTEM}
    messages = tuple(Message(made[letter], letter) for letter in inline)
    history = (Message(Role.USER, "h"), Message(Role.ASSISTANT, "h"))
    assert "".join(message.content for message in whole(messages, history)) == expected
