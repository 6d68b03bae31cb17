from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from aiosv3.app.doctor import Level, registry
from aiosv3.schemas.errors import RegistryUnavailable
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.released import load_lock

_ABSENT = httpx.Response(404, json={"error_code": 40403, "message": "not found"})
_RELEASED = {f"/schemas/ids/{release.id}": release.schema for release in load_lock()}


@pytest.fixture
def answered(case_of: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Checks a registry that answers as it is told."""

    async def check(answer: Callable[[httpx.Request], httpx.Response]) -> Any:
        client = RegistryClient("http://registry", None, httpx.MockTransport(answer))
        monkeypatch.setattr(registry, "open_registry", lambda _settings, _patience: client)
        return await registry.check(case_of('[registry]\nurl = "http://registry"'))

    return check


def knows(request: httpx.Request, level: str = "BACKWARD") -> httpx.Response:
    if request.url.path == "/config":
        return httpx.Response(200, json={"compatibilityLevel": level})
    if request.url.path in _RELEASED:
        return httpx.Response(200, json={"schema": json.dumps(_RELEASED[request.url.path])})
    return _ABSENT


async def test_a_registry_that_knows_us(answered: Any) -> None:
    found = await answered(knows)
    assert [one.level for one in found] == [Level.OK, Level.OK]
    assert found[1].message == f"it knows {len(_RELEASED)} of our {len(_RELEASED)} released schemas by their ids"


async def test_without_a_rule_it_is_a_warning(answered: Any) -> None:
    found = await answered(lambda request: knows(request, "NONE"))
    assert (found[0].level, found[0].action) == (
        Level.WARNING,
        'PUT http://registry/config {"compatibility": "BACKWARD_TRANSITIVE"}',
    )


async def test_other_schemas_under_our_ids_fail(answered: Any) -> None:
    first = next(iter(_RELEASED))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"schema": '"string"'}) if request.url.path == first else knows(request)

    found = await answered(answer)
    assert (found[1].level, first.rpartition("/")[2] in found[1].message) == (Level.FAILED, True)


async def test_ids_of_its_own_are_fine_and_what_it_does_not_know_is_a_warning(answered: Any) -> None:
    def knows_nothing(request: httpx.Request) -> httpx.Response:
        return knows(request) if request.url.path == "/config" else _ABSENT

    def own_ids(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"id": 7, "version": 1, "schema": '"string"'})
        return knows_nothing(request)

    unknown = (await answered(knows_nothing))[1]
    assert (unknown.level, "aios.prompts" in unknown.message) == (Level.WARNING, True)
    own = (await answered(own_ids))[1]
    assert (own.level, own.message.endswith("under ids of its own")) == (Level.OK, True)


async def test_one_that_does_not_answer_fails_and_none_is_needed(case_of: Any) -> None:
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        await registry.check(case_of('[registry]\nurl = "http://127.0.0.1:1"'))
    (found,) = await registry.check(case_of())
    assert found.level is Level.OK
