"""Data sets of a folder: conversations with questions, and collections of documents with judged queries.

Conversations: ``*.jsonl`` or ``*.jsonl.gz``, one a line: ``id``, ``sessions`` (``iso`` or ``date_time``, ``turns`` of
``id``, ``speaker``, ``text``), ``questions`` (``question``, ``evidence``: ids of turns). Collections: a folder with
``corpus.jsonl[.gz]`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``, ``text``), ``qrels.tsv``.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiosv3.schemas.errors import AiosError

_CORPUS: Final = ("corpus.jsonl", "corpus.jsonl.gz")


class DataUnreadable(AiosError):
    """A file is no data set as this module describes them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked in a scope, and which documents of it are right: id → grade."""

    text: str
    scope: str
    relevant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Dataset:
    """``documents`` as ``Retriever.index`` takes them; ``groups``: questions that belong together."""

    name: str
    documents: Sequence[Mapping[str, Any]]
    groups: Sequence[Sequence[Question]]
    measure: str
    """``recall`` or ``ndcg``."""


def datasets(folder: Path) -> list[Dataset]:
    """All data sets of a folder, and collections of the folders in it, by name. Raises ``DataUnreadable``."""
    try:
        places = sorted([folder, *(path for path in folder.iterdir() if path.is_dir())])
    except OSError as error:
        raise DataUnreadable(f"{folder} is no folder that can be read: {error.strerror}") from None
    found = []
    for place in places:
        corpus = next((place / name for name in _CORPUS if (place / name).is_file()), None)
        if corpus is not None:
            found.append(_checked(place, corpus))
        elif place == folder:
            found += [_checked(path) for path in sorted([*place.glob("*.jsonl"), *place.glob("*.jsonl.gz")])]
    if not found:
        raise DataUnreadable(f"{folder} holds no conversations (*.jsonl, *.jsonl.gz) and no folder with a {_CORPUS[0]}")
    return sorted(found, key=lambda dataset: dataset.name)


def _checked(path: Path, corpus: Path | None = None) -> Dataset:
    try:
        return _conversations(path) if corpus is None else _collection(path, corpus)
    except KeyError as error:
        raise DataUnreadable(f"{path}: a line has no {error}") from None
    except (OSError, ValueError, TypeError) as error:
        raise DataUnreadable(f"{path}: {error}") from None


def _conversations(path: Path) -> Dataset:
    documents: list[dict[str, Any]] = []
    groups = []
    for told in _lines(path):
        scope = str(told["id"])
        documents += [
            {
                "id": turn["id"],
                "text": turn["text"],
                "speaker": turn["speaker"],
                "timestamp": session.get("iso") or session.get("date_time"),
                "scope": scope,
            }
            for session in told["sessions"]
            for turn in session["turns"]
        ]
        asked = [each for each in told["questions"] if each["evidence"]]
        groups.append([Question(each["question"], scope, dict.fromkeys(each["evidence"], 1)) for each in asked])
    return Dataset(path.name.partition(".")[0], documents, groups, "recall")


def _collection(folder: Path, corpus: Path) -> Dataset:
    scope = folder.name
    documents = [
        {"id": each["_id"], "text": ". ".join(filter(None, (each.get("title"), each["text"]))), "scope": scope}
        for each in _lines(corpus)
    ]
    judged: dict[str, dict[str, int]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    asked = [each for each in _lines(folder / "queries.jsonl") if each["_id"] in judged]
    questions = [Question(each["text"], scope, judged[each["_id"]]) for each in asked]
    return Dataset(folder.name, documents, [questions], "ndcg")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield from (json.loads(line) for line in file if line.strip())
