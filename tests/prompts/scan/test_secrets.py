"""Keys and tokens: found by prefix and entropy; words about them are not."""

from __future__ import annotations

import pytest

from aiosv3.prompts.scan.secrets import entropy, looks_random, tokens

KEY = "sk-" + "a1B2c3D4e5" * 3
FINDERS = {"secret": tokens}
FOUND = [
    ("secret", f"OPENAI_API_KEY={KEY}", KEY),
    ("secret", "id AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("secret", 'password: "k9#Lq2!vTz8w"', "k9#Lq2!vTz8w"),
    ("secret", "postgres://app:s3cr3tpw@db/shop", "s3cr3tpw"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "-----BEGIN RSA PRIVATE KEY-----"),
    (
        "secret",
        "Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
    ),
]
NOTHING = [
    "the token is expired; password: required; secret = settings.secret_name",
    "a task-sk-abc and the key idea",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
]


@pytest.mark.parametrize(("kind", "text", "words"), FOUND)
def test_it_is_found(kind: str, text: str, words: str) -> None:
    assert words in [text[start:end] for start, end in FINDERS[kind](text)]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_found(text: str) -> None:
    assert [text[start:end] for find in FINDERS.values() for start, end in find(text)] == []


def test_what_is_hard_to_foretell() -> None:
    assert (entropy(""), entropy("aaaa"), entropy("abcd")) == (0.0, 0.0, 2.0)
    assert looks_random("k9#Lq2!vTz8w")
    assert not looks_random("settings.secret_name"), "no digit: a name"
    assert not looks_random("11111111a"), "too regular"
