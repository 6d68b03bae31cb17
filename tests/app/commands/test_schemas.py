"""``aiosv3 schemas check|push`` against a registry over HTTP: what is refused, and what a locked one lets through."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from aiosv3.app.localstack.ports import free_port
from aiosv3.app.projects import load_agents
from aiosv3.app.settings import Settings, load_settings
from aiosv3.app.workers import open_store
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.store import SchemaStore

_MODULE = """
from pydantic import BaseModel

from aiosv3.agents import Context, agent


class Letter(BaseModel):
    text: str
    {field}


@agent
async def {name}(ctx: Context, letter: Letter) -> str:
    return letter.text
"""


class _Registry:
    """As much of Confluent's interface as is asked here, in memory; nobody may write once it is ``locked``."""

    def __init__(self) -> None:
        self.locked = False
        self.schemas: list[str] = []
        self.subjects: dict[str, list[int]] = {}
        self.levels: dict[str, str] = {}

    def client(self, _settings: Settings) -> RegistryClient:
        """A new client of it."""
        return RegistryClient("http://registry", None, httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        kind, subject, *rest = request.url.path.strip("/").split("/")
        body = json.loads(request.content or b"{}")
        if self.locked and (request.method == "PUT" or (request.method == "POST" and rest == ["versions"])):
            return httpx.Response(403, json={"error_code": 40301, "message": "you may only read"})
        if kind == "config":
            self.levels[subject] = body["compatibility"]
            return httpx.Response(200, json=body)
        if request.method == "POST":
            return self._post(subject, body["schema"], registers=rest == ["versions"])
        return self._get(subject, rest)

    def _post(self, subject: str, schema: str, *, registers: bool) -> httpx.Response:
        if schema not in self.schemas:
            self.schemas.append(schema)
        number = self.schemas.index(schema) + 1
        versions = self.subjects.get(subject, [])
        if number not in versions:
            if not registers:
                return httpx.Response(404, json={"error_code": 40403, "message": "Schema not found"})
            versions = self.subjects[subject] = [*versions, number]
        found = {"subject": subject, "id": number, "version": versions.index(number) + 1, "schema": schema}
        return httpx.Response(200, json=found)

    def _get(self, subject: str, rest: list[str]) -> httpx.Response:
        versions = self.subjects.get(subject)
        if versions is None:
            return httpx.Response(404, json={"error_code": 40401, "message": "Subject not found"})
        if rest == ["versions"]:
            return httpx.Response(200, json=[*range(1, len(versions) + 1)])
        number = versions[int(rest[1]) - 1]
        return httpx.Response(200, json={"id": number, "version": int(rest[1]), "schema": self.schemas[number - 1]})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> _Registry:
    """An empty registry, which the command asks whatever the address is."""
    found = _Registry()
    monkeypatch.setattr("aiosv3.app.commands.schemas.open_registry", found.client)
    return found


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a project; each version of its agent is a module of its own, as modules stay imported."""
    monkeypatch.setattr("sys.path", [*sys.path])

    def project(module: str, field: str, url: str = "", folder: str = "project") -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        (place / f"{module}.py").write_text(_MODULE.format(field=field, name="letters"), encoding="utf-8")
        settings = f'agents = ["{module}:letters"]\n[registry]\nurl = "{url}"\n'
        (place / "aiosv3.toml").write_text(settings, encoding="utf-8")
        return place / "aiosv3.toml"

    return project


URL: Final = "http://registry"


def test_push_check_and_a_change_that_breaks(write: Any, registry: _Registry, aiosv3: Any) -> None:
    file = str(write("pushed_one", "number: int", URL))
    fresh = json.loads(aiosv3("schemas", "check", "--json", "-p", file).out)
    assert (fresh["ok"], fresh["registry"]) == (True, URL)
    assert {one["status"] for one in fresh["subjects"]} == {"new"}
    assert registry.subjects == {}

    pushed = aiosv3("schemas", "push", "--json", "-p", file)
    assert pushed.code == 0
    ids = {one["subject"]: [one["id"]] for one in json.loads(pushed.out)["subjects"]}
    assert registry.subjects == ids
    assert {"aios.tasks.letters-value", "aios.journal.letters-value", "aios.approvals-aiosv3.Question"} <= set(ids)
    assert registry.levels == dict.fromkeys(ids, "BACKWARD_TRANSITIVE")
    same = json.loads(aiosv3("schemas", "check", "--json", "-p", file).out)
    assert {(one["status"], one["registered"]) for one in same["subjects"]} == {("unchanged", 1)}

    added = str(write("pushed_two", "number: int\n    more: int | None = None", URL))
    said = aiosv3("schemas", "check", "-p", added)
    assert said.code == 0
    assert "aios.tasks.letters-value: new version (1 registered)" in said.out

    broken = str(write("pushed_three", "number: int\n    size: int", URL, folder="elsewhere"))  # it has no lock file
    said = aiosv3("schemas", "check", "-p", broken)
    assert said.code == 1
    assert "aios.tasks.letters-value: incompatible (1 registered)\n" in said.out
    assert "size: a field without default was added (against registry version 1)" in said.out
    refused = aiosv3("schemas", "push", "-p", broken)
    assert (refused.code, refused.err) == (1, "Nothing was registered.\n")
    assert registry.subjects == ids


def test_what_only_the_lock_file_has_counts_too(write: Any, aiosv3: Any) -> None:
    settings = load_settings(write("locked_one", "number: int"))
    asyncio.run(_schemas(settings).register(open_store(settings)))
    file = str(write("locked_two", "size: int"))
    said = aiosv3("schemas", "check", "-p", file)
    assert said.code == 1
    assert "(against lock file version 1)" in said.out
    assert "No registry: this is compared with the lock file only" in said.out
    pushed = aiosv3("schemas", "push", "-p", file)
    assert pushed.code == 2
    assert "there is no registry" in pushed.err


def _schemas(settings: Settings) -> AgentSchemas:
    agent = load_agents(settings)["letters"]
    return AgentSchemas("letters", agent.input_type, agent.output_type)


def test_after_a_push_a_worker_may_start_that_may_only_read(write: Any, registry: _Registry, aiosv3: Any) -> None:
    file = write("guarded_one", "number: int", URL)
    assert aiosv3("schemas", "push", "-p", str(file)).code == 0
    registry.locked = True
    elsewhere = load_settings(write("guarded_one", "number: int", URL, folder="worker"))
    store = SchemaStore(None, registry.client(elsewhere))  # the lock file of push is not there
    schemas = _schemas(elsewhere)
    asyncio.run(schemas.register(store))
    assert [store.subject_id(schemas.task_subject)] == registry.subjects[schemas.task_subject]

    changed = write("guarded_two", "number: int\n    more: int | None = None", URL)
    refused = aiosv3("schemas", "push", "-p", str(changed))
    assert refused.code == 1
    assert "aios.tasks.letters-value: new version: refused: " in refused.err
    assert "you may only read" in refused.err
    assert "aios.prompts-value: unchanged: refused: " in refused.err, "its rule could not be set"


def test_a_registry_that_does_not_answer_ends_with_4(write: Any, aiosv3: Any) -> None:
    file = str(write("silent_one", "number: int", f"http://127.0.0.1:{free_port()}"))
    for verb in ("check", "push"):
        said = aiosv3("schemas", verb, "-p", file)
        assert said.code == 4
        assert "does not answer" in said.err
