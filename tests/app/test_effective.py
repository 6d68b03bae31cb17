from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.effective import HIDDEN, Effective, Source, effective, shown, unused_variables
from aiosv3.app.settings import KafkaSettings, Settings, file_values, load_settings

_PROJECT = """
[kafka]
prefix = "p."
properties = { "sasl.password" = "hidden-1", "security.protocol" = "hidden-2" }

[mesh]
secret = "hidden-3"

[claims]
url = "s3://hidden-4@bucket/claims?key=hidden-5"

[agents.desk]
function = "m:f"
budget = 0.5

[secrets]
crm = "hidden-6"

[tools.office]
clearance = "internal"

[tools.office.servers.crm]
kind = "stdio"
command = "crm"
args = ["--token", "hidden-7", "--api-key=hidden-8", "--port", "80", "http://u:hidden-9@h/p"]
env = { KEY = "hidden-10", PLAIN = "${crm}" }
secrets = ["crm"]
"""


def found(tmp_path: Path, text: str = _PROJECT) -> dict[str, Effective]:
    file = tmp_path / "aiosv3.toml"
    file.write_text(text, encoding="utf-8")
    settings = load_settings(file)
    return {one.name: one for one in effective(settings, settings, file_values(file))}


def test_nothing_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_REGISTRY__PASSWORD", "hidden-11")
    said = json.dumps([one.to_json() for one in found(tmp_path).values()])
    assert "hidden-" not in said
    assert said.count(HIDDEN) >= 9


def test_what_is_no_secret_stays_readable(tmp_path: Path) -> None:
    settings = found(tmp_path)
    server = "tools.office.servers.crm"
    assert settings[f"{server}.args"].value == [
        "--token", HIDDEN, f"--api-key={HIDDEN}", "--port", "80", f"http://{HIDDEN}@h/p",
    ]  # fmt: skip
    assert settings[f"{server}.env.PLAIN"].value == "${crm}"
    assert settings[f"{server}.secrets"].value == ["crm"]
    assert settings["claims.url"].value == f"s3://{HIDDEN}@bucket/claims?{HIDDEN}"
    assert settings["tools.office.clearance"].value == "internal"
    assert settings["mesh.secret"].value == HIDDEN
    assert settings["registry.token"].value == ""


def test_each_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_KAFKA__PARTITIONS", "3")
    monkeypatch.setenv("AIOSV3_POOLS", '{"small": {"kind": "local"}}')
    settings = found(tmp_path)
    assert settings["kafka.prefix"].source is Source.FILE
    assert (settings["kafka.partitions"].value, settings["kafka.partitions"].source) == (3, Source.ENVIRONMENT)
    assert settings["kafka.partitions"].variable == "AIOSV3_KAFKA__PARTITIONS"
    assert settings["kafka.session_ms"].source is Source.DEFAULT
    assert settings["pools.small.kind"].source is Source.ENVIRONMENT
    assert settings["pools.small.timeout"].source is Source.DEFAULT
    assert settings["agent.desk.budget"].source is Source.FILE
    assert "folder" not in settings


def test_addresses_of_a_running_stack_are_its_own() -> None:
    given = Settings()
    located = given.model_copy(update={"kafka": KafkaSettings(bootstrap="127.0.0.1:9")})
    sources = {one.name: one.source for one in effective(located, given, {})}
    assert (sources["kafka.bootstrap"], sources["kafka.prefix"]) == (Source.STACK, Source.DEFAULT)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("a", "api_key"), "k", HIDDEN),
        (("a", "api_key_env"), "OPENAI_API_KEY", "OPENAI_API_KEY"),
        (("a", "headers", "Accept"), "text/plain", HIDDEN),
        (("a", "headers", "Authorization"), "Bearer ${crm}", HIDDEN),
        (("a", "url"), "http://h:80/p?x=1", f"http://h:80/p?{HIDDEN}"),
        (("a", "url"), "http://h:80/p", "http://h:80/p"),
        (("a", "state"), Path("x"), "x"),
        (("a", "n"), None, None),
    ],
)
def test_values_are_plain_data(path: tuple[str, ...], value: Any, expected: Any) -> None:
    assert shown(path, value) == expected


def test_variables_that_set_nothing_are_found() -> None:
    names = ["AIOSV3_KAFKA_BOOTSTRAP", "AIOSV3_KAFKA__BOOTSTRAP", "AIOSV3_SECRET_CRM", "AIOSV3_TEST_X", "HOME"]
    assert unused_variables(dict.fromkeys(names, "")) == ["AIOSV3_KAFKA_BOOTSTRAP"]
