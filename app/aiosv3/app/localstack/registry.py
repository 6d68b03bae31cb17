"""An embedded schema registry that Confluent's clients talk to: HTTP on loopback, storage in a topic.

For ``aiosv3 up`` and tests: no authentication, Avro without references. Our schemas have their released ids at once.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosv3.app.localstack.catalog import Catalog, RegistryError
from aiosv3.app.localstack.errors import LocalStackError, PortTaken
from aiosv3.app.localstack.ports import LOOPBACK
from aiosv3.app.localstack.schemalog import MAX_BYTES, SchemaLog
from aiosv3.schemas.released import load_lock

# A page in a browser can send none of these to another origin without asking first.
_MEDIA: Final = ("application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json")


class RegistryServer(ThreadingHTTPServer):
    """On 127.0.0.1; ``port`` 0 takes a free one. Raises ``PortTaken`` and what ``open_log`` raises."""

    request_queue_size = 128

    def __init__(self, open_log: Callable[[Callable[[Any, Any], None]], SchemaLog], port: int = 0) -> None:
        self.known = Catalog((release.id, json.dumps(release.schema)) for release in load_lock())
        self.log = open_log(self.known.apply)
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
        try:
            status, answer = 200, self._answer()
        except RegistryError as error:
            status, answer = int(str(error.code)[:3]), {"error_code": error.code, "message": str(error)}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", _MEDIA[0])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the standard library looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
        """Requests are not logged; errors are in the answers."""

    def _answer(self) -> Any:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > MAX_BYTES:
            self.close_connection = True
            raise RegistryError(413, f"a body needs a Content-Length of at most {MAX_BYTES} bytes")
        content = self.rfile.read(int(length))
        if content and self.headers.get_content_type() not in _MEDIA:
            raise RegistryError(415, f"HTTP 415 Unsupported Media Type: send {_MEDIA[0]}")
        url = urlsplit(self.path)
        try:
            arguments = dict(parse_qsl(url.query)) | json.loads(content or b"{}")
        except (ValueError, TypeError, RecursionError) as error:
            raise RegistryError(400, f"the body is no JSON object: {error}") from error
        call = [self.command, *(unquote(part) for part in url.path.split("/") if part)]
        self.server.log.read()
        return {"GET": _get, "POST": _post}.get(self.command, _change)(self.server, call, arguments)


def _get(server: RegistryServer, call: list[str], _arguments: dict[str, Any]) -> Any:
    match call[1:]:
        case []:
            return {}
        case ["schemas", "ids", number]:
            return {"schema": server.known.schema(number)}
        case ["subjects"]:
            return server.known.subjects()
        case ["subjects", subject, "versions"]:
            return [one.version for one in server.known.versions(subject)]
        case ["subjects", subject, "versions", number]:
            return asdict(server.known.version(subject, number))
        case ["config"] | ["config", _]:
            return {"compatibilityLevel": server.known.level(*call[2:])}
    raise RegistryError(404, "HTTP 404 Not Found")


def _post(server: RegistryServer, call: list[str], arguments: dict[str, Any]) -> Any:
    text, known = arguments.get("schema"), server.known
    if not isinstance(text, str) or arguments.get("schemaType", "AVRO") != "AVRO" or arguments.get("references"):
        raise RegistryError(42201, "Invalid schema: only Avro without references is taken, as text in `schema`")
    match call[1:]:
        case ["subjects", subject]:
            return asdict(known.find(subject, text))
        case ["subjects", subject, "versions"]:
            server.log.append(lambda: known.register(subject, text, arguments.get("id")))
            return asdict(known.find(subject, text))
        case ["compatibility", "subjects", subject, "versions", *number]:
            earlier = [known.version(subject, one) for one in number] or known.versions(subject)
            messages = known.conflicts(subject, text, earlier)
            return {"is_compatible": not messages, "messages": messages}
    raise RegistryError(404, "HTTP 404 Not Found")


def _change(server: RegistryServer, call: list[str], arguments: dict[str, Any]) -> Any:
    match call:
        case ["PUT", "config"] | ["PUT", "config", _]:
            server.log.append(lambda: server.known.set_level(arguments.get("compatibility"), *call[2:]))
            return {"compatibility": arguments["compatibility"]}
        case ["DELETE", "subjects", subject]:
            doomed = server.known.versions(subject, deleted=arguments.get("permanent") == "true")
            server.log.append(lambda: server.known.delete(doomed))
            return [one.version for one in doomed]
    raise RegistryError(404, "HTTP 404 Not Found")


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; exit with the reason where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m aiosv3.app.localstack.registry")
    parser.add_argument("--bootstrap", required=True, help="host:port of the broker")
    parser.add_argument("--port", type=int, default=8081, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--topic", default="_schemas")
    options = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        server = RegistryServer(partial(SchemaLog, options.bootstrap, options.topic), options.port)
    except LocalStackError as error:
        sys.exit(f"the schema registry cannot start: {error}")
    print(f"schema registry on {server.url}, broker {options.bootstrap}", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
