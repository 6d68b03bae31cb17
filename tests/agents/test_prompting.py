"""From what ``generate`` is given to the prompt that travels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.agents.prompting import complexity_of, prompt_of, prompt_parts
from aiosv3.prompts import estimate_complexity
from aiosv3.schemas.records import Message, Prompt, Role

PLAIN = Prompt((Message(Role.USER, "prove it"),), None, 1)


def test_a_tasks_wishes_hold_for_its_model_calls_unless_a_call_says_otherwise() -> None:
    prompt = Prompt((Message(Role.USER, "prove it"),), None, 1)
    assert complexity_of(prompt, None, 0.9) == 0.9
    assert complexity_of(prompt, 0.1, 0.9) == 0.1
    assert complexity_of(prompt, None, "auto") == estimate_complexity(prompt)


def test_a_text_becomes_messages_and_a_prompt_stays_as_it_is() -> None:
    made = prompt_of("prove it", "be brief", int, 7, 0.5)
    assert [(message.role, message.content) for message in made.messages] == [
        (Role.SYSTEM, "be brief"),
        (Role.USER, "prove it"),
    ]
    assert (made.output_schema, made.max_tokens, made.temperature) == ('{"type":"integer"}', 7, 0.5)
    assert prompt_of(PLAIN, "be brief", int, 7, 0.5) is PLAIN


@pytest.mark.parametrize(
    "changed",
    [
        replace(PLAIN, max_tokens=2),
        replace(PLAIN, temperature=0.1),
        replace(PLAIN, output_schema="{}"),
        replace(PLAIN, tools="[]"),
        replace(PLAIN, stop=("x",)),
        replace(PLAIN, messages=(Message(Role.SYSTEM, "prove it"),)),
        replace(PLAIN, messages=(Message(Role.USER, "prove it", tool_call_id="1"),)),
    ],
)
def test_whatever_changes_the_request_changes_its_parts(changed: Prompt) -> None:
    assert prompt_parts(changed) != prompt_parts(PLAIN)
