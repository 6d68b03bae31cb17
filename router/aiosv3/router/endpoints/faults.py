"""What providers say when they refuse, as our errors.

Sources: OpenAI "Error codes", Anthropic "Errors", vLLM's ``ErrorResponse``, llama.cpp's server README, RFC 9110
(10.2.3 ``Retry-After``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aiosv3.router.endpoints.errors import (
    Advice,
    BadRequest,
    CallTimeout,
    ContentRefused,
    ContextTooLong,
    CredentialsRefused,
    EndpointError,
    MalformedReply,
    ModelMissing,
    Overloaded,
    RateLimited,
    ServerFault,
    Spent,
)

LONGEST_RETRY_AFTER_S: Final = 86_400.0
_LONGEST_MESSAGE: Final = 300

_CONTEXT_CODES: Final = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "request_too_large", "max_tokens_exceeded"}
)
_CONTEXT_WORDS: Final = re.compile(
    r"maximum context length|prompt is too long|input is too long|too many (input |prompt )?tokens"
    r"|exceeds? .{0,40}context (size|length|window)|context (size|length|window) .{0,20}exceeded",
    re.IGNORECASE,
)
_CONTENT_CODES: Final = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})

_BY_STATUS: Final[Mapping[int, type[EndpointError]]] = {
    401: CredentialsRefused,
    402: CredentialsRefused,
    403: CredentialsRefused,
    404: ModelMissing,
    408: CallTimeout,
    409: Overloaded,
    413: ContextTooLong,
    425: Overloaded,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}
_STATUS_OF: Final[Mapping[str, int]] = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "notfounderror": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "service_unavailable": 503,
    "unavailable_error": 503,
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """A provider's error object. Codes are lower case, with ``_`` for a space; empty where not given."""

    code: str = ""
    kind: str = ""
    message: str = ""
    param: str = ""

    @classmethod
    def read(cls, body: object) -> Complaint:
        """From any of the usual forms, or an empty one."""
        while isinstance(body, dict) and body.get("error"):
            body = body["error"]
        if isinstance(body, dict):
            message = body.get("message") or body.get("detail") or ""
            return cls(_code(body.get("code")), _code(body.get("type")), _shown(message), _shown(body.get("param")))
        return cls(message=_shown(body))

    @property
    def codes(self) -> frozenset[str]:
        """Code and type: providers disagree which of them is the telling one."""
        return frozenset({self.code, self.kind})

    def status(self) -> int:
        """The HTTP status that this would have had, for errors within a stream; 500 where nothing tells."""
        if self.code.isascii() and self.code.isdigit() and len(self.code) == 3 and int(self.code) >= 400:
            return int(self.code)
        return next((_STATUS_OF[code] for code in (self.code, self.kind) if code in _STATUS_OF), 500)


def refused(status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None) -> EndpointError:
    """An answer that is no 200. ``headers`` are looked up in lower case; ``now`` serves where no ``Date`` came."""
    try:
        complaint = Complaint.read(json.loads(body))
    except (ValueError, RecursionError):
        complaint = Complaint(message=_shown(body.decode("utf-8", "replace")))
    wait = retry_after(headers, now)
    return _fault(status, complaint, wait, None, headers.get("x-request-id") or headers.get("request-id"))


def failed_midway(error: object, spent: Spent, request_id: str | None) -> EndpointError:
    """An error object inside a stream that began with 200: what came before it is billed."""
    complaint = Complaint.read(error)
    return _fault(complaint.status(), complaint, None, spent, request_id)


def refused_parameter(error: EndpointError, name: str) -> bool:
    """Whether the endpoint refused the request for the mere presence of a parameter."""
    pattern = rf"unsupported.{{0,40}}\b{name}\b"
    return isinstance(error, BadRequest) and bool(re.search(pattern, error.message, re.IGNORECASE))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that an endpoint asks to wait: ``retry-after-ms``, or ``Retry-After`` as seconds or HTTP-date.

    A date is measured from the answer's own ``Date``, so clocks that differ do no harm. Unreadable is None.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _seconds(text)
    if seconds is not None:
        return seconds
    until = _date(text)
    if until is None:
        return None
    start = _date(headers.get("date", "")) or now or datetime.now(UTC)
    return min(LONGEST_RETRY_AFTER_S, max(0.0, (until - start).total_seconds()))


def _fault(
    status: int, complaint: Complaint, wait: float | None, spent: Spent | None, request_id: str | None
) -> EndpointError:
    cause = _class(status, complaint)
    said = ": ".join(part for part in (complaint.code or complaint.kind, complaint.message) if part)
    return cause(
        f"HTTP {status}" + (f", {said}" if said else ""),
        status=status,
        retry_after_s=wait,
        spent=spent,
        advice=_advice(cause, status, complaint, wait),
        provider_request_id=request_id,
    )


def _class(status: int, complaint: Complaint) -> type[EndpointError]:
    if complaint.codes & _CONTENT_CODES:
        return ContentRefused
    # Some servers answer 500 to a prompt that is too long.
    if status in {400, 422, 500} and (complaint.codes & _CONTEXT_CODES or _CONTEXT_WORDS.search(complaint.message)):
        return ContextTooLong
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ServerFault
    return BadRequest if status >= 400 else MalformedReply


def _advice(cause: type[EndpointError], status: int, complaint: Complaint, wait: float | None) -> Advice | None:
    if complaint.codes & _QUOTA_CODES:
        return Advice(reroute=True, trips_breaker=True)
    if cause is Overloaded and (wait is not None or status != 503):
        return Advice(reroute=True, retry=True)
    return None


def _code(value: object) -> str:
    return str(value).strip().lower().replace(" ", "_")[:80] if isinstance(value, str | int) else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.encode("utf-8", "replace").decode().split())[:_LONGEST_MESSAGE]


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else min(LONGEST_RETRY_AFTER_S, max(0.0, value))


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
