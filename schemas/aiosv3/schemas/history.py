"""Earlier messages of a conversation, as a chain of blocks in the claim store.

A block is UTF-8 JSON without spaces, ``{"v":1,"prev":claim or null,"messages":[{"role":"user","content":"…"}]}``, its
oldest message first; ``prev`` is the block before it. A message may also have ``tool_calls`` and ``tool_call_id``. The
same messages behind the same block are the same bytes, so their claim is known before they are stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.records import Message, Role

_VERSION: Final = 1
_OPTIONAL: Final = ("tool_calls", "tool_call_id")


@dataclass(frozen=True, slots=True)
class Block:
    """Some messages, and the claim of those before them."""

    prev: str | None
    messages: tuple[Message, ...]

    def encode(self) -> bytes:
        """The bytes that its claim is made of."""
        body = {"v": _VERSION, "prev": self.prev, "messages": [_written(message) for message in self.messages]}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    @classmethod
    def decode(cls, raw: bytes) -> Block:
        """Reads a block. Raises :class:`MalformedValue` without its words."""
        try:
            body = json.loads(raw.decode("utf-8", "surrogatepass"))
            version, prev, messages = body["v"], body["prev"], body["messages"]
            if version != _VERSION or not (prev is None or isinstance(prev, str)):
                raise MalformedValue(
                    f"a block of a conversation of version {version!r:.20}: this code reads {_VERSION}"
                )
            return cls(prev, tuple(_read(message) for message in messages))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise MalformedValue(f"the bytes are no block of a conversation: {type(error).__name__}") from None


def _written(message: Message) -> dict[str, str]:
    written = {"role": message.role.value.lower(), "content": message.content}
    for name in _OPTIONAL:
        if (value := getattr(message, name)) is not None:
            written[name] = value
    return written


def _read(body: Any) -> Message:
    fields = {name: body[name] for name in ("content", *_OPTIONAL) if name in body}
    if not all(isinstance(value, str) for value in fields.values()):
        raise TypeError("not text")
    return Message(role=Role(body["role"].upper()), **fields)


def whole(messages: tuple[Message, ...], history: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages of a prompt with its history put in: behind the leading SYSTEM messages."""
    leading = next((n for n, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))
    return (*messages[:leading], *history, *messages[leading:])
