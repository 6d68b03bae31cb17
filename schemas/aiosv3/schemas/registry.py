"""A client of any schema registry that speaks Confluent's REST interface (Confluent, Apicurio, Karapace,
ours).

Subjects are named by topic (``TopicNameStrategy``): :meth:`aiosv3.schemas.topics.Topics.subject` makes the
name, and it is always passed explicitly.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx

from aiosv3.schemas.errors import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from aiosv3.schemas.fingerprints import Schema

_MEDIA: Final = "application/vnd.schemaregistry.v1+json"
_SHOWN: Final = 200
_NOT_ALLOWED: Final = (httpx.codes.FORBIDDEN, httpx.codes.METHOD_NOT_ALLOWED)
_LATER: Final = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


class RegistryRefused(RegistryUnavailable):
    """The registry answered, and refuses.

    Credentials, rights or address are wrong. Records wait until that is put right.
    """


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How to get in: ``username`` with ``password``, or ``token``.

    ``ca`` checks the registry, ``certificate`` with ``key`` shows who we are: paths of PEM files. ``timeout`` is in
    seconds, for each request.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    timeout: float = 10.0


class Registered(NamedTuple):
    """A schema as it stands under a subject."""

    id: int
    version: int
    schema: Schema


class RegistryClient:
    """Use as an asynchronous context manager, or call :meth:`aclose`. ``transport`` replaces the network in
    tests.

    Every method raises :class:`RegistryUnavailable` when there is no answer that can be understood, and its
    subclass :class:`RegistryRefused` for a refusal. Nothing is retried here: the caller knows how long it can
    wait.
    """

    def __init__(
        self, url: str, access: RegistryAccess | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        access = access or RegistryAccess()
        headers = {"accept": _MEDIA}
        if access.token is not None:
            headers["authorization"] = f"Bearer {access.token}"
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self._url,
            auth=None if access.username is None else (access.username, access.password or ""),
            headers=headers,
            timeout=access.timeout,
            transport=transport,
            verify=_trust(access),
        )

    async def __aenter__(self) -> RegistryClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def register(self, subject: str, schema: Schema) -> int:
        """The id of ``schema`` under ``subject``, new or not; raises :class:`IncompatibleSchema`.

        Who may read only, gets the id of a schema that somebody else has registered there.
        """
        answer = await self._ask("POST", f"/subjects/{_part(subject)}/versions", _body(schema))
        if answer.status_code in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            words = _words(answer)
            raise IncompatibleSchema(subject, "(top)", words, f"the registry refuses {subject}: {words}")
        try:
            return self._whole_number(self._good(answer), "id")
        except RegistryRefused:
            if answer.status_code not in _NOT_ALLOWED or (found := await self.lookup(subject, schema)) is None:
                raise
            return found.id

    async def lookup(self, subject: str, schema: Schema) -> Registered | None:
        """``schema`` as it stands under ``subject``; None when it does not."""
        answer = await self._ask("POST", f"/subjects/{_part(subject)}", _body(schema))
        return None if _is_absent(answer) else self._registered(self._good(answer))

    async def schema(self, schema_id: int) -> Schema:
        """The schema with this id.

        Raises :class:`UnknownSchema` when the registry says that there is none.
        """
        answer = await self._ask("GET", f"/schemas/ids/{schema_id}")
        if _is_absent(answer):
            raise UnknownSchema(f"{self._url} has no schema {schema_id}")
        found = self._good(answer)
        kind = found.get("schemaType", "AVRO")
        if kind != "AVRO" or found.get("references"):
            raise UnknownSchema(f"schema {schema_id} of {self._url} is no self-contained Avro ({kind})")
        return self._parsed(found)

    async def versions(self, subject: str) -> list[int]:
        """The numbers of all versions, oldest first; empty for a subject that does not exist."""
        answer = await self._ask("GET", f"/subjects/{_part(subject)}/versions")
        if _is_absent(answer):
            return []
        found = self._json(answer)
        if not isinstance(found, list) or not all(isinstance(number, int) for number in found):
            raise self._strange(answer)
        return sorted(found)

    async def version(self, subject: str, number: int) -> Registered:
        """One version; raises :class:`UnknownSchema`."""
        answer = await self._ask("GET", f"/subjects/{_part(subject)}/versions/{number}")
        if _is_absent(answer):
            raise UnknownSchema(f"{self._url} has no version {number} of {subject}")
        return self._registered(self._good(answer))

    async def is_compatible(self, subject: str, schema: Schema) -> bool:
        """Whether the registry would take ``schema`` as the next version.

        True for a subject that does not exist.
        """
        answer = await self._ask("POST", f"/compatibility/subjects/{_part(subject)}/versions", _body(schema))
        if _is_absent(answer):
            return True
        verdict = self._good(answer).get("is_compatible")
        if not isinstance(verdict, bool):
            raise self._strange(answer)
        return verdict

    async def compatibility(self, subject: str | None = None) -> str | None:
        """The rule by which new versions are checked, such as ``BACKWARD``: that of all subjects, or of one.

        None for a subject without a rule of its own.
        """
        path = "/config" if subject is None else f"/config/{_part(subject)}"
        answer = await self._ask("GET", path)
        if subject is not None and _is_absent(answer):
            return None
        level = self._good(answer).get("compatibilityLevel")
        if not isinstance(level, str):
            raise self._strange(answer)
        return level

    async def set_compatibility(self, subject: str, level: str = "BACKWARD_TRANSITIVE") -> None:
        """Makes the registry check new versions of ``subject`` by this rule."""
        self._good(await self._ask("PUT", f"/config/{_part(subject)}", {"compatibility": level}))

    async def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": _MEDIA}
        try:
            return await self._http.request(method, path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RegistryUnavailable(f"{self._url} does not answer: {type(error).__name__} {error}") from error

    def _good(self, answer: httpx.Response) -> dict[str, Any]:
        found = self._json(answer)
        if not isinstance(found, dict):
            raise self._strange(answer)
        return found

    def _json(self, answer: httpx.Response) -> Any:
        if answer.is_server_error or answer.status_code in _LATER:
            raise RegistryUnavailable(f"{self._url} cannot answer now: {answer.status_code} {_words(answer)}")
        if not answer.is_success:
            raise RegistryRefused(f"{answer.request.url} is refused: {answer.status_code} {_words(answer)}")
        try:
            return answer.json()
        except ValueError as error:
            raise self._strange(answer) from error

    def _registered(self, found: dict[str, Any]) -> Registered:
        return Registered(self._whole_number(found, "id"), self._whole_number(found, "version"), self._parsed(found))

    def _whole_number(self, found: dict[str, Any], name: str) -> int:
        value = found.get(name)
        if not isinstance(value, int):
            raise RegistryUnavailable(f"{self._url} answers without {name}: is it a schema registry?")
        return value

    def _parsed(self, found: dict[str, Any]) -> Schema:
        try:
            schema: Schema = json.loads(found["schema"])
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryUnavailable(f"{self._url} answers without a schema: is it a schema registry?") from error
        return schema

    def _strange(self, answer: httpx.Response) -> RegistryUnavailable:
        return RegistryUnavailable(f"{self._url} answers {_words(answer)}: is it a schema registry?")


def _is_absent(answer: httpx.Response) -> bool:
    """A registry's own 404.

    Any other 404 comes from something in between, and must not make a record unreadable.
    """
    if answer.status_code != httpx.codes.NOT_FOUND:
        return False
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and "error_code" in body


def _trust(access: RegistryAccess) -> ssl.SSLContext | bool:
    if access.ca is None and access.certificate is None:
        return True
    context = ssl.create_default_context(cafile=access.ca)
    if access.certificate is not None:
        context.load_cert_chain(access.certificate, access.key)
    return context


def _body(schema: Schema) -> dict[str, str]:
    return {"schema": json.dumps(schema, separators=(",", ":")), "schemaType": "AVRO"}


def _part(subject: str) -> str:
    return quote(subject, safe="")


def _words(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        body = None
    text = str(body["message"]) if isinstance(body, dict) and "message" in body else answer.text
    return text[:_SHOWN]
