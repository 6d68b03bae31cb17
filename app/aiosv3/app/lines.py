"""One line about a decoded record: what matters of it comes first, the rest as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_FIRST: Final = ("kind", "message", "outcome", "state", "pool", "model", "server", "tool", "role", "who", "reason")
_OURS: Final = frozenset({"task_id", "request_id", "replica"})
"""A record of the mesh has one of these; what has none is somebody's input, and is shown as it is."""


def summary(value: Mapping[str, Any]) -> str:
    """Without line breaks; empty for a record without a value."""
    if not value:
        return ""
    if not _OURS.intersection(value):
        return _json(value)
    parts = [str(value[name]) for name in _FIRST if value.get(name) not in {None, ""}]
    parts += [part for part in (_error(value.get("error")), _paid(value.get("usage")), _content(value)) if part]
    return ", ".join(parts) or _json(value)


def _error(error: Any) -> str:
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, Mapping) else ""


def _paid(usage: Any) -> str:
    if not isinstance(usage, Mapping) or not usage.get("model_calls"):
        return ""
    cost = usage["cost_usd_micros"] / 1e6
    return f"{usage['input_tokens']}+{usage['output_tokens']} tokens, {cost:.6f} USD"


def _content(value: Mapping[str, Any]) -> str:
    """What was asked or said: the newest message of a prompt, the text of an answer."""
    content = value.get("content")
    if isinstance(content, Mapping):
        if isinstance(content.get("text"), str) and "messages" not in content:
            return _one_line(content["text"])
        messages = content.get("messages")
        if messages:
            return _one_line(str(messages[-1].get("content")))
        return _json(content)
    if isinstance(content, str):
        return _one_line(content)
    if isinstance(content, bytes):
        return "(sealed)"
    return "" if content is None else _json(content)


def _json(value: Any) -> str:
    return _one_line(json.dumps(value, ensure_ascii=False, default=str))


def _one_line(text: str) -> str:
    return " ".join(text.split())
