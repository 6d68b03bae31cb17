"""Settings: what is taken, what is refused and in which words, and what wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from aiosv3.app.settings import (
    KafkaSettings,
    Settings,
    SettingsError,
    find_project,
    load_settings,
    project_file,
)
from aiosv3.schemas.headers import Clearance


def written(folder: Path, text: str) -> Path:
    path = folder / "aiosv3.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(SettingsError) as refused:
        load_settings(path)
    return str(refused.value).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def test_an_empty_file_means_defaults_and_its_folder(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, ""))
    assert settings.folder == tmp_path.resolve()
    assert settings.state_folder == tmp_path.resolve() / ".aiosv3"
    assert settings.kafka.bootstrap == ""
    assert settings.mesh.clearance is Clearance.INTERNAL


def test_an_absolute_state_folder_stays_where_it_is(tmp_path: Path) -> None:
    state = tmp_path / "elsewhere"
    assert load_settings(written(tmp_path, f'state = "{state}"')).state_folder == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "{}/.aiosv3/claims"),
        ('[claims]\nurl = "kept/claims"', "{}/kept/claims"),
        ('[claims]\nurl = "/var/claims"', "/var/claims"),
        ('[claims]\nurl = "s3://bucket/claims"', "s3://bucket/claims"),
    ],
)
def test_the_claim_store_is_beside_the_project_unless_said_otherwise(tmp_path: Path, text: str, expected: str) -> None:
    assert load_settings(written(tmp_path, text)).claims_url == expected.format(tmp_path.resolve())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agents = [", "is not TOML"),
        ("agents = 3", "agents: Input should be a valid list"),
        ("foo = 1", "foo: there is no such setting; there are agent, agents, budgets, claims, kafka, memory, mesh"),
        (
            '[kafka]\nbootstrp = "x:1"',
            "kafka.bootstrp: there is no such setting; there are bootstrap, instance, partitions",
        ),
        ('[pools.x]\nkind = "local"\nurl = "x"', "pools.x.url: there is no such setting; there are api, api_key_env"),
        ('[pools.x]\nkind = "openai"\napi_key = "sk-1"', "pools.x.api_key: keys do not belong into a file"),
        ('[kafka]\nbootstrap = "http://here:9092"', "kafka.bootstrap: 'http://here:9092' is no broker address"),
        ('[kafka]\nbootstrap = "here:99999"', "kafka.bootstrap: 'here:99999' is no broker address"),
        ('[kafka]\nbootstrap = "a:1,b c:2"', "kafka.bootstrap: 'b c:2' is no broker address"),
        ('[kafka]\nprefix = "a b"', "kafka.prefix: prefix 'a b' may hold only letters"),
        ("[kafka]\npartitions = 0", "kafka.partitions: Input should be greater than or equal to 1"),
        ('[kafka.properties]\n"a.b" = 1', "kafka.properties.a.b: Input should be a valid string"),
        ('[registry]\nurl = "here:8081"', "registry.url: this is no absolute http(s) URL"),
        ('[registry]\nurl = "http://me:pw@here"', "registry.url: a URL must carry no credentials"),
        ('[claims]\nurl = "s3://me:pw@bucket"', "claims.url: a URL must carry no password"),
        ('[mesh]\nclearance = "secret"', "mesh.clearance: 'secret' is no clearance: use one of public, internal"),
        ('[mesh]\ntenant = ""', "mesh.tenant: String should have at least 1 character"),
        ('[pools.x]\nkind = "nope"', "pools.x.kind: Input should be 'openai', 'anthropic', 'vllm' or 'local'"),
        ('[pools.x]\nmodel = "m"', "pools.x.kind: Field required"),
        ('[pools.x]\nkind = "vllm"\nmodel = "m"', "pools.x: vllm needs an address: base_url = "),
        ('[pools.x]\nkind = "openai"', "pools.x: openai needs the name of a model"),
        ('[pools.x]\nkind = "local"\nmodel = "m"', "pools.x: the local model is SmolLM2-135M-Instruct: leave model"),
        ('[pools.x]\nkind = "local"\nbase_url = "http://h"', "pools.x: the local model runs in its worker"),
        ('[pools.x]\nkind = "openai"\nmodel = "m"\nbase_url = "h/v1"', "pools.x.base_url: this is no absolute"),
        ('[pools.x]\nkind = "openai"\nmodel = "m"\nquality = 2', "pools.x.quality: Input should be less than"),
        ('[pools.x]\nkind = "openai"\nmodel = "m"\ninput_usd_per_mtok = -1', "pools.x.input_usd_per_mtok: Input"),
        ('[pools.x]\nkind = "openai"\nmodel = "m"\noutput_usd_per_mtok = nan', "pools.x.output_usd_per_mtok: Input"),
        ('[pools.x]\nkind = "openai"\nmodel = "m"\ncapabilities = ["sing"]', "pools.x.capabilities.0: Input should"),
        ('[pools.X_1]\nkind = "local"', "pools: pool name 'X_1': lower-case letters"),
        ("[agent.a]\nbudget = -1", "agent.a.budget: -1.0 is not an amount of money that can be spent"),
        ('[agent.a]\nclearance = "x"', "agent.a.clearance: 'x' is no clearance"),
        ("[agent.a]\npark_after = 0", "agent.a.park_after: Input should be greater than 0"),
        ("[agents]\na = 1", 'agents.a: write agents = ["module:function"], or a table [agents.a]'),
        ("[metrics]\nport = 70000", "metrics.port: Input should be less than or equal to 65535"),
        ("[up]\nagents = -1", "up.agents: Input should be greater than or equal to 0"),
        ("[up]\nagents = -1\nmodels = -1", "0 (and 1 more)"),
    ],
)
def test_what_is_wrong_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_refusal_never_repeats_a_value_that_may_be_a_key(tmp_path: Path) -> None:
    for text in (
        '[pools.x]\nkind = "openai"\napi_key = "sk-very-secret"',
        '[registry]\npassword = ["sk-very-secret"]',
        '[registry]\nurl = "http://me:sk-very-secret@here"',
    ):
        assert "very-secret" not in refusal(tmp_path, text)


def test_secrets_are_hidden_when_settings_are_printed(tmp_path: Path) -> None:
    text = """
        [kafka.properties]
        "sasl.password" = "hide-1"
        [registry]
        password = "hide-2"
        token = "hide-3"
        [mesh]
        secret = "hide-4"
    """
    settings = load_settings(written(tmp_path, text))
    assert "hide-" not in repr(settings)
    assert "hide-" not in settings.model_dump_json()
    assert settings.kafka.properties["sasl.password"].get_secret_value() == "hide-1"


@pytest.mark.parametrize("given", ["h:1", "h", "h:1,i:2", "[::1]:9092", "SASL_SSL://h:9092", " h:1 , i:2 "])
def test_broker_addresses_that_librdkafka_takes_are_taken(given: str) -> None:
    assert KafkaSettings(bootstrap=given).bootstrap == given.strip()


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '[kafka]\nbootstrap = "file:1"\npartitions = 3\n[pools.a]\nkind = "local"')
    monkeypatch.setenv("AIOSV3_KAFKA__BOOTSTRAP", "env:2")
    monkeypatch.setenv("AIOSV3_POOLS", '{"b": {"kind": "vllm", "model": "m", "base_url": "http://h/v1"}}')
    monkeypatch.setenv("AIOSV3_METRICS__PORT", "9100")
    settings = load_settings(path)
    assert (settings.kafka.bootstrap, settings.kafka.partitions, settings.metrics.port) == ("env:2", 3, 9100)
    assert sorted(settings.pools) == ["a", "b"]


def test_agents_can_come_from_the_environment_but_not_from_a_variable_without_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "")
    monkeypatch.setenv("AGENTS", '["stranger:a"]')
    assert load_settings(path).agents == []
    monkeypatch.setenv("AIOSV3_AGENTS", '["mine:a"]')
    assert load_settings(path).agents == ["mine:a"]


def test_variables_of_the_tests_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_TEST_BOOTSTRAP", "h:1")
    assert load_settings(written(tmp_path, "")).kafka.bootstrap == ""


def test_a_variable_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOSV3_POOLS", "not json")
    with pytest.raises(SettingsError, match=r"the environment: .*pools.*written as JSON"):
        load_settings(written(tmp_path, ""))


def test_a_wrong_variable_without_any_file_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIOSV3_KAFKA__PARTITIONS", "many")
    with pytest.raises(
        SettingsError, match=r"aiosv3\.toml or AIOSV3_…: kafka\.partitions: Input should be a valid int"
    ):
        load_settings()


def test_both_forms_of_agents_mean_the_same(tmp_path: Path) -> None:
    listed = load_settings(written(tmp_path, 'agents = ["m:f"]\n[agent.f]\nbudget = 2\nclearance = "restricted"'))
    tables = load_settings(
        written(tmp_path, '[agents.f]\nfunction = "m:f"\nbudget = 2\n[agent.f]\nclearance = "restricted"')
    )
    assert listed.agents == tables.agents == ["m:f"]
    assert listed.agent == tables.agent
    assert tables.agent["f"].budget == 2


def test_the_nearest_project_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_project(below) == path
    assert project_file() == path
    assert load_settings().folder == tmp_path.resolve()


def test_a_folder_means_the_file_in_it(tmp_path: Path) -> None:
    assert project_file(tmp_path) == tmp_path / "aiosv3.toml"
    assert load_settings(written(tmp_path, "").parent).folder == tmp_path.resolve()


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(tmp_path / "bytes.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "folder.toml" / "aiosv3.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "folder.toml")


def test_people_have_roles_and_none_means_anybody(tmp_path: Path) -> None:
    assert Settings().roles == {}
    path = tmp_path / "aiosv3.toml"
    path.write_text('[people.ann]\nroles = ["finance", "legal"]\n[people.cyd]\n', encoding="utf-8")
    assert load_settings(path).roles == {"ann": ("finance", "legal"), "cyd": ()}
    path.write_text('[people.ann]\nrole = "finance"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="there are roles"):
        load_settings(path)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().kafka.partitions = 3
