"""docs/reference/python.md has all that the agent SDK exports, and nothing that it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import aiosv3.agents
from aiosv3.agents.client import events

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "python.md").read_text(encoding="utf-8")


def test_every_exported_name_is_there() -> None:
    shown = set(re.findall(r"auto\w+:: aiosv3\.agents\.(\w+)$", PAGE, re.MULTILINE))
    linked = set(re.findall(r"`(\w+)`", PAGE.split("## Errors")[1].split("```")[0]))
    assert shown | linked == set(aiosv3.agents.__all__)


def test_every_event_is_there() -> None:
    (members,) = re.findall(r"client\.events\n   :members: (.+)$", PAGE, re.MULTILINE)
    classes = {name for name, one in vars(events).items() if isinstance(one, type) and issubclass(one, events._Seen)}
    assert set(members.split(", ")) == classes - {"_Seen"}
