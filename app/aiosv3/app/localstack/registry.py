"""An embedded schema registry that Confluent's clients talk to: HTTP on loopback, storage in ``_schemas``.

For ``aiosv3 up`` and tests: one process, no authentication. Every release of this distribution's own schemas is
known from the start under its released id, so ids are equal on every machine.

    python -m aiosv3.app.localstack.registry --bootstrap 127.0.0.1:9092 --port 8081
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from aiosv3.app.localstack.catalog import RegistryError
from aiosv3.app.localstack.errors import PortTaken
from aiosv3.app.localstack.ports import LOOPBACK
from aiosv3.app.localstack.registry_api import SchemaRegistry
from aiosv3.app.localstack.schemalog import SCHEMAS_TOPIC, SchemaLog, SchemaLogUnavailable
from aiosv3.schemas.released import load_lock

_CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_MAX_BODY: Final = 4 * 1024 * 1024


class RegistryServer(ThreadingHTTPServer):
    """Serves ``registry`` on 127.0.0.1; ``port`` 0 takes a free one. Raises ``PortTaken``."""

    daemon_threads = True

    def __init__(self, registry: SchemaRegistry, port: int = 0) -> None:
        self.registry = registry
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise PortTaken("the schema registry", port) from error
        self.url = f"http://{LOOPBACK}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RegistryServer
    # One write a response, sent at once: without this each answer waits for a delayed acknowledgement (40 ms).
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 300

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_GET  # noqa: N815 - the standard library looks for these names
    do_PUT = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
        """Requests are not logged; errors are in the answers."""

    def _answer(self) -> None:
        try:
            status, value = 200, self._handle()
        except RegistryError as error:
            status, value = error.status, {"error_code": error.code, "message": str(error)}
        except SchemaLogUnavailable as error:
            status, value = 500, {"error_code": 50001, "message": f"Error in the backend data store: {error}"}
        content = json.dumps(value).encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> Any:
        body = self._body()
        url = urlsplit(self.path)
        return self.server.registry.handle(self.command, url.path.rstrip("/"), dict(parse_qsl(url.query)), body)

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise RegistryError(413, 413, f"a body needs a Content-Length of at most {_MAX_BODY} bytes")
        data = self.rfile.read(int(length))
        try:
            body = json.loads(data) if data else {}
        except (ValueError, RecursionError) as error:
            raise RegistryError(400, 400, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise RegistryError(400, 400, "the body is not a JSON object")
        return body


def open_registry(bootstrap: str, topic: str = SCHEMAS_TOPIC) -> SchemaRegistry:
    """A registry on the log of ``bootstrap``, rebuilt. Blocks. Raises ``SchemaLogUnavailable``."""
    log = SchemaLog(bootstrap, topic)
    log.ensure()
    registry = SchemaRegistry(log, [(release.id, json.dumps(release.schema)) for release in load_lock()])
    registry.load()
    return registry


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit code 1, with the reason on stderr, where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m aiosv3.app.localstack.registry", description=__doc__)
    parser.add_argument("--bootstrap", required=True, help="host:port of the broker")
    parser.add_argument("--port", type=int, default=8081, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--topic", default=SCHEMAS_TOPIC)
    options = parser.parse_args(argv)
    try:
        server = RegistryServer(open_registry(options.bootstrap, options.topic), options.port)
    except (SchemaLogUnavailable, PortTaken) as error:
        print(f"the schema registry cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop that this handler interrupts: it needs a thread of its own.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"schema registry on {server.url}, broker {options.bootstrap}", flush=True)  # noqa: T201
    with server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
