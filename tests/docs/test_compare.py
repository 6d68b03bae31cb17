"""The comparison's parts: all programs there and whole, our own seven at work, and what counts them is right.

Running it on the other frameworks takes their environments: ``make compare``.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from docs.compare.counting import code_lines, lines_of
from docs.compare.endpoint import Endpoint
from docs.compare.mistakes import KINDS, MISTAKES, wrong_text
from docs.compare.report import page
from docs.compare.run import PLATFORMS
from docs.compare.scenarios import ALL

from aiosv3.agents import ModelTurn, StepError, ToolCall
from aiosv3.agents.testing import NEVER, MeshTest, TaskFailed

COMPARE: Final = Path(__file__).resolve().parents[2] / "docs" / "compare"
FRAMEWORKS: Final = list(PLATFORMS)


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_framework_has_all_seven_programs(name: str) -> None:
    assert ALL.keys() <= lines_of(COMPARE / name).keys()


@pytest.mark.parametrize("path", sorted(COMPARE.rglob("*.py")), ids=lambda path: path.relative_to(COMPARE).as_posix())
def test_every_file_compiles(path: Path) -> None:
    compile(path.read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_framework_has_every_mistake_and_it_is_in_the_program(name: str) -> None:
    assert len(MISTAKES[name]) == len(KINDS)
    for mistake in MISTAKES[name]:
        right = (COMPARE / name / f"{mistake.program}.py").read_text(encoding="utf-8")
        assert ast.dump(ast.parse(wrong_text(mistake, right))) != ast.dump(ast.parse(right))


def test_lines_of_code_are_lines_with_code() -> None:
    text = '"""Docs."""\n\n# a comment\nx = (\n    1,  # one\n)\n\ndef f():\n    """Docs,\n    too."""\n    return 1\n'
    assert code_lines(text) == 5


def test_the_page_has_a_row_for_all_and_names_what_was_not_run() -> None:
    outcome = {"survived": True, "paid_twice": 0, "in_flight": 5, "seconds": 9.7, "note": ""}
    ran = {
        "versions": "x 1",
        "results": {"fan_out": outcome},
        "caught": dict.fromkeys(KINDS, True),
        "lines": {"retry": 5},
    }
    text = page({"aiosv3": ran, "restate": {"not_run": "no server", "lines": {}, "results": {}}})
    assert "| versions | x 1 | not run here: no server |" in text
    assert "| fan-out, fan-in | yes; 0 / 5; 10 s | not run here |" in text
    assert "| **all seven** | **5** | **0** |" in text


def test_the_endpoint_counts_refuses_and_takes_its_time() -> None:
    endpoint = Endpoint(slow={"slow": 0.3}, fails={"flaky": 1})
    url = endpoint.start()

    def post(path: str, body: Any) -> Any:
        request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    question = {"messages": [{"role": "user", "content": "flaky"}]}
    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        post("/v1/chat/completions", question)
    refused.value.close()
    said = post("/v1/chat/completions", question)
    assert said["choices"][0]["message"]["content"] == "answer to flaky"
    assert post("/weather", {"city": "slow Oslo"}) == {"text": "done: /weather: slow Oslo"}
    assert [(call.what, call.refused) for call in endpoint.calls] == [
        ("model: flaky", True),
        ("model: flaky", False),
        ("/weather: slow Oslo", False),
    ]
    assert (endpoint.answered("flaky"), len(endpoint.of("flaky"))) == (1, 2)
    slow = endpoint.calls[2]
    assert slow.answered is not None
    assert slow.answered - slow.at >= 0.3


# -- ours -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads one of our programs by its name; the world outside is not to be reached."""
    monkeypatch.syspath_prepend(str(COMPARE / "shared"))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"compared_{name}", COMPARE / "aiosv3" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


def echo(mesh: MeshTest) -> None:
    mesh.model(lambda prompt: f"answer to {prompt.text}")


def test_retry(program: Any) -> None:
    retry = program("retry").retry
    mesh = MeshTest(retry, crash="everywhere")
    echo(mesh)
    assert mesh.run(retry, "it") == "answer to A title for answer to Summarise it"


def test_fan_out(program: Any) -> None:
    fan_out = program("fan_out").fan_out
    mesh = MeshTest(fan_out, crash="everywhere")
    echo(mesh)
    assert mesh.run(fan_out, ["Oslo", "Rome"]) == "answer to A fact about Oslo\nanswer to A fact about Rome"


@pytest.mark.parametrize(
    ("editors", "said"),
    [("approve", "sent, approved by editors"), ("deny: no", "denied by editors"), (NEVER, "nobody answered")],
)
def test_approval(program: Any, editors: Any, said: str) -> None:
    module = program("approval")
    mesh = MeshTest(module.approval, crash="everywhere")
    echo(mesh)
    mesh.people(editors=editors)
    assert mesh.run(module.approval, module.Mail(topic="apples", seconds=60)) == said


def test_sleep(program: Any) -> None:
    module = program("sleep")
    mesh = MeshTest(module.sleep, crash="everywhere")
    echo(mesh)
    began = mesh.now
    assert mesh.run(module.sleep, module.Reminder(topic="x", seconds=90)) == "answer to Remind of answer to Announce x"
    assert timedelta(seconds=90) <= mesh.now - began < timedelta(seconds=100)


def test_conversation(program: Any) -> None:
    conversation = program("conversation").conversation
    mesh = MeshTest(conversation, crash="everywhere")
    mesh.model(lambda prompt: f"turn {len(prompt.messages)}")
    assert [mesh.run(conversation, text, key="ada") for text in ("a", "b", "c")] == ["turn 1", "turn 3", "turn 5"]


def test_tool_loop(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = program("tool_loop")

    async def weather(city: str) -> str:
        return f"rain in {city}"

    monkeypatch.setattr(module, "weather", weather)
    mesh = MeshTest(module.tool_loop, crash="everywhere")
    mesh.model([ModelTurn("", (ToolCall("a", "weather", '{"city": "Oslo"}'),)), "a coat"])
    assert mesh.run(module.tool_loop, "What to wear?") == "a coat"


def test_cancel(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = program("cancel")
    done: list[str] = []

    async def reserve(order: str) -> str:
        done.append(f"reserved {order}")
        return order

    async def release(order: str) -> str:
        done.append(f"released {order}")
        return order

    monkeypatch.setattr(module, "reserve", reserve)
    monkeypatch.setattr(module, "release", release)
    mesh = MeshTest(module.cancel)
    task = mesh.start(module.cancel, "order-7")
    mesh.advance(timedelta(seconds=10))
    assert done == ["reserved order-7"]
    task.cancel()
    with pytest.raises((TaskFailed, StepError)):
        task.result()
    assert done == ["reserved order-7", "released order-7"]
