"""The endpoint that counts: its forms, its log, its turns, and askers that die."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiosv3.app.demo import meter
from aiosv3.app.demo.calls import read_calls, tally
from aiosv3.app.demo.meter import Asker, Log, MeterServer, Model, asker_and_pool, prompt_of, question_of, status_of
from aiosv3.app.demo.questions import answer_format
from aiosv3.app.demo.twin import behind_meter
from aiosv3.app.modelworkers import endpoint_of
from aiosv3.app.settings import PoolSettings
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import BadRequest, EndpointError, RateLimited, SchemaViolated, Unreachable
from aiosv3.schemas.records import Message, Prompt, Role

_SOON_S = 30.0


class Endpoint:
    """Answers when ``go`` is set. ``said``: its answer, or what it raises."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.said: str | EndpointError = "an answer"
        self.calls: list[Call] = []
        self.most = self.now = 0

    async def complete(self, call: Call) -> Completed:
        self.calls.append(call)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.005)
        finally:
            self.now -= 1
        if isinstance(self.said, EndpointError):
            raise self.said
        return Completed(self.said, None, "stop", 11, 3)

    async def probe(self) -> Probed:
        return Probed(("tiny",), 1)

    async def aclose(self) -> None:
        return None


class Meter:
    """The endpoint behind its server."""

    def __init__(self, folder: Path, limit: int = 4) -> None:
        self.endpoint = Endpoint()
        self.path = folder / "calls.jsonl"
        model = Model({"small": self.endpoint}, {"small": limit}, {"small": "tiny"})
        self.model = model
        self.log = Log(self.path)
        self._server = MeterServer(model, self.log)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def ask(self, asker: str = "ours", text: str = "why?", **body: Any) -> httpx.Response:
        return httpx.post(
            f"{self.url}/{asker}/small/v1/chat/completions", json=self.body(text, **body), timeout=_SOON_S
        )

    @staticmethod
    def body(text: str, **more: Any) -> dict[str, Any]:
        return {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 9, **more}

    def raw(self, asker: str, text: str) -> socket.socket:
        """A connection on which a question was sent, to be dropped."""
        content = json.dumps(self.body(text)).encode()
        line = socket.create_connection(("127.0.0.1", self._server.server_port), timeout=_SOON_S)
        head = f"POST /{asker}/small/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
        line.sendall(head.encode() + content)
        return line

    def close(self) -> None:
        self.endpoint.go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.model.close()
        self.log.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Meter]:
    made = Meter(tmp_path)
    yield made
    made.close()


@pytest.fixture
def one_at_a_time(tmp_path: Path) -> Iterator[Meter]:
    made = Meter(tmp_path, limit=1)
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SOON_S
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_a_call_is_answered_and_written_down(served: Meter) -> None:
    answer = served.ask("naive").raise_for_status().json()
    assert answer["choices"][0]["message"]["content"] == "an answer"
    assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    found = tally(read_calls(served.path), "naive")
    assert (found.calls, found.answered, found.input_tokens, found.output_tokens) == (1, 1, 11, 3)
    assert tally(read_calls(served.path), "ours").calls == 0


def test_the_same_question_twice_is_paid_again_whoever_asks_it(served: Meter) -> None:
    for asker, text in (("naive", "a"), ("naive", "a"), ("naive", "b"), ("ours", "a")):
        served.ask(asker, text)
    calls = read_calls(served.path)
    assert (tally(calls, "naive").paid_again, tally(calls, "ours").paid_again) == (1, 0)


async def test_a_model_worker_asks_it_as_any_openai_endpoint(served: Meter) -> None:
    """The production client, streamed, with a closed set that it wraps and that the model sees bare."""
    served.endpoint.said = '"MIT"'
    port = int(served.url.rpartition(":")[2])
    pool = behind_meter({"small": PoolSettings(kind="local", concurrency=7)}, port)["small"]
    assert (pool.kind, pool.concurrency, pool.clearance.label) == ("openai", 7, "restricted")
    schema = json.dumps({"enum": ["ISC", "MIT"], "type": "string"})
    prompt = Prompt((Message(Role.USER, "which?"),), schema, 5, 0.0)
    client = endpoint_of("small", pool)
    try:
        done = await client.complete(Call(prompt, pool.model, "k", _SOON_S))
    finally:
        await client.aclose()
    assert (done.text, done.input_tokens, done.output_tokens, done.finish_reason) == ('"MIT"', 11, 3, "stop")
    asked = served.endpoint.calls[0].prompt
    assert json.loads(asked.output_schema or "") == json.loads(schema)
    assert (asked.max_tokens, asked.temperature) == (5, 0.0)


def test_an_asker_that_dies_is_cut_off_and_its_call_is_stopped(served: Meter) -> None:
    served.endpoint.go.clear()
    line = served.raw("ours", "why?")
    until(lambda: served.endpoint.now == 1)
    line.close()
    until(lambda: served.endpoint.now == 0)
    until(lambda: tally(read_calls(served.path), "ours").cut == 1)


def test_askers_take_turns(one_at_a_time: Meter) -> None:
    one_at_a_time.endpoint.go.clear()
    lines = [one_at_a_time.raw(asker, asker) for asker in ("ours", "ours", "naive")]
    until(lambda: one_at_a_time.endpoint.now == 2)
    one_at_a_time.endpoint.go.set()
    until(lambda: sum(call.end == "answered" for call in read_calls(one_at_a_time.path)) == 3)
    assert one_at_a_time.endpoint.most == 2
    for line in lines:
        line.close()


def test_who_dies_while_it_waits_has_made_no_call(one_at_a_time: Meter) -> None:
    one_at_a_time.endpoint.go.clear()
    first = one_at_a_time.raw("ours", "a")
    until(lambda: len(one_at_a_time.endpoint.calls) == 1)
    second = one_at_a_time.raw("ours", "b")
    second.close()
    first.close()
    until(lambda: one_at_a_time.endpoint.now == 0)
    one_at_a_time.endpoint.go.set()
    one_at_a_time.ask("ours", "c")
    assert [call.prompt.messages[0].content for call in one_at_a_time.endpoint.calls] == ["a", "c"]
    found = tally(read_calls(one_at_a_time.path), "ours")
    assert (found.calls, found.cut, found.answered) == (2, 1, 1)


def test_a_turn_that_comes_to_a_dead_asker_is_given_on(served: Meter) -> None:
    """All calls of a killed worker die at once: the next in line must not count as one that was cut off."""
    prompt = prompt_of(Meter.body("why?"))
    asked = served.model.start(Asker("ours", "small", lambda: True), prompt, served.log)
    with pytest.raises(CancelledError):
        asked.result(_SOON_S)
    assert served.endpoint.calls == []
    assert read_calls(served.path) == []


def test_a_failure_is_a_status_and_no_answer(served: Meter) -> None:
    served.endpoint.said = Unreachable("it is away")
    answer = served.ask()
    assert (answer.status_code, "it is away" in answer.text) == (503, True)
    found = tally(read_calls(served.path), "ours")
    assert (found.failed, found.answered) == (1, 0)


@pytest.mark.parametrize(
    ("error", "status"),
    [(RateLimited("", status=429), 429), (SchemaViolated(""), 503), (BadRequest(""), 400), (Unreachable(""), 503)],
)
def test_the_kind_of_failure_is_kept(error: EndpointError, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"messages": [{"role": "nobody", "content": ""}]}'])
def test_what_is_no_call(served: Meter, content: bytes) -> None:
    assert httpx.post(f"{served.url}/ours/small/v1/chat/completions", content=content).status_code == 400
    assert read_calls(served.path) == []


def test_paths(served: Meter) -> None:
    assert asker_and_pool("/ours/small/v1/chat/completions") == ("ours", "small")
    assert httpx.get(served.url).status_code == 200
    assert httpx.get(f"{served.url}/ours/small/v1/models").json()["data"] == [{"id": "tiny", "object": "model"}]
    assert httpx.get(f"{served.url}/ours/none/v1/models").status_code == 404
    assert httpx.post(f"{served.url}/ours/none/v1/chat/completions", json=Meter.body("?")).status_code == 400
    assert httpx.post(f"{served.url}/else", json=Meter.body("?")).status_code == 400


def test_a_question_is_its_messages_and_nothing_else() -> None:
    plain = prompt_of(Meter.body("a"))
    assert question_of(plain) == question_of(prompt_of(Meter.body("a", temperature=0.5, max_tokens=1)))
    assert question_of(plain) == question_of(prompt_of(Meter.body("a", response_format=answer_format(["x"]))))
    assert question_of(plain) != question_of(prompt_of(Meter.body("b")))


def test_an_object_is_asked_for_as_it_is() -> None:
    schema = {"type": "object", "properties": {"value": {"type": "string"}, "more": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert json.loads(prompt_of(Meter.body("a", response_format=form)).output_schema or "") == schema


def test_an_endpoint_that_starts_again_says_so(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write("1", "began", caller="ours", pool="p", question="q")
    log.close()
    Log(tmp_path / "log").close()
    assert [call.end for call in read_calls(tmp_path / "log")] == ["cut"]


def test_a_model_that_cannot_be_had_ends_it_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "aiosv3.toml"
    project.write_text(
        '[pools.cloud]\nkind = "openai"\nmodel = "m"\napi_key_env = "NOBODY_SETS_THIS"\n', encoding="utf-8"
    )
    assert meter.main(["--port", "0", "--log", str(tmp_path / "log"), "--project", str(project)]) == 1
    assert "NOBODY_SETS_THIS" in capsys.readouterr().err
