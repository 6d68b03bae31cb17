"""Data sets as they lie in a folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aiosv3.memory.evaluate import DataUnreadable, datasets

CONVERSATION = {
    "id": "c1",
    "sessions": [{"date_time": "8 May 2023", "turns": [{"id": "D1:1", "speaker": "Ada", "text": "hello"}]}],
    "questions": [{"question": "who?", "evidence": ["D1:1"]}, {"question": "none?", "evidence": []}],
}


def collection(folder: Path) -> None:
    folder.mkdir()
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as file:
        file.write(json.dumps({"_id": "d1", "title": "Tea", "text": "leaves"}) + "\n\n")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "tea"}\n{"_id": "q2", "text": "unjudged"}\n')
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n")


def test_conversations_and_collections_of_a_folder(tmp_path: Path) -> None:
    collection(tmp_path / "teas")
    with gzip.open(tmp_path / "chats.jsonl.gz", "wt") as file:
        file.write(json.dumps(CONVERSATION) + "\n")
    chats, teas = datasets(tmp_path)
    assert (chats.name, chats.measure, teas.name, teas.measure) == ("chats", "recall", "teas", "ndcg")
    assert chats.documents == [
        {"id": "D1:1", "text": "hello", "speaker": "Ada", "timestamp": "8 May 2023", "scope": "c1"}
    ]
    assert [(each.text, each.scope, dict(each.relevant)) for each in chats.groups[0]] == [("who?", "c1", {"D1:1": 1})]
    assert teas.documents == [{"id": "d1", "text": "Tea. leaves", "scope": "teas"}]
    assert [(each.text, dict(each.relevant)) for each in teas.groups[0]] == [("tea", {"d1": 2})]


def test_one_collection_as_the_folder_itself(tmp_path: Path) -> None:
    collection(tmp_path / "teas")
    assert [dataset.name for dataset in datasets(tmp_path / "teas")] == ["teas"]


@pytest.mark.parametrize("content", ["{", '{"id": "c1"}', "[]"])
def test_a_file_that_is_no_data_set_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "chats.jsonl").write_text(content)
    with pytest.raises(DataUnreadable, match=r"chats\.jsonl"):
        datasets(tmp_path)


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match=r"corpus\.jsonl"):
        datasets(tmp_path)
    with pytest.raises(DataUnreadable, match="no folder"):
        datasets(tmp_path / "nowhere")
