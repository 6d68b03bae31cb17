"""The twin: short, plain, the file that runs, and right as long as nothing is killed."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import sys
import tokenize
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from aiosv3.app.demo import naive
from aiosv3.app.demo.twin import naive_specs
from aiosv3.app.settings import PoolSettings

LONGEST = 45
MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy; the above copyright notice is kept."
)
APACHE = "Apache License Version 2.0, January 2004"
BOTH = f"{APACHE}\n\n{MIT}\n"


def code_lines(path: Path) -> int:
    """Lines that hold code: no comments, no docstrings, nothing blank."""
    source = path.read_text(encoding="utf-8")
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            words |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    plain = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    return len(
        {line for token in tokens if token.type not in plain for line in range(token.start[0], token.end[0] + 1)}
        - words
    )


def test_it_is_short() -> None:
    assert code_lines(Path(naive.__file__)) <= LONGEST


def test_it_knows_nothing_of_us_but_the_questions() -> None:
    tree = ast.parse(Path(naive.__file__).read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {
        "httpx",
        "confluent_kafka",
        "aiosv3.app.demo",
        "aiosv3.app.demo.excerpt",
        "aiosv3.app.demo.families",
    }


def test_it_is_the_file_that_runs() -> None:
    pool = PoolSettings(kind="local")
    specs = naive_specs(2, "127.0.0.1:9", "tasks", {"local": pool}, 7, Path("logs"))
    assert [spec.name for spec in specs] == ["naive-1", "naive-2"]
    for spec in specs:
        flag, module, *arguments = spec.argv[1:]
        found = importlib.util.find_spec(module)
        assert (flag, found is not None and found.origin) == ("-m", naive.__file__)
        assert arguments == ["127.0.0.1:9", "tasks", "naive.results", pool.model, "http://127.0.0.1:7/naive/local/v1"]


def model(*answers: str | int) -> httpx.Client:
    """Answers in turn; a number is an HTTP status."""
    turn = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/naive/local/v1/chat/completions"
        said = next(turn)
        if isinstance(said, int):
            return httpx.Response(said)
        return httpx.Response(200, json={"choices": [{"message": {"content": json.dumps({"value": said})}}]})

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://127.0.0.1:7/naive/local/v1")


@pytest.mark.parametrize(
    ("text", "answers", "found"),
    [
        (MIT, [], ("MIT", "rule")),
        (BOTH, ["Apache-2.0", APACHE], ("Apache-2.0", "model")),
        (BOTH, ["MIT", APACHE], ("unknown", "person")),
        (BOTH, ["unknown"], ("unknown", "person")),
        (BOTH, [503], ("unknown", "person")),
    ],
)
def test_it_decides_as_the_agent_does(text: str, answers: list[str | int], found: tuple[str, str]) -> None:
    assert naive.licence(model(*answers), "m", "thing", text) == found


class Enough(Exception):
    """Ends the loop."""


def test_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    given: list[Any] = []

    def message(thing: str, text: str) -> Any:
        value = json.dumps({"distribution": thing, "version": "1", "text": text}).encode()
        return SimpleNamespace(error=lambda: None, value=lambda: value, key=thing.encode)

    turn = iter([None, SimpleNamespace(error=lambda: "away"), message("a", MIT), message("b", " ")])

    def poll(_: float) -> Any:
        try:
            return next(turn)
        except StopIteration:
            raise Enough from None

    def consumer(settings: Any) -> Any:
        given.append(settings)
        return SimpleNamespace(subscribe=given.append, poll=poll)

    def producer(_: Any) -> Any:
        return SimpleNamespace(produce=lambda *what: sent.append(what), poll=lambda _: 0)

    monkeypatch.setattr(naive, "Consumer", consumer)
    monkeypatch.setattr(naive, "Producer", producer)
    with pytest.raises(Enough):
        naive.main("127.0.0.1:9", "tasks", "results", "m", "http://127.0.0.1:7")
    assert given[1] == ["tasks"]
    assert not any("commit" in name for name in given[0]), "offsets are committed as by default"
    assert [(topic, json.loads(value), key) for topic, value, key in sent] == [
        ("results", {"distribution": "a", "licence": "MIT", "by": "rule"}, b"a"),
        ("results", {"distribution": "b", "licence": "unknown", "by": "person"}, b"b"),
    ]
