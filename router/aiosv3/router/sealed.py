"""Sealed prompts at a model worker: opened with the keys of its classes, answered under the same key."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NamedTuple

from aiosv3.router.endpoints.endpoint import Completed
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import Answer, ModelRequest, Outcome, Prompt, StepFailure
from aiosv3.schemas.sealing import PROMPT, KeyShredded, NoKey, SealError, key_id_of, open_sealed
from aiosv3.streams.keys import KeyRing
from aiosv3.streams.keys.answers import sealed_answer
from aiosv3.streams.requests import Ask


class Unread(NamedTuple):
    """Why a prompt is not worked on here."""

    outcome: Outcome
    failure: StepFailure


class Said(NamedTuple):
    """The fields of a completion that hold what the model, or an error, said."""

    content: Answer | bytes | None
    content_key_id: str | None
    error: StepFailure | None


def opened_request(ring: KeyRing | None, codec: Codec, ask: Ask, body: ModelRequest) -> ModelRequest:
    """The request with its prompt; as it is where it cannot be opened, which ``ask`` then knows.

    Raises UnresolvedKey, UnresolvedSchema.
    """
    if not isinstance(body.content, bytes):
        return body
    try:
        if ring is None:
            raise NoKey(f"it is sealed with key {key_id_of(body.content)}, and this worker has no keys: set [sealing]")
        key = ring.get(key_id_of(body.content))
        plain = codec.decode_as(ModelRequest, open_sealed(key, PROMPT, body.request_id, body.content))
    except SealError as error:
        ask.unreadable = error
        return body
    ask.key = key
    return replace(body, content=plain.content)


def unread(pool: str, ask: Ask, body: ModelRequest) -> Unread | None:
    """None where the prompt is there. Another pool may have the key: the request goes on, until each had its turn."""
    if isinstance(body.content, Prompt):
        return None
    why = ask.unreadable
    if isinstance(why, KeyShredded):
        return Unread(Outcome.FAILED, StepFailure("ContentShredded", f"pool {pool}: {why}", retryable=False))
    elsewhere = isinstance(why, NoKey) and pool not in ask.route.tried
    words = f"pool {pool} cannot read this prompt, and no model was called: {why or 'it has none'}"
    failure = StepFailure("ClearanceDenied", words, retryable=False)
    return Unread(Outcome.REFUSED if elsewhere else Outcome.FAILED, failure)


def said(ask: Ask, body: ModelRequest, done: Completed | None, error: StepFailure | None) -> Said:
    """What goes into a completion: sealed with the key of its prompt, if that was sealed."""
    answer = None if done is None else Answer(done.text, done.tool_calls)
    if ask.key is None:
        return Said(answer, None, error)
    text = None if answer is None else answer_text(answer)
    made = sealed_answer(ask.key, f"{body.task_id}/{body.step_id}", text, error)
    sealed = made.content if isinstance(made.content, bytes) else None
    return Said(sealed, made.content_key_id, made.error)


def answer_text(answer: Answer) -> str:
    """An answer as the asker's journal has it."""
    return json.dumps({"text": answer.text, "tool_calls": answer.tool_calls}, ensure_ascii=False)
