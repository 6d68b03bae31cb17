from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiosv3.schemas.errors import IncompatibleSchema, RegistryUnavailable, UnknownSchema
from aiosv3.schemas.registry import Registered, RegistryAccess, RegistryClient, RegistryRefused
from aiosv3.schemas.store import Registry

SCHEMA = {"type": "record", "name": "Ticket", "fields": [{"name": "id", "type": "string"}]}
ABSENT = httpx.Response(404, json={"error_code": 40403, "message": "Schema not found"})


def client(
    answer: httpx.Response | Callable[[httpx.Request], httpx.Response], access: RegistryAccess | None = None
) -> RegistryClient:
    handler = answer if callable(answer) else lambda request: answer
    return RegistryClient("http://registry/api/", access, httpx.MockTransport(handler))


def answers(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


async def test_register_names_the_subject_and_sends_the_schema_as_text() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers({"id": 12})

    async with client(answer) as registry:
        port: Registry = registry
        assert await port.register("aios.tasks.a/b-value", SCHEMA) == 12
    assert (seen[0].method, seen[0].url.raw_path) == ("POST", b"/api/subjects/aios.tasks.a%2Fb-value/versions")
    body = json.loads(seen[0].content)
    assert (json.loads(body["schema"]), body["schemaType"]) == (SCHEMA, "AVRO")


@pytest.mark.parametrize("status", [409, 422])
async def test_a_refused_schema_is_incompatible(status: int) -> None:
    with pytest.raises(IncompatibleSchema, match="t-value: READER_FIELD_MISSING") as caught:
        await client(answers({"error_code": status, "message": "READER_FIELD_MISSING"}, status)).register(
            "t-value", SCHEMA
        )
    assert caught.value.subject == "t-value"


@pytest.mark.parametrize("known", [True, False])
async def test_who_may_only_read_gets_the_id_of_what_is_registered(known: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/versions"):
            return answers({"error_code": 40301, "message": "read only"}, 403)
        return answers({"id": 7, "version": 1, "schema": json.dumps(SCHEMA)}) if known else ABSENT

    if known:
        assert await client(answer).register("t-value", SCHEMA) == 7
    else:
        with pytest.raises(RegistryRefused, match="403 read only"):
            await client(answer).register("t-value", SCHEMA)


async def test_schema_by_id() -> None:
    assert await client(answers({"schema": json.dumps(SCHEMA)})).schema(1) == SCHEMA
    with pytest.raises(UnknownSchema, match="no schema 1"):
        await client(ABSENT).schema(1)


@pytest.mark.parametrize("more", [{"schemaType": "PROTOBUF"}, {"references": [{"name": "x"}]}])
async def test_what_is_no_self_contained_avro_is_unknown(more: dict[str, Any]) -> None:
    with pytest.raises(UnknownSchema, match="self-contained"):
        await client(answers({"schema": json.dumps(SCHEMA), **more})).schema(1)


async def test_lookup_version_and_versions() -> None:
    stored = answers({"subject": "t-value", "id": 4, "version": 2, "schema": json.dumps(SCHEMA)})
    assert await client(stored).lookup("t-value", SCHEMA) == Registered(4, 2, SCHEMA)
    assert await client(stored).version("t-value", 2) == Registered(4, 2, SCHEMA)
    assert await client(ABSENT).lookup("t-value", SCHEMA) is None
    assert await client(answers([3, 1])).versions("t-value") == [1, 3]
    assert await client(ABSENT).versions("t-value") == []
    with pytest.raises(UnknownSchema):
        await client(ABSENT).version("t-value", 9)


async def test_compatibility() -> None:
    assert not await client(answers({"is_compatible": False})).is_compatible("t-value", SCHEMA)
    assert await client(ABSENT).is_compatible("t-value", SCHEMA)
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers({"compatibility": "BACKWARD_TRANSITIVE"})

    await client(answer).set_compatibility("t-value")
    assert (seen[0].method, seen[0].url.path) == ("PUT", "/api/config/t-value")
    assert json.loads(seen[0].content) == {"compatibility": "BACKWARD_TRANSITIVE"}


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_a_registry_that_cannot_answer_is_unavailable(status: int) -> None:
    with pytest.raises(RegistryUnavailable, match=str(status)) as caught:
        await client(httpx.Response(status, text="busy")).schema(1)
    assert not isinstance(caught.value, RegistryRefused)


@pytest.mark.parametrize("status", [301, 401, 403])
async def test_a_refusal_waits_too_and_says_why(status: int) -> None:
    with pytest.raises(RegistryRefused, match=str(status)):
        await client(httpx.Response(status, text="no")).schema(1)


async def test_a_404_of_something_in_between_makes_no_record_unreadable() -> None:
    for answer in (httpx.Response(404, text="<html>"), answers({"detail": "no route"}, 404)):
        with pytest.raises(RegistryUnavailable):
            await client(answer).schema(1)


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>"), answers([]), answers({}), answers({"schema": 1}), answers({"schema": "{"})],
)
async def test_an_answer_that_is_no_registrys_is_unavailable(answer: httpx.Response) -> None:
    with pytest.raises(RegistryUnavailable, match="is it a schema registry"):
        await client(answer).schema(1)


async def test_other_strange_answers() -> None:
    for answer in (answers({"id": "x"}), answers([1])):
        with pytest.raises(RegistryUnavailable):
            await client(answer).register("t-value", SCHEMA)
    with pytest.raises(RegistryUnavailable):
        await client(answers({"a": 1})).versions("t-value")
    with pytest.raises(RegistryUnavailable):
        await client(answers({})).is_compatible("t-value", SCHEMA)


async def test_no_network_is_unavailable() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(RegistryUnavailable, match="does not answer: ConnectError"):
        await client(fail).schema(1)


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (RegistryAccess(username="u", password="p"), "Basic dTpw"),
        (RegistryAccess(token="t"), "Bearer t"),
        (RegistryAccess(), None),
    ],
)
async def test_credentials(access: RegistryAccess, header: str | None) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return answers([])

    await client(answer, access).versions("t-value")
    assert seen == [header]


def test_certificates_are_loaded_at_once(tmp_path: Path) -> None:
    for access in (RegistryAccess(ca=tmp_path / "ca.pem"), RegistryAccess(certificate=tmp_path / "cert.pem")):
        with pytest.raises(FileNotFoundError):
            client(ABSENT, access)


def test_secrets_are_not_shown() -> None:
    shown = repr(RegistryAccess(username="u", password="hush", token="shh"))
    assert "hush" not in shown
    assert "shh" not in shown


async def test_the_rule_of_all_subjects_and_of_one() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return answers({"compatibilityLevel": "BACKWARD"})

    async with client(answer) as registry:
        assert await registry.compatibility() == "BACKWARD"
        assert await registry.compatibility("t-value") == "BACKWARD"
    assert seen == ["/api/config", "/api/config/t-value"]
    async with client(ABSENT) as registry:
        assert await registry.compatibility("t-value") is None
        with pytest.raises(RegistryRefused):
            await registry.compatibility()
    async with client(answers({"level": "NONE"})) as registry:
        with pytest.raises(RegistryUnavailable, match="is it a schema registry"):
            await registry.compatibility()
