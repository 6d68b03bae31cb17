"""However a stream ends, its worker puts it on the log with its bill, and the router's reservation ends with that."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr

from aiosv3.router.endpoints import Place, open_endpoint
from aiosv3.router.ledger.books import apply
from aiosv3.router.ledger.fold import Booking, Ledger
from aiosv3.router.pools import Pool, Price
from aiosv3.router.worker import ModelWorker, WorkerPolicy
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.money import LedgerEntry
from aiosv3.schemas.records import Completion, Message, ModelRequest, Outcome, Prompt, Role, Usage
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Outgoing, Record

NOW: Final = 1_750_000_000_000
PRICE: Final = Price(3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)
PROMPT: Final = Prompt((Message(Role.USER, "What is the capital of France?"),), None, 64)
MODELS: Final = {"anthropic": "claude-sonnet-4-6", "chat": "gpt-4o", "responses": "gpt-4o"}
KINDS: Final = sorted(MODELS)
RESERVED: Final = 1_000_000


def _sse(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def _chat(text: str, usage: object, **choice: Any) -> bytes:
    return _sse({"choices": [{"index": 0, "delta": {"content": text}, **choice}], "usage": usage})


def _block(kind: str, **fields: Any) -> bytes:
    return _sse({"type": kind, **fields})


def _anthropic(usage: dict[str, int]) -> list[bytes]:
    return [
        _block("message_start", message={"id": "m", "usage": {**usage, "output_tokens": 1} if usage else None}),
        _block("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _block("content_block_delta", index=0, delta={"type": "text_delta", "text": "Paris, on the Seine."}),
        _block("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9} if usage else None),
        _block("message_stop"),
    ]


def _responses(usage: dict[str, int]) -> list[bytes]:
    ended = {"id": "r", "status": "completed", "usage": {**usage, "output_tokens": 9} if usage else None}
    return [
        _block("response.created", response={"id": "r", "status": "in_progress"}),
        _block("response.output_text.delta", output_index=0, delta="Paris, on the Seine."),
        _block("response.completed", response=ended),
    ]


def _of_chat(usage: dict[str, int]) -> list[bytes]:
    told = {"prompt_tokens": usage["input_tokens"], "completion_tokens": 9} if usage else None
    return [
        _chat("Paris, on the Seine.", None),
        _chat("", None, finish_reason="stop"),
        _sse({"choices": [], "usage": told}),
        _sse(b"[DONE]"),
    ]


STREAMS: Final[dict[str, Callable[[dict[str, int]], list[bytes]]]] = {
    "anthropic": _anthropic,
    "chat": _of_chat,
    "responses": _responses,
}
BEGUN: Final = {"anthropic": 3, "chat": 1, "responses": 2}
"""How many pieces of a stream have all of the text and nothing of the end."""
USAGE: Final = {"input_tokens": 12}
ERROR: Final = {
    "anthropic": _block("error", error={"type": "overloaded_error", "message": "busy"}),
    "chat": _sse({"error": {"code": 503, "message": "busy"}}),
    "responses": _block("error", code="server_error", message="busy"),
}


class Accounts:
    """A worker of one pool, with what a router has reserved for its requests."""

    def __init__(self, kind: str, url: str, *, timeout: float = 30.0) -> None:
        spoken = "anthropic" if kind == "anthropic" else "openai"
        api = kind if kind != "anthropic" else "chat"
        self.endpoint = open_endpoint(spoken, Place(url, SecretStr("key"), api=api))
        self.codec = Codec(SchemaStore())
        self.ledger = Ledger()
        pool = Pool("cloud", spoken, MODELS[kind], Clearance.INTERNAL, PRICE)
        policy = WorkerPolicy(timeout=timeout, retries=0)
        store = self.codec.store
        self.worker = ModelWorker(pool, self.endpoint, Topics(), store, self.codec, lambda: NOW, policy)

    def request(self, number: int = 1) -> Request:
        """One for which money is reserved."""
        name = f"task-1/{number}"
        self.ledger.book(Booking(name, "root-1", RESERVED, 10 * RESERVED))
        headers = [
            ("ce_id", name.encode()),
            (GRANT, Grant("t", "root-1", Clearance.PUBLIC).encode()),
            (ROUTE, Route("a", 0.2, 10, 64, first_sent=NOW, hash="h").encode()),
        ]
        value = self.codec.encode(ModelRequest(name, "root-1", "task-1", str(number), "a", PROMPT))
        read = self.worker.read(Record("aios.prompts.cloud", 0, number, NOW, b"k", value, headers))
        assert isinstance(read, Request)
        return read

    async def called(self, number: int = 1) -> Completion:
        """The completion; its settlement has ended the reservation with what it cost."""
        spent = self.ledger.tree("root-1").spent
        answer = self.worker.work(self.request(number), epoch=1)
        made = await answer if inspect.isawaitable(answer) else answer
        assert isinstance(made, Outgoing)
        said = self.codec.decode_as(Completion, made.value or b"")
        (settled,) = self.worker.settle(made)
        apply(self.ledger, self.codec.decode_as(LedgerEntry, settled.value or b""))
        tree = self.ledger.tree("root-1")
        assert (tree.reserved, tree.open, tree.spent - spent) == (0, {}, said.usage.cost_usd_micros)
        assert said.usage.cost_usd_micros == PRICE.of(said.usage.input_tokens, said.usage.output_tokens)
        return said


@asynccontextmanager
async def accounts(kind: str, url: str, **settings: Any) -> AsyncIterator[Accounts]:
    made = Accounts(kind, url, **settings)
    try:
        yield made
    finally:
        await made.endpoint.aclose()


def _url(kind: str, misbehaving: Any) -> str:
    return str(misbehaving.url) if kind == "anthropic" else f"{misbehaving.url}/v1"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_costs_what_its_provider_says(misbehaving: Any, kind: str) -> None:
    misbehaving.stream(*STREAMS[kind](USAGE))
    async with accounts(kind, _url(kind, misbehaving)) as made:
        said = await made.called()
    assert said.outcome is Outcome.OK
    assert said.usage == Usage(1, 12, 9, 0, 36 + 135)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_without_usage_is_estimated_and_marked(misbehaving: Any, kind: str) -> None:
    misbehaving.stream(*STREAMS[kind]({}))
    async with accounts(kind, _url(kind, misbehaving)) as made:
        said = await made.called()
    assert said.outcome is Outcome.OK
    assert said.usage == Usage(1, 8, 5, 0, 24 + 75, estimated=True), "30 and 20 characters"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["keep", "close", "reset", "stall"])
async def test_an_answer_without_its_end_is_no_answer_and_is_paid(misbehaving: Any, kind: str, end: Any) -> None:
    """``keep``: no finish marker. ``stall``: the time is up, and the server sees its client leave."""
    misbehaving.stream(*STREAMS[kind](USAGE)[: BEGUN[kind]], end=end)
    async with accounts(kind, _url(kind, misbehaving), timeout=0.5 if end == "stall" else 30.0) as made:
        said = await made.called()
        if end == "stall":
            await asyncio.wait_for(misbehaving.gone.wait(), 30)
    assert (said.outcome, said.content) == (Outcome.REFUSED, None)
    known = 12 if kind == "anthropic" else 8
    assert said.usage == Usage(1, known, 5, 0, 3 * known + 75, estimated=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_fails_on_its_way_is_paid(misbehaving: Any, kind: str) -> None:
    misbehaving.stream(*STREAMS[kind](USAGE)[: BEGUN[kind]], ERROR[kind])
    async with accounts(kind, _url(kind, misbehaving)) as made:
        said = await made.called()
    assert said.outcome is Outcome.REFUSED
    assert (said.usage.output_tokens, said.usage.estimated) == (5, True)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_in_one_piece_is_no_stream_and_is_paid_as_its_server_says(misbehaving: Any, kind: str) -> None:
    names = ("prompt_tokens", "completion_tokens") if kind == "chat" else ("input_tokens", "output_tokens")
    misbehaving.reply(200, {"usage": dict(zip(names, (12, 9), strict=True))})
    async with accounts(kind, _url(kind, misbehaving)) as made:
        said = await made.called()
    assert said.outcome is Outcome.REFUSED
    assert said.usage == Usage(1, 12, 9, 0, 36 + 135)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_never_was_a_call_costs_nothing(misbehaving: Any, kind: str) -> None:
    misbehaving.reply(500, {"error": {"message": "oops"}})
    async with accounts(kind, _url(kind, misbehaving)) as made:
        assert (await made.called()).usage == Usage()
    async with accounts(kind, "http://127.0.0.1:1/v1") as nobody:
        assert (await nobody.called()).usage == Usage()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_is_dropped_is_counted_where_no_log_takes_it(
    misbehaving: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition has gone: whoever has it now calls again, and the server sees its client leave."""
    misbehaving.stream(*STREAMS[kind](USAGE)[: BEGUN[kind]], end="stall")
    async with accounts(kind, _url(kind, misbehaving)) as made:
        heard = asyncio.Event()
        complete = made.endpoint.complete
        monkeypatch.setattr(
            made.endpoint, "complete", lambda call: complete(replace(call, on_text=lambda _text: heard.set()))
        )
        work = made.worker.work(made.request(), epoch=1)
        assert inspect.iscoroutine(work)
        calling = asyncio.create_task(work)
        await asyncio.wait_for(heard.wait(), 30)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.wait_for(misbehaving.gone.wait(), 30)
        known = 12 if kind == "anthropic" else 8
        assert made.worker.guard.lost_tokens == 5
        assert made.worker.guard.lost_usd_micros == 3 * known + 75
        assert made.ledger.tree("root-1").reserved == RESERVED, "the next owner's call ends it"


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    testing = pytest.importorskip(
        "llmock.testing", reason="NO LLMOCK, so nothing independent judges the accounts: pip install llmock==0.2.2"
    )
    with testing.LLMockServer() as server:
        yield server


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
async def test_the_bill_of_a_bad_hour(provider: Any, kind: str) -> None:
    """A provider that is not ours: each end has a bill, and its verdict is that its client missed none."""
    faults = [{"type": "stream_fault", "kind": each, "after_chunks": 3} for each in ("truncate", "disconnect")]
    async with httpx.AsyncClient(base_url=provider.url, trust_env=False) as admin:
        await admin.post("/_llmock/reset")
        (await admin.post("/_llmock/scenario", json={"behaviors": faults})).raise_for_status()
        spoken = "anthropic" if kind == "anthropic" else "openai"
        async with accounts(kind, provider.base_url(spoken)) as made:
            ends = []
            for number in range(1, 4):
                ends.append(await made.called(number))
                await admin.get("/_llmock/verdict")  # it notes an end when it is asked
        verdict = (await admin.get("/_llmock/verdict")).json()
    assert [said.outcome for said in ends] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.OK]
    assert [said.usage.estimated for said in ends] == [True, True, False]
    assert all(said.usage.cost_usd_micros > 0 for said in ends)
    assert made.ledger.tree("root-1").spent == sum(said.usage.cost_usd_micros for said in ends)
    assert verdict["faults_injected"] == 2
    # How long a request waits between attempts is the router's and the pool's to say, not this test's.
    assert {finding["code"] for finding in verdict["findings"]} <= {"no_backoff"}, json.dumps(verdict, indent=1)
