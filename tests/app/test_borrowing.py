"""A broker and a registry that ``aiosv3 up`` uses instead of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from aiosv3.app.borrowing import borrowed_by, check_borrowed, with_addresses
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.localstack.stack import Borrowed
from aiosv3.app.settings import KafkaSettings, RegistrySettings, Settings, SettingsError
from aiosv3.schemas.errors import RegistryUnavailable


def test_the_command_line_fills_in_what_the_settings_leave_open() -> None:
    settings = with_addresses(Settings(kafka=KafkaSettings(prefix="p.")), "there:9092", "http://there:8081")
    assert (settings.kafka.bootstrap, settings.kafka.prefix) == ("there:9092", "p.")
    assert settings.registry.url == "http://there:8081"
    assert with_addresses(settings, "", "") == settings
    assert with_addresses(settings, "there:9092", "") == settings


def test_two_brokers_are_refused_for_only_the_workers_would_go_to_the_second() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap="here:9092"))
    with pytest.raises(SettingsError, match=r"--bootstrap is there:9092, but \[kafka\] bootstrap is here:9092"):
        with_addresses(settings, "there:9092", "")
    with pytest.raises(SettingsError, match=r"--registry is http://a, but \[registry\] url is http://b"):
        with_addresses(Settings(registry=RegistrySettings(url="http://b")), "", "http://a")


@pytest.mark.parametrize(
    ("bootstrap", "registry", "words"),
    [
        ("http://x", "", "--bootstrap: 'http://x' is no broker address: write host:port"),
        ("a:99999", "", "--bootstrap: 'a:99999' is no broker address"),
        ("", "127.0.0.1:8081", r"--registry: this is no absolute http\(s\) URL"),
    ],
)
def test_an_address_that_cannot_be_one_is_said(bootstrap: str, registry: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        with_addresses(Settings(), bootstrap, registry)


def test_what_a_stack_runs_itself() -> None:
    assert borrowed_by(Settings()) == Borrowed()
    assert borrowed_by(Settings(registry=RegistrySettings(url="http://r"))) == Borrowed(registry="http://r")
    kafka = KafkaSettings(bootstrap="b:1", prefix="p.")
    assert borrowed_by(Settings(kafka=kafka)) == Borrowed("b:1", schemas_topic="p.schemas")
    locked = kafka.model_copy(update={"properties": {"sasl.password": SecretStr("x")}})
    assert not borrowed_by(Settings(kafka=locked)).registered
    assert borrowed_by(Settings(kafka=locked, registry=RegistrySettings(url="http://r"))).registered


async def test_a_registry_that_is_not_there_says_three_ways_out(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryUnavailable) as error:
        await check_borrowed(Settings(folder=tmp_path, registry=RegistrySettings(url=url)))
    said = str(error.value)
    assert said.startswith(f"{url} does not answer")
    assert said.endswith("or leave it out: 'aiosv3 up' runs one of its own")


async def test_nothing_borrowed_is_not_asked() -> None:
    await check_borrowed(Settings())
