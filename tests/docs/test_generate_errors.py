"""docs/reference/errors.md is what the classes of errors say of themselves, today."""

from __future__ import annotations

import re
from typing import Final

import pytest

import aiosv3.agents
from docs import generate_errors as reference

PAGE: Final = reference.TARGET.read_text(encoding="utf-8")


def row(name: str) -> list[str]:
    found = re.search(rf"^\| `{name}`(?:, a kind of `\w+`)? \| (.*) \|$", PAGE, re.MULTILINE)
    assert found is not None, name
    return [cell.strip() for cell in found[1].split(" | ")]


def test_the_page_is_up_to_date() -> None:
    assert reference.page() == PAGE, "an error has changed: run 'python -m docs.generate_errors'"


@pytest.mark.parametrize(
    ("name", "retry", "code"),
    [
        ("ModelUnavailable", "yes", "1"),
        ("ModelRefused", "no", "1"),
        ("SettingsError", "", "2"),
        ("NotFinished", "", "3"),
        ("BrokerUnavailable", "", "4"),
        ("RateLimited", "yes", "1"),
        ("ServerUnavailable", "yes", "1"),
    ],
)
def test_what_is_said_of_an_error(name: str, retry: str, code: str) -> None:
    assert row(name)[:2] == [retry, code]
    assert row(name)[2].endswith(".")


def test_every_error_that_agents_export_is_there() -> None:
    exported = [name for name in aiosv3.agents.__all__ if isinstance(kind := getattr(aiosv3.agents, name), type)
                and issubclass(kind, Exception)]  # fmt: skip
    assert len(exported) > 10
    for name in exported:
        row(name)


def test_every_error_has_a_meaning() -> None:
    assert [shown.kind for shown in reference.errors() if not shown.row[-1]] == []


def test_an_error_of_a_new_package_needs_a_section() -> None:
    assert reference.section_of("agents.client.errors") == "agents.client"
    with pytest.raises(ValueError, match="for gateway"):
        reference.section_of("gateway.errors")
