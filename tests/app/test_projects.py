"""Agents and pools of a project: loading, overrides, discovery, keys, the secret."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aiosv3.agents import Agent
from aiosv3.app import projects
from aiosv3.app.localstack.ports import free_port
from aiosv3.app.projects import (
    LocalServer,
    agent_named,
    api_key,
    check_local_runtime,
    check_pins,
    find_pools,
    load_agents,
    mesh_secret,
    priced_pools,
    served_model,
)
from aiosv3.app.settings import AgentSettings, MeshSettings, PoolSettings, Settings, SettingsError
from aiosv3.router.pools import Pool, Price
from aiosv3.schemas.headers import Clearance

NOW = 1_796_000_000_000  # the end of November 2026
AGENT = """
from aiosv3.agents import Context, agent

@agent(clearance="confidential", budget="0.5")
async def sort_mail(ctx: Context, text: str) -> str:
    return text

no_agent = 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    """``(module name, source) -> "module:sort_mail"`` of a project in ``tmp_path``; modules are forgotten after."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(name: str, source: str = AGENT) -> str:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        return f"{name}:sort_mail"

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_agents_load_from_the_projects_folder(tmp_path: Path, project: Callable[..., str]) -> None:
    settings = Settings(folder=tmp_path, agents=[project("mail_a")])
    assert list(load_agents(settings)) == ["sort-mail"]
    assert agent_named(settings, "sort-mail").name == "sort-mail"


def test_overrides_raise_the_clearance_and_never_lower_it(tmp_path: Path, project: Callable[..., str]) -> None:
    place = project("mail_b")

    def overridden(override: AgentSettings) -> Agent[Any, Any]:
        settings = Settings(folder=tmp_path, agents=[place], agent={"sort-mail": override})
        return load_agents(settings)["sort-mail"]

    loaded = load_agents(Settings(folder=tmp_path, agents=[place]))["sort-mail"]
    assert overridden(AgentSettings()) == loaded
    assert overridden(AgentSettings(clearance=Clearance.PUBLIC)).clearance is Clearance.CONFIDENTIAL
    raised = overridden(AgentSettings(clearance=Clearance.RESTRICTED, budget=0.25, model="m", pool="p"))
    assert (raised.clearance, raised.limits.usd_micros) == (Clearance.RESTRICTED, 250_000)
    assert (raised.model, raised.pool) == ("m", "p")
    assert raised.limits.deadline == loaded.limits.deadline


@pytest.mark.parametrize(
    ("place", "source", "words"),
    [
        ("no_such_module:f", "", r"'no_such_module:f' cannot be imported: No module named 'no_such_module'; it was lo"),
        ("mail_c", "", "'mail_c' is not module:function"),
        (":f", "", "':f' is not module:function"),
        ("mail_c:missing", AGENT, "'mail_c:missing' is no agent: put @agent above"),
        ("mail_c:no_agent", AGENT, "'mail_c:no_agent' is no agent: put @agent above"),
        ("mail_c:f", "import no_such_part", "No module named 'no_such_part'"),
        ("mail_c:f", "x = (", "cannot be imported: SyntaxError: "),
        ("mail_c:f", "x = 1\n\n1 / 0", r"ZeroDivisionError: division by zero \(.*mail_c\.py, line 3\)"),
        (
            "mail_c:f",
            "from aiosv3.agents import agent\n\n@agent\nasync def f(ctx, q):\n    return q\n",
            "'mail_c:f': f lacks types: annotate 'q'",
        ),
    ],
)
def test_agents_that_do_not_load_say_why(
    tmp_path: Path, project: Callable[..., str], place: str, source: str, words: str
) -> None:
    project("mail_c", source)
    with pytest.raises(SettingsError, match=words):
        load_agents(Settings(folder=tmp_path, agents=[place]))


def test_two_agents_of_one_name_are_refused(tmp_path: Path, project: Callable[..., str]) -> None:
    places = [project("mail_d"), project("mail_e")]
    with pytest.raises(SettingsError, match="two agents are named 'sort-mail'"):
        load_agents(Settings(folder=tmp_path, agents=places))


def test_settings_and_names_of_agents_that_there_are_not_say_what_there_is(
    tmp_path: Path, project: Callable[..., str]
) -> None:
    settings = Settings(folder=tmp_path, agents=[project("mail_f")], agent={"other": AgentSettings()})
    with pytest.raises(SettingsError, match="does not have: other; it has sort-mail"):
        load_agents(settings)
    with pytest.raises(SettingsError, match=r"no agent .x. in this project; it has none: list them in aiosv3\.toml"):
        agent_named(Settings(folder=tmp_path), "x")


def test_an_agent_pinned_to_no_pool_is_refused(tmp_path: Path, project: Callable[..., str]) -> None:
    pools = {"here": PoolSettings(kind="local")}
    override = {"sort-mail": AgentSettings(pool="there")}
    settings = Settings(folder=tmp_path, agents=[project("mail_g")], agent=override, pools=pools)
    with pytest.raises(SettingsError, match="agent sort-mail wants pool 'there', which there is not; there is here"):
        load_agents(settings)
    agents = load_agents(settings.model_copy(update={"pools": {}}))
    check_pins(agents.values(), {"there": PoolSettings(kind="local")})


# -- pools ------------------------------------------------------------------------------------------------------------


@contextmanager
def listening(status: int, body: bytes) -> Iterator[LocalServer]:
    """A server on this machine that answers every GET alike."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked.append(self.path)  # type: ignore[attr-defined]
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield LocalServer("ollama", server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def models(*names: object) -> bytes:
    return json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()


def test_the_project_file_comes_first() -> None:
    mine = {"mine": PoolSettings(kind="local")}
    with listening(200, models("llama")) as server:
        assert find_pools(Settings(pools=mine), {"OPENAI_API_KEY": "k"}, [server]) == mine


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"OPENAI_API_KEY": "k"}, ["openai"]),
        ({"ANTHROPIC_API_KEY": "k"}, ["anthropic"]),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, ["openai", "anthropic"]),
    ],
)
def test_then_come_keys_in_the_environment(environment: dict[str, str], names: list[str]) -> None:
    with listening(200, models("llama")) as server:
        pools = find_pools(Settings(), environment, [server])
    assert list(pools) == names
    for name, pool in pools.items():
        assert (pool.kind, pool.clearance) == (name, Clearance.PUBLIC)
        (known,), _ = priced_pools(Settings(), {name: pool}, NOW)
        assert known.price.of(1_000, 1_000) > 0, "the price table knows it"
        assert api_key(name, pool, environment) == SecretStr("k")


def test_then_a_local_server_with_the_model_that_it_names() -> None:
    nobody = LocalServer("nobody", free_port())
    with listening(200, models("qwen3:4b", "llama")) as server:
        pools = find_pools(Settings(), {"OPENAI_API_KEY": ""}, [nobody, server])
    assert list(pools) == ["ollama"]
    assert (pools["ollama"].model, pools["ollama"].base_url) == ("qwen3:4b", f"http://127.0.0.1:{server.port}/v1")
    assert pools["ollama"].clearance is Clearance.RESTRICTED
    assert api_key("ollama", pools["ollama"], {"OPENAI_API_KEY": "not for them"}) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (200, b"<html>something else on this port</html>"),
        (200, models()),
        (200, models(3)),
        (200, models("")),
        (200, b"[]"),
        (200, b'{"data": 3}'),
        (500, models("llama")),
    ],
)
def test_something_else_on_that_port_is_no_pool(status: int, body: bytes) -> None:
    with listening(status, body) as server:
        assert served_model(server) is None
        assert list(find_pools(Settings(), {}, [server])) == ["local"]


def test_a_port_that_accepts_and_says_nothing_is_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(projects, "_ASK_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert served_model(LocalServer("silent", silent.getsockname()[1])) is None


def test_at_last_the_local_model() -> None:
    pools = find_pools(Settings(), {}, [])
    assert (list(pools), pools["local"].kind) == (["local"], "local")


def test_a_key_comes_from_the_variable_that_the_pool_names_and_is_hidden() -> None:
    pool = PoolSettings(kind="openai", model="m", base_url="http://h/v1", api_key_env="MY_KEY")
    found = api_key("x", pool, {"MY_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"})
    assert found is not None
    assert found.get_secret_value() == "sk-1"
    assert "sk-1" not in f"{found!r} {found}"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_providers_usual_key_goes_to_that_provider_only(kind: str) -> None:
    everything = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    other = PoolSettings.model_validate({"kind": kind, "model": "m", "base_url": "http://elsewhere/v1"})
    assert api_key("x", other, everything) is None


@pytest.mark.parametrize(
    ("pool", "variable"),
    [
        (PoolSettings(kind="openai", model="m"), "OPENAI_API_KEY"),
        (PoolSettings(kind="vllm", model="m", base_url="http://h/v1", api_key_env="MY_KEY"), "MY_KEY"),
    ],
)
def test_a_key_that_is_missing_is_asked_for(pool: PoolSettings, variable: str) -> None:
    with pytest.raises(SettingsError, match=f"pool x needs a key: set {variable} in the environment"):
        api_key("x", pool, {variable: ""})


def test_the_local_pool_needs_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", find)
    check_local_runtime("cloud", PoolSettings(kind="openai", model="m"))
    with pytest.raises(SettingsError, match=r"pool toy is the local model, .*pip install 'aiosv3\[local\]'"):
        check_local_runtime("toy", PoolSettings(kind="local"))


def known(given: PoolSettings) -> Pool:
    (pool,), _ = priced_pools(Settings(), {"cloud": given}, NOW)
    return pool


def test_prices_are_micro_dollars_a_million_tokens() -> None:
    given = PoolSettings(
        kind="openai", model="m", input_usd_per_mtok=0.15, output_usd_per_mtok=0.6, capabilities=["json", "tools"]
    )
    pool = known(given)
    assert (pool.name, pool.model, pool.kind) == ("cloud", "m", "openai")
    assert pool.price == Price(150_000, 600_000, None)
    assert pool.capabilities == {"json", "tools"}
    assert known(given.model_copy(update={"cached_usd_per_mtok": 0.075})).price.cached_micros_per_mtok == 75_000


def test_a_pool_says_whether_its_price_is_known_and_when_it_changes() -> None:
    assert known(PoolSettings(kind="openai", model="gpt-6-luna")).priced
    assert not known(PoolSettings(kind="openai", model="nobodys")).priced
    google = "https://generativelanguage.googleapis.com/v1beta/openai"
    pool = known(PoolSettings(kind="openai", model="gemini-3.8-flash", base_url=google))
    (change,) = pool.later
    assert pool.at(change[0] - 1) is pool
    assert (pool.at(change[0]).price, pool.at(change[0]).later) == (change[1], ())


# -- the secret of reply tokens ---------------------------------------------------------------------------------------


def test_a_configured_secret_is_used_and_not_written(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, mesh=MeshSettings(secret=SecretStr("given")))
    assert mesh_secret(settings) == b"given"
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    together = threading.Barrier(8)

    def start(_: int) -> bytes:
        together.wait(10)
        return mesh_secret(settings)

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(start, range(8)))
    assert len(found) == 1
    assert len(found.pop()) == 64
    (kept,) = settings.state_folder.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_who_comes_second_takes_the_secret_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(draft: Path, path: Path) -> None:
        """Another worker gets there between the draft and its place."""
        path.write_bytes(b"theirs")
        link(draft, path)

    monkeypatch.setattr(os, "link", late)
    settings = Settings(folder=tmp_path)
    assert mesh_secret(settings) == b"theirs"
    assert [path.name for path in settings.state_folder.iterdir()] == ["mesh-secret"]


def test_drafts_of_one_process_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads have one process id."""
    link = os.link
    settings = Settings(folder=tmp_path)

    def nested(draft: Path, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        mesh_secret(settings)
        link(draft, path)

    monkeypatch.setattr(os, "link", nested)
    assert mesh_secret(settings) == mesh_secret(settings)


def test_the_secret_stays_the_same(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    assert mesh_secret(settings) == mesh_secret(settings)
