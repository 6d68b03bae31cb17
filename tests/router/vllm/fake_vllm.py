"""A program that behaves like ``vllm serve`` to whoever starts, asks and stops it. As a class: the same server here.

Run as a program it is told by the environment: ``FAKE_VLLM_LOG`` (a line of JSON for each start and stop),
``FAKE_VLLM_START_S`` (seconds until it is well), ``FAKE_VLLM_TALKS`` (until then: ``progress``, or ``again`` the same),
``FAKE_VLLM_FAILS`` (ends at once with that code).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

_ANSWER = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Par"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": "is"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
]


class FakeVllm:
    """Serves on a free port of loopback, or on ``port``, until closed."""

    def __init__(self, port: int = 0, ready_at: float = 0.0) -> None:
        self.ready_at = ready_at
        self.asleep = False
        self.wakes = 0
        self.looks = 0
        self.wakeable = True
        self.full = False
        self.running, self.waiting, self.usage, self.queries, self.hits = 0, 0, 0.0, 0, 0
        self.asked: list[Any] = []
        fake = self

        class Handler(_Handler):
            server_state = fake

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeVllm:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def metrics(self) -> str:
        labels = 'engine="0",model_name="m, of \\"me\\""'
        histogram = "".join(
            f'vllm:e2e_request_latency_seconds_bucket{{{labels},le="{bound}"}} {bound}\n' for bound in range(400)
        )
        return (
            "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
            "# TYPE vllm:num_requests_running gauge\n"
            f"vllm:num_requests_running{{{labels}}} {self.running}.0\n"
            f"vllm:num_requests_waiting{{{labels}}} {self.waiting + 2}.0\n"
            f'vllm:num_requests_waiting_by_reason{{{labels},reason="capacity"}} {self.waiting}.0\n'
            f'vllm:num_requests_waiting_by_reason{{{labels},reason="deferred"}} 2.0\n'
            f"vllm:kv_cache_usage_perc{{{labels}}} {self.usage}\n"
            f"vllm:prefix_cache_queries_total{{{labels}}} {self.queries}.0\n"
            f"vllm:prefix_cache_queries_created{{{labels}}} 1.7e9\n"
            f"vllm:prefix_cache_hits_total{{{labels}}} {self.hits}.0\n"
            f'vllm:engine_sleep_state{{{labels},sleep_state="awake"}} {float(not self.asleep)}\n'
            f'vllm:engine_sleep_state{{{labels},sleep_state="weights_offloaded"}} {float(self.asleep)}\n{histogram}'
        )


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeVllm
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state = self.server_state
        if self.path == "/health":
            self._send(200 if time.monotonic() >= state.ready_at else 503)
        elif self.path == "/metrics":
            state.looks += 1
            self._send(200, state.metrics().encode(), "text/plain; version=0.0.4")
        elif self.path == "/v1/models":
            self._send(200, json.dumps({"object": "list", "data": [{"id": "m"}]}).encode())
        else:
            self._send(404)

    def do_POST(self) -> None:
        state = self.server_state
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/wake_up":
            state.wakes += 1
            state.asleep = state.asleep and not state.wakeable
            self._send(200 if state.wakeable else 404)
        elif self.path == "/die":
            os._exit(3)
        elif self.path == "/v1/chat/completions" and state.full:
            self._send(503, b'{"error": {"message": "too many requests wait", "type": "Service Unavailable"}}')
        elif self.path == "/v1/chat/completions":
            state.asked.append(json.loads(body))
            events = [f"data: {json.dumps(piece)}\n\n" for piece in _ANSWER] + ["data: [DONE]\n\n"]
            self._send(200, "".join(events).encode(), "text/event-stream")
        else:
            self._send(404)

    def _send(self, status: int, body: bytes = b"", kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the library
        return None


def _note(**facts: Any) -> None:
    with Path(os.environ["FAKE_VLLM_LOG"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"pid": os.getpid(), **facts}) + "\n")


def main() -> None:
    _note(started=sys.argv[1:])
    if (code := os.environ.get("FAKE_VLLM_FAILS")) is not None:
        sys.stderr.write("ValueError: the model's config cannot be read\n")
        raise SystemExit(int(code))
    port = int(sys.argv[sys.argv.index("--port") + 1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ready_at = time.monotonic() + float(os.environ.get("FAKE_VLLM_START_S", "0"))
    sys.stderr.write("INFO Loading weights\n")
    sys.stderr.flush()
    talk, said = os.environ.get("FAKE_VLLM_TALKS"), 0
    with FakeVllm(port, ready_at):
        while not stop.wait(0.02):
            if talk and time.monotonic() < ready_at:
                said += talk == "progress"
                sys.stderr.write(f"INFO 11-30 06:10:{time.time() % 60:09.6f} shards: {said}% Completed\r")
                sys.stderr.flush()
    _note(stopped=True)


if __name__ == "__main__":
    main()
