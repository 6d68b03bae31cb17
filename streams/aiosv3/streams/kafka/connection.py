"""How to reach Kafka, and what becomes of the complaints of librdkafka's clients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import codes

_LOG = logging.getLogger("aiosv3.streams.kafka")
_NAME: Final = "group.instance.id"  # of a fatal error librdkafka tells no more than the words
_QUIET: Final = 10.0  # seconds between two log lines of one kind


class AuthenticationFailed(BrokerUnavailable):
    """The broker answered, and did not accept who we say we are."""


class KafkaRefused(AiosError):
    """The broker answered a request with an error; ``code`` is Kafka's (``confluent_kafka.KafkaError``)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are and how to log in.

    ``security`` goes to librdkafka as it is (``security.protocol``, ``sasl.*``, ``ssl.*``) and is not in the
    repr.
    """

    bootstrap: str
    client_id: str = "aiosv3"
    security: Mapping[str, str] = field(default_factory=dict, repr=False)

    def config(self, watch: ClientWatch, **settings: str | float | bool) -> dict[str, Any]:
        """The configuration of one client: ``fetch_wait_max_ms=5`` means ``fetch.wait.max.ms=5``."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.client_id,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "socket.keepalive.enable": True,
            "log.connection.close": False,
            "error_cb": watch.on_error,
            "logger": watch,
            **self.security,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }


class ClientWatch:
    """Ears of one client. librdkafka calls it from inside ``poll`` only.

    A broker that is down makes librdkafka write 20 lines a second; here each kind of line passes
    once in 10 s.
    """

    def __init__(self, connection: Connection, role: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.role = role
        self.authentication: str | None = None
        self.fatal: KafkaError | None = None
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def log(self, level: int, text: str, *args: Any) -> None:
        """librdkafka's log line: ``args`` begin with its facility (``FAIL``, ``ERROR`` …)."""
        self._say(str(args[0]) if args else text, level, text % args)

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's ``error_cb``: informational, except that only it tells of a wrong password."""
        if error.code() in codes.NOT_LET_IN:
            self.authentication = error.str()
        if error.fatal() or error.code() == codes.FATAL:
            self.fatal = error
        self._say(error.name(), logging.WARNING, error.str())

    def _say(self, kind: str, level: int, text: str) -> None:
        now = self._clock()
        if now - self._last.get(kind, -_QUIET) < _QUIET:
            self._held[kind] = self._held.get(kind, 0) + 1
            return
        self._last[kind] = now
        _LOG.log(level, "%s: %s (%d more held back)", self.role, text, self._held.pop(kind, 0))

    def failure(self, error: KafkaError, doing: str) -> AiosError:
        """The error to raise for ``error``, in words that say what to do."""
        if self.authentication is not None:
            return AuthenticationFailed(
                f"{self.connection.bootstrap} does not let {self.connection.client_id} in "
                f"({self.authentication}): check user, password, mechanism and certificates in the settings"
            )
        if error.code() in codes.NO_ANSWER:
            return BrokerUnavailable(
                f"no Kafka broker answered at {self.connection.bootstrap} while {doing} ({error.str()}): "
                "start one ('aiosv3 up' runs one on this machine), or correct the bootstrap address"
            )
        return KafkaRefused(error.code(), f"{doing}: {explain(error)}")


def explain(error: KafkaError) -> str:
    """Kafka's name and words for an error, and the next step where there is one."""
    said = f"{error.name()}: {error.str()}"
    if error.code() in codes.MISSING:
        return f"{said}. Create the topic, or correct its name or partition"
    if error.code() in codes.FORBIDDEN:
        return f"{said}. Grant this principal the operation on that topic or group"
    if error.code() == codes.FATAL and _NAME in error.str():
        return f"{said}. Another worker has joined under its name: no two may have the same ([kafka] instance)"
    return said


def error_of(failure: KafkaException) -> KafkaError:
    """The ``KafkaError`` that every ``KafkaException`` of the client carries."""
    error = failure.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(codes.FAILED, str(failure))
