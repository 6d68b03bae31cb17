"""``aiosv3 memory eval``: figures of data that lies in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CHAT = {
    "id": "c1",
    "sessions": [
        {
            "iso": "2023-05-08T10:00",
            "turns": [
                {"id": "1", "speaker": "Bob", "text": "Which instrument do you play?"},
                {"id": "2", "speaker": "Ada", "text": "The cello."},
            ],
        }
    ],
    "questions": [{"question": "Who plays an instrument?", "evidence": ["1", "2"]}],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHAT))
    return tmp_path


def test_figures_for_programs(data: Path, aiosv3: Any) -> None:
    said = aiosv3("memory", "eval", "--data", str(data), "--words", "--json", "--compare")
    assert said.code == 0
    rows = json.loads(said.out)
    assert rows[0] == {
        "dataset": "chats",
        "variant": "default",
        "measure": "recall@10",
        "mean": 1.0,
        "low": 1.0,
        "high": 1.0,
        "questions": 1,
        "groups": [1.0],
    }
    assert {row["variant"]: row["mean"] for row in rows}["plain BM25"] == 0.5


def test_figures_for_people(data: Path, aiosv3: Any) -> None:
    said = aiosv3("memory", "eval", "--data", str(data), "--words")
    assert said.code == 0
    assert "1.000 to 1.000" in said.out
    assert "chats, default: recall@10 1.000" in said.err


def test_a_folder_without_data_is_a_wrong_command_line(tmp_path: Path, aiosv3: Any) -> None:
    said = aiosv3("memory", "eval", "--data", str(tmp_path))
    assert said.code == 2
    assert "corpus.jsonl" in said.err
