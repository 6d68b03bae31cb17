"""The model of the demo, behind an endpoint that writes down every call: the agent and its naive twin both ask here.

OpenAI-compatible, on loopback, one path for each asker and pool: ``/ASKER/POOL/v1``. It puts the question to the
pool's own endpoint (the model in this process, a server, a cloud) and knows of who asks that word of the path alone.
A call is written down when the model gets it and when it ends; where the asker is gone before, the call is cut.

    python -m aiosv3.app.demo.meter --port 20001 --log calls.jsonl --project aiosv3.toml
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import select
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from aiosv3.app.localstack.ports import LOOPBACK
from aiosv3.app.modelworkers import endpoint_of
from aiosv3.app.projects import find_pools
from aiosv3.app.settings import PoolSettings, load_settings
from aiosv3.router.endpoints.endpoint import Call, Completed, Endpoint
from aiosv3.router.endpoints.errors import EndpointError
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.records import Message, Prompt, Role

_LOOK_S: Final = 0.02
_USUAL_TOKENS: Final = 256


class BadCall(AiosError):
    """A request that is none of ours."""


class Log:
    """Appends a line an event; each is on disk before the call goes on, so that no kill takes it back."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.write("", "started")

    def write(self, call: str, event: str, **facts: Any) -> None:
        """``at``: milliseconds since the epoch."""
        entry = {"call": call, "event": event, "at": time.time_ns() // 1_000_000, **facts}
        with self._lock:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Nothing is written after this."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks which pool, and whether it is still there to hear the answer."""

    name: str
    pool: str
    is_gone: Callable[[], bool]


class Model:
    """The pools' endpoints on a loop of their own. ``limits``: calls of one asker that a pool's model has at a time.

    The model in this process answers one call after the other: with a limit of one, two askers take turns.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], limits: Mapping[str, int], models: Mapping[str, str]) -> None:
        self._endpoints = endpoints
        self._limits = limits
        self._models = models
        self._turns: dict[tuple[str, str], asyncio.Semaphore] = {}
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="model")
        self._thread.start()

    def close(self) -> None:
        """Ends its loop; calls in hand are dropped."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def models(self, pool: str) -> str:
        """The model of a pool. Raises :class:`BadCall`."""
        if pool not in self._endpoints:
            raise BadCall(f"there is no pool {pool!r}")
        return self._models[pool]

    def load(self, pool: str) -> None:
        """Waits until the pool's endpoint is well; the model in this process is fetched and loaded."""
        asyncio.run_coroutine_threadsafe(self._endpoints[pool].probe(), self.loop).result()

    def start(self, asker: Asker, prompt: Prompt, log: Log) -> Future[Completed]:
        """The call; cancelling it stops the model. Raises :class:`BadCall`."""
        call = Call(prompt, self.models(asker.pool), uuid.uuid4().hex, timeout_s=110.0)
        return asyncio.run_coroutine_threadsafe(self._ask(asker, call, log), self.loop)

    async def _ask(self, asker: Asker, call: Call, log: Log) -> Completed:
        name, pool = asker.name, asker.pool
        turn = self._turns.setdefault((name, pool), asyncio.Semaphore(self._limits[pool]))
        async with turn:
            if asker.is_gone():
                # It died while it waited for its turn: the model never hears of this call.
                raise asyncio.CancelledError
            log.write(call.idempotency_key, "began", caller=name, pool=pool, question=question_of(call.prompt))
            try:
                done = await self._endpoints[pool].complete(call)
            except BaseException as error:
                cut = isinstance(error, asyncio.CancelledError)
                log.write(call.idempotency_key, "cut" if cut else "failed", why=type(error).__name__)
                raise
        # A whole answer is paid for, whether or not its asker lives to read it.
        log.write(call.idempotency_key, "answered", input_tokens=done.input_tokens, output_tokens=done.output_tokens)
        return done


class MeterServer(ThreadingHTTPServer):
    """Serves ``model`` on 127.0.0.1; ``port`` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: Model, log: Log, port: int = 0) -> None:
        self.model = model
        self.log = log
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An asker that is killed resets its connection: that is what the log is for."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MeterServer
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the standard library
        """Calls have a log of their own."""

    def do_GET(self) -> None:
        try:
            parts = self.path.strip("/").split("/")
            found = [{"id": self.server.model.models(parts[1]), "object": "model"}] if len(parts) > 1 else []
        except BadCall as error:
            self._send(404, _problem(str(error)))
        else:
            self._send(200, _json({"object": "list", "data": found}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            request = json.loads(body)
            asker = Asker(*asker_and_pool(self.path), lambda: _is_gone(self.connection))
            asked = self.server.model.start(asker, prompt_of(request), self.server.log)
        except (BadCall, ValueError, LookupError, TypeError) as error:
            self._send(400, _problem(f"this request cannot be answered here: {error}"))
            return
        try:
            done = self._wait(asked)
        except (CancelledError, asyncio.CancelledError):
            self.close_connection = True
        except EndpointError as error:
            self._send(status_of(error), _problem(str(error)))
        else:
            streamed = bool(request.get("stream"))
            kind = "text/event-stream" if streamed else "application/json"
            self._send(200, stream_of(done, request) if streamed else _json(answer_of(done, request)), kind)

    def _wait(self, asked: Future[Completed]) -> Completed:
        while not asked.done():
            if _is_gone(self.connection):
                asked.cancel()
            threading.Event().wait(_LOOK_S)
        return asked.result()

    def _send(self, status: int, content: bytes, kind: str = "application/json") -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed: a killed process's sockets are closed by its kernel at once."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def asker_and_pool(path: str) -> tuple[str, str]:
    """Of ``/ASKER/POOL/v1/chat/completions``. Raises :class:`BadCall`."""
    parts = path.strip("/").split("/")
    if len(parts) != 5 or parts[2:] != ["v1", "chat", "completions"]:
        raise BadCall(f"no such path: {path}")
    return parts[0], parts[1]


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """The prompt of a chat completion request; of the answer's form only ``json_schema`` is known."""
    messages = tuple(Message(Role[str(one["role"]).upper()], str(one["content"])) for one in request["messages"])
    limit = request.get("max_tokens") or request.get("max_completion_tokens") or _USUAL_TOKENS
    schema = _schema(request)
    wanted = None if schema is None else json.dumps(_inner(schema) or schema)
    return Prompt(messages, wanted, int(limit), request.get("temperature"))


def _schema(request: Mapping[str, Any]) -> dict[str, Any] | None:
    form = request.get("response_format") or {}
    return dict(form["json_schema"]["schema"]) if form.get("type") == "json_schema" else None


def _inner(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of ``value`` where there is nothing else.

    This API has no other way to ask for a bare string. A model that has one answers better without the wrapping.
    """
    inside = schema.get("properties") or {}
    return dict(inside["value"]) if set(inside) == {"value"} and "$defs" not in schema else None


def text_of(done: Completed, request: Mapping[str, Any]) -> str:
    """The answer in the form that was asked for."""
    schema = _schema(request)
    wrapped = schema is not None and _inner(schema) is not None
    return json.dumps({"value": json.loads(done.text)}, ensure_ascii=False) if wrapped else done.text


def question_of(prompt: Prompt) -> str:
    """What is asked, as a short hash of its messages."""
    said = json.dumps([[message.role.name, message.content] for message in prompt.messages])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def answer_of(done: Completed, request: Mapping[str, Any]) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": text_of(done, request)}
    choice = {"index": 0, "message": message, "finish_reason": done.finish_reason}
    return {**_head("chat.completion", request), "choices": [choice], "usage": _usage(done)}


def stream_of(done: Completed, request: Mapping[str, Any]) -> bytes:
    """The same as a stream of one piece."""
    head = _head("chat.completion.chunk", request)
    delta = {"role": "assistant", "content": text_of(done, request)}
    chunks = (
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": done.finish_reason}]},
        {**head, "choices": [], "usage": _usage(done)},
    )
    return b"".join(b"data: " + _json(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def status_of(error: EndpointError) -> int:
    """The HTTP status by which an asker sees what kind of failure it was."""
    return error.status or (503 if error.retry or error.trips_breaker else 400)


def _head(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": 0, "model": request.get("model")}


def _usage(done: Completed) -> dict[str, int]:
    total = done.input_tokens + done.output_tokens
    return {"prompt_tokens": done.input_tokens, "completion_tokens": done.output_tokens, "total_tokens": total}


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _problem(words: str) -> bytes:
    return _json({"error": {"message": words, "type": "meter"}})


def open_model(pools: Mapping[str, PoolSettings]) -> Model:
    """The pools' endpoints, ready. Raises ``SettingsError`` and ``EndpointError``."""
    limits = {name: 1 if pool.kind == "local" else pool.concurrency for name, pool in pools.items()}
    endpoints = {name: endpoint_of(name, pool) for name, pool in pools.items()}
    model = Model(endpoints, limits, {name: pool.model for name, pool in pools.items()})
    for name, pool in pools.items():
        if pool.kind == "local":
            model.load(name)
    return model


def main(argv: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="The model of the demo, behind an endpoint that counts.")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--log", type=Path, required=True, help="where calls are written down")
    parser.add_argument("--project", type=Path, required=True, help="the project file with the pools")
    options = parser.parse_args(argv)
    try:
        model = open_model(find_pools(load_settings(options.project)))
        server = MeterServer(model, Log(options.log), options.port)
    except (AiosError, OSError) as error:
        sys.stderr.write(f"aiosv3: the model cannot be served: {error}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
