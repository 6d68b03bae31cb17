"""Which policy a worker starts with: that of the log, of the project's file, or none at all because none is safe."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiosv3.app.policies import default_classes, open_policies, project_routing, push_routing, read_routing
from aiosv3.app.settings import SettingsError, load_settings
from aiosv3.router.pools import Pool
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.following import publish_version, read_policies
from aiosv3.router.routing.versions import routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.policies import PolicyVersion
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.testing import MemoryBroker, MemoryLog

POOLS = [Pool("own", "vllm", "m", Clearance.RESTRICTED)]
OLD = "tenants: {acme: {weight: 2, default_class: restricted}}"
NEW = "tenants: {acme: {weight: 3}}"


@pytest.fixture
def mesh(tmp_path: Path) -> Any:
    (tmp_path / "aiosv3.toml").write_text("", encoding="utf-8")
    broker = MemoryBroker()
    broker.create_topic(Topics().policies(), 1)
    return SimpleNamespace(
        settings=load_settings(tmp_path),
        topics=Topics(),
        log=MemoryLog(broker, "test"),
        codec=Codec(SchemaStore()),
    )


def version(text: str) -> PolicyVersion:
    return routing_version(parse_routing(text)[0], 1)


def write(mesh: Any, text: str) -> None:
    (mesh.settings.folder / "routing.yaml").write_text(text, encoding="utf-8")


async def publish(mesh: Any, of: PolicyVersion) -> None:
    await publish_version(mesh.log, mesh.codec, mesh.topics, of)


async def on_the_log(mesh: Any) -> PolicyBook:
    book = PolicyBook()
    await read_policies(mesh.log, mesh.codec, mesh.topics, book)
    return book


async def test_without_a_file_and_a_version_the_built_in_one_decides(mesh: Any) -> None:
    book = (await open_policies(mesh, POOLS)).book
    assert book.current.version == "1"
    known = await on_the_log(mesh)
    assert list(known.tables.values()) == [tuple(POOLS)], "so that its decisions can be made again"
    await open_policies(mesh, POOLS)
    assert (await mesh.log.bounds(mesh.topics.policies(), 0)).end == 1, "once"


async def test_the_first_router_puts_the_file_in_force(mesh: Any) -> None:
    write(mesh, OLD)
    assert (await open_policies(mesh)).book.weight("acme") == 2, "a model worker goes by it as well ..."
    assert (await on_the_log(mesh)).pushed is None, "... and leaves the log alone"
    assert (await open_policies(mesh, POOLS)).book.weight("acme") == 2
    assert (await on_the_log(mesh)).weight("acme") == 2


async def test_after_that_the_log_counts_not_the_file(mesh: Any, caplog: pytest.LogCaptureFixture) -> None:
    await publish(mesh, version(OLD))
    write(mesh, NEW)
    assert (await open_policies(mesh, POOLS)).book.weight("acme") == 2
    assert "aiosv3 route push" in caplog.text
    assert (await open_policies(mesh, POOLS, push=True)).book.weight("acme") == 3
    assert (await on_the_log(mesh)).weight("acme") == 3


async def test_a_file_that_was_in_force_before_is_no_news(mesh: Any) -> None:
    """A router that is started again does not undo a push that came after it."""
    write(mesh, NEW)
    await publish(mesh, version(NEW))
    await publish(mesh, version(OLD))
    assert (await open_policies(mesh, POOLS, push=True)).book.weight("acme") == 2


async def test_a_file_that_is_wrong_never_replaces_a_good_version(mesh: Any, caplog: pytest.LogCaptureFixture) -> None:
    write(mesh, "rules: [{nam: x}]")
    with pytest.raises(SettingsError, match=r"routing.yaml:1: rules\.0\.nam"):
        await open_policies(mesh, POOLS)
    await publish(mesh, version(OLD))
    with caplog.at_level(logging.ERROR):
        assert (await open_policies(mesh, POOLS, push=True)).book.weight("acme") == 2
    assert "rules.0.nam" in caplog.text


async def test_versions_that_none_can_read_start_nothing(mesh: Any) -> None:
    """Deciding without a policy would drop what it asks for the data."""
    later = version(OLD)
    await publish(mesh, replace(later, content='{"later":1}'))
    with pytest.raises(SettingsError, match="upgrade this worker"):
        await open_policies(mesh)


async def test_a_push_says_what_was_before(mesh: Any) -> None:
    first, before = await push_routing(mesh, parse_routing(OLD)[0])
    assert before is None
    again, before = await push_routing(mesh, parse_routing(OLD)[0])
    assert (again.version, before) == (first.version, first.version)
    assert (await mesh.log.bounds(mesh.topics.policies(), 0)).end == 1


async def test_the_class_of_tenants_whose_tasks_name_none(mesh: Any) -> None:
    assert await default_classes(mesh) == {}
    await publish(mesh, version(OLD))
    assert await default_classes(mesh) == {"acme": Clearance.RESTRICTED}


def test_files(tmp_path: Path, mesh: Any) -> None:
    assert project_routing(mesh.settings) is None
    with pytest.raises(SettingsError, match="there is no"):
        read_routing(tmp_path / "other.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_routing(tmp_path / "latin.yaml")
    write(mesh, "rules: [{name: r, pools: owm}]")
    with pytest.raises(SettingsError, match="did you mean own"):
        read_routing(tmp_path / "routing.yaml", POOLS)


def test_unusable_versions_are_said_in_words() -> None:
    with pytest.raises(UnusableVersion):
        PolicyBook().apply(replace(version(OLD), content="{}"))
