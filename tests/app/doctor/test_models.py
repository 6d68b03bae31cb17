from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from aiosv3.app.doctor import Finding, Level, models
from aiosv3.app.settings import PoolSettings
from aiosv3.router.endpoints import weights


def pools(port: int) -> str:
    return f'[pools.p]\nkind = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:{port}/v1"\n'


async def one(case: Any) -> Finding:
    (found,) = await models.check(case)
    return found


def test_the_model_must_be_among_those_that_are_offered() -> None:
    pool = PoolSettings(kind="openai", model="m", base_url="http://h/v1")
    assert models.judged("p", pool, ("m", "n")).level is Level.OK
    assert models.judged("p", pool, ()).level is Level.OK
    other = models.judged("p", pool, tuple("abcdefg"))
    assert (other.level, other.message) == (Level.WARNING, "http://h/v1 answers, but offers a, b, c, d, e …, not m")


async def test_nobody_there_and_no_list_of_models(case_of: Any, model_port: int) -> None:
    dead = await one(case_of(pools(1)))
    assert (dead.check, dead.level, "Unreachable" in dead.message) == ("pool p", Level.FAILED, True)
    unlisted = await one(case_of(pools(model_port)))  # its server answers a GET with 501
    assert unlisted.level is Level.FAILED
    assert "501" in unlisted.message


async def test_one_that_hangs_is_given_up(case_of: Any, black_hole: int) -> None:
    found = await one(case_of(pools(black_hole), patience=0.2))
    assert (found.level, "gave no answer within 0.2 s" in found.message) == (Level.FAILED, True)


async def test_a_key_that_is_missing_is_said_beside_the_other_pools(
    case_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = await models.check(case_of(f'{pools(1)}[pools.cloud]\nkind = "openai"\nmodel = "m"\n'))
    assert [finding.check for finding in found] == ["pool cloud", "pool p"]
    assert found[0].message.startswith("pool cloud needs a key: set OPENAI_API_KEY")


async def test_the_local_model_needs_its_runtime_and_its_file(
    case_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    case = case_of("[pools.p]\nkind = 'local'")
    monkeypatch.setattr(weights, "default_cache", lambda: tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert (await one(case)).level is Level.FAILED
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    absent = await one(case)
    assert (absent.level, "fetches it once" in (absent.action or "")) == (Level.WARNING, True)
    monkeypatch.setattr(weights, "cached_weights", lambda: tmp_path)
    assert (await one(case)).level is Level.OK


async def test_a_pool_that_serves_needs_vllm_here(
    case_of: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(folder))
    given = '[pools.p]\nkind = "vllm"\nmodel = "Qwen/Qwen2.5-7B"\nserve = true\nvllm = { device = "cpu" }\n'
    missing = await one(case_of(given))
    assert (missing.level, "vllm is not installed here" in missing.message) == (Level.FAILED, True)
    program = folder / "vllm"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert (await one(case_of(given))).level is Level.OK
