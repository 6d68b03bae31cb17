"""Why a model call failed. The type, with four answers on it, says what happens next.

    AiosError
    └── EndpointError            reroute  retry  trips the breaker
        ├── RateLimited          yes      yes    no (Retry-After pauses; used-up quota: no retry, trips)
        ├── Overloaded           yes      *      no (503 admission refused: no retry here; 529: retry)
        ├── ServerFault          yes      yes    yes
        ├── Unreachable          yes      yes    yes
        ├── CallTimeout          yes      no     yes (outcome unknown: may be on the bill)
        ├── StreamCut            yes      yes    yes (carries what was used so far)
        ├── MalformedReply       yes      no     yes
        ├── CredentialsRefused   yes      no     yes
        ├── ModelMissing         yes      no     yes
        ├── ContextTooLong       yes      no     no  (to a larger window)
        ├── SchemaViolated       yes      yes    no
        ├── BadRequest           no       no     no  (final: the request itself is wrong)
        └── ContentRefused       no       no     no  (final: a filter or the model declined)

Messages are made of our words, the status and the provider's code and message (cut to 300 characters, credentials
masked). A provider may quote the prompt in its message, so where only the kind of failure may be told (pool status),
use ``EndpointError.label``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aiosv3.schemas.errors import AiosError


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of a call. ``estimated``: at least one number is ours (four characters a token), not the provider's.

    ``input_tokens`` includes ``cached_tokens`` (read from the provider's cache), ``written_tokens`` (put there for
    minutes) and ``kept_tokens`` (for an hour or more). ``standard``: the provider says that it was no call that waits.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    kept_tokens: int = 0
    estimated: bool = False
    standard: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do after a failure.

    ``reroute``: another pool may answer. ``retry``: this endpoint may answer the same call soon.
    ``trips_breaker``: it speaks against the endpoint, not against the request.
    """

    reroute: bool = False
    retry: bool = False
    trips_breaker: bool = False


class EndpointError(AiosError):
    """A call without an answer. ``status`` is HTTP's, if one came; ``retry_after_s`` what the endpoint asked for."""

    usual: ClassVar[Advice] = Advice()

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        spent: Spent | None = None,
        advice: Advice | None = None,
        provider_request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.spent = spent
        self.advice = advice or self.usual
        self.provider_request_id = provider_request_id

    @property
    def reroute(self) -> bool:
        """Whether to try another pool."""
        return self.advice.reroute

    @property
    def retry(self) -> bool:
        """Whether this endpoint may answer the same call soon."""
        return self.advice.retry

    @property
    def trips_breaker(self) -> bool:
        """Whether it counts against the endpoint."""
        return self.advice.trips_breaker

    @property
    def billed(self) -> bool:
        """Whether tokens of this call are, or may be, on the bill."""
        return self.spent is not None

    @property
    def input_tokens(self) -> int:
        """Input tokens that may be on the bill."""
        return self.spent.input_tokens if self.spent else 0

    @property
    def output_tokens(self) -> int:
        """Output tokens that may be on the bill."""
        return self.spent.output_tokens if self.spent else 0

    @property
    def cached_tokens(self) -> int:
        """Those of the input tokens that the provider had in its cache."""
        return self.spent.cached_tokens if self.spent else 0

    @property
    def usage_estimated(self) -> bool:
        """Whether the numbers are estimates."""
        return self.spent is not None and self.spent.estimated

    @property
    def label(self) -> str:
        """The failure without a word of the provider's, such as ``RateLimited 429``."""
        name = type(self).__name__
        return name if self.status is None else f"{name} {self.status}"


class RateLimited(EndpointError):
    """429. Without ``Retry-After`` a short pause is enough; a used-up quota is not worth a retry."""

    usual = Advice(reroute=True, retry=True)


class Overloaded(EndpointError):
    """The endpoint is well but full: 503 (admission refused), 529, 409 for a call that is still running."""

    usual = Advice(reroute=True)


class ServerFault(EndpointError):
    """500, 502, 504 and other failures of the server."""

    usual = Advice(reroute=True, retry=True, trips_breaker=True)


class Unreachable(EndpointError):
    """No connection, so nothing was sent and nothing is billed."""

    usual = Advice(reroute=True, retry=True, trips_breaker=True)


class CallTimeout(EndpointError):
    """The time is up. The call may have been answered, and billed, all the same."""

    usual = Advice(reroute=True, trips_breaker=True)


class StreamCut(EndpointError):
    """The answer ended without its finish marker, or the connection was lost. What came is billed, not used."""

    usual = Advice(reroute=True, retry=True, trips_breaker=True)


class MalformedReply(EndpointError):
    """Not what the protocol says: wrong content type, broken JSON, a redirect, more bytes than allowed."""

    usual = Advice(reroute=True, trips_breaker=True)


class BadRequest(EndpointError):
    """400, 422: this request is wrong everywhere."""


class ContextTooLong(EndpointError):
    """The prompt does not fit this model's window; a larger one may take it."""

    usual = Advice(reroute=True)


class CredentialsRefused(EndpointError):
    """401, 403, 402: the key, its rights or its account. Nothing works here until somebody acts."""

    usual = Advice(reroute=True, trips_breaker=True)


class ModelMissing(EndpointError):
    """404: the endpoint has no such model, or is no such API."""

    usual = Advice(reroute=True, trips_breaker=True)


class SchemaViolated(EndpointError):
    """A complete answer that is not JSON for the output schema."""

    usual = Advice(reroute=True, retry=True)


class ContentRefused(EndpointError):
    """A content filter or the model itself declined. Asking elsewhere would go around that."""
