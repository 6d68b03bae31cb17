"""Who says what a pool costs, what is asked of the table, and what no budget can hold."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aiosv3.app.pricing import (
    Says,
    check_budgets,
    is_cloud,
    price_pool,
    price_pools,
    prices_file,
    prices_version,
    provider_of,
    settled_prices,
    table_of,
)
from aiosv3.app.settings import AgentSettings, PoolSettings, Settings, SettingsError
from aiosv3.router.pools import Price
from aiosv3.router.prices import BadPrices, PriceTable, packaged_table

NOW = 1_796_000_000_000  # 30 November 2026
TABLE = packaged_table()
OPENAI = {"kind": "openai", "model": "gpt-6-luna"}
FROM = {"effective_from": "2026-01-01", "source": "https://x"}
OWN_TABLE = {
    "format": 1,
    "checked": "2026-11-29",
    "providers": {"ours": {"hosts": ["models.example.org"]}},
    "prices": [
        {"provider": "openai", "model": "gpt-6-luna", "input": 7, "output": 8, **FROM},
        {"provider": "ours", "model": "m", "input": 1, "output": 2, **FROM},
    ],
}


def pool(**settings: Any) -> PoolSettings:
    return PoolSettings.model_validate({"kind": "openai", "model": "m", **settings})


def at(url: str, **settings: Any) -> PoolSettings:
    return pool(base_url=url, **settings)


def test_a_providers_own_api_costs_its_list_price() -> None:
    priced = price_pool("p", pool(**OPENAI), TABLE, NOW)
    assert (priced.says, priced.price.input_micros_per_mtok, priced.warning) == (Says.TABLE, 100_000, None)
    assert priced.words == f"0.10/0.50 USD per million tokens in/out since 2026-09-22 (price table of {TABLE.checked})"
    long = priced.price.of(300_000, 1_000)
    assert long == 300_000 // 5 + 750, "long prompts have a price of their own"


def test_own_prices_always_win_even_where_they_are_zero() -> None:
    priced = price_pool("p", pool(**OPENAI, input_usd_per_mtok=0, output_usd_per_mtok=0.0028), TABLE, NOW)
    assert (priced.says, priced.price, priced.warning) == (Says.PROJECT, Price(0, 2_800), None)
    assert priced.words == "0.00/0.0028 USD per million tokens in/out (project file)"
    half = price_pool("p", pool(**OPENAI, input_usd_per_mtok=1), TABLE, NOW)
    assert half.price == Price(1_000_000)
    assert half.warning == "pool p has prices of its own, but no output_usd_per_mtok: such tokens count as free"


def test_own_prices_survive_how_up_hands_pools_to_its_workers() -> None:
    for given in (pool(**OPENAI, output_usd_per_mtok=0, input_usd_per_mtok=0), pool(**OPENAI)):
        again = PoolSettings.model_validate(json.loads(json.dumps(given.model_dump(mode="json", exclude_unset=True))))
        assert price_pool("p", again, TABLE, NOW) == price_pool("p", given, TABLE, NOW)


def test_prices_to_come_are_known() -> None:
    google = at("https://generativelanguage.googleapis.com/v1beta/openai", model="gemini-3.8-flash")
    priced = price_pool("p", google, TABLE, NOW)
    assert priced.price.input_micros_per_mtok == 750_000
    ((since, later),) = priced.later
    assert (since, later.input_micros_per_mtok) == (1_798_761_600_000, 1_500_000)
    after = price_pool("p", google, TABLE, since)
    assert (after.price, after.later) == (later, ())


@pytest.mark.parametrize(
    ("given", "provider", "cloud"),
    [
        (pool(), "openai", True),
        (pool(kind="anthropic"), "anthropic", True),
        (at("https://api.deepseek.com/v1"), "deepseek", True),
        (at("https://API.Mistral.ai/v1"), "mistral", True),
        (at("https://openrouter.example.com/v1"), None, True),
        (at("https://8.8.8.8/v1"), None, True),
        (at("http://127.0.0.1:8000/v1"), None, False),
        (at("http://[::1]:8000/v1"), None, False),
        (at("http://10.1.2.3/v1"), None, False),
        (at("http://localhost:8000/v1"), None, False),
        (at("http://vllm/v1"), None, False),
        (at("http://vllm.models.svc.cluster.local/v1"), None, False),
        (at("http://box.lan./v1"), None, False),
        (at("https://local.example.com/v1"), None, True),
        (at("https://api.openai.com/v1", kind="vllm"), None, False),
        (PoolSettings(kind="local"), None, False),
    ],
)
def test_whose_prices_count(given: PoolSettings, provider: str | None, cloud: bool) -> None:
    assert (provider_of(given, TABLE), is_cloud(given)) == (provider, cloud)


def test_hardware_of_ones_own_is_free_until_it_is_said_what_it_costs() -> None:
    priced = price_pool("p", at("http://127.0.0.1:8000/v1", kind="vllm"), TABLE, NOW)
    assert (priced.says, priced.price, priced.warning) == (Says.FREE, Price(), None)
    gpu = at("http://127.0.0.1:8000/v1", kind="vllm", gpu_usd_per_hour=3.6, gpu_tokens_per_second=1_000)
    priced = price_pool("p", gpu, TABLE, NOW)
    assert (priced.says, priced.price) == (Says.GPU, Price(1_000_000, 1_000_000, 0))
    assert priced.words == (
        "3.6 USD an hour by measured tokens a second; 1.00/1.00 USD per million tokens in/out at the assumed 1000"
    )


def test_a_gpu_and_a_price_of_tokens_are_two_prices() -> None:
    with pytest.raises(ValidationError, match="gpu_usd_per_hour is a price, and so is output_usd_per_mtok"):
        at("http://h/v1", kind="vllm", gpu_usd_per_hour=1, output_usd_per_mtok=1)


def test_what_nobody_knows_is_taken_for_the_dearest_that_is_known() -> None:
    unknown, own = (price_pool("far", one, TABLE, NOW) for one in (at("https://models.example.org/v1"), pool()))
    assert {unknown.says, own.says} == {Says.NOBODY}
    listed = [one for one in TABLE.entries if one.provider == "openai"]
    for entry in TABLE.entries:
        for tokens in (1_000, 300_000):
            call = (tokens, 500, 0, 100, 100)
            assert unknown.price.of(*call) >= entry.price.of(*call)
    assert own.price.output_micros_per_mtok == max(
        one.output_micros_per_mtok for entry in listed for one in (entry.price, *(t.price for t in entry.price.tiers))
    )
    assert unknown.warning is not None
    for words in ("pool far (m at models.example.org)", "the dearest that is known", "[pools.far]", "prices update"):
        assert words in unknown.warning


def test_calls_that_may_wait_cost_what_batches_cost() -> None:
    usual, flex = (price_pool("p", pool(**OPENAI, **tier), TABLE, NOW) for tier in ({}, {"service_tier": "flex"}))
    assert (flex.price.of(1_000_000, 0), usual.price.of(1_000_000, 0)) == (100_000, 200_000)
    assert flex.price.usual == usual.price
    assert flex.words.endswith(f"(flex, price table of {TABLE.checked})")
    assert prices_version(TABLE, [flex]) != prices_version(TABLE, [usual])
    google = at(
        "https://generativelanguage.googleapis.com/v1beta/openai", model="gemini-3.8-flash", service_tier="flex"
    )
    ((_, later),) = price_pool("p", google, TABLE, NOW).later
    assert later.usual is not None
    unlisted = price_pool("p", pool(**OPENAI, service_tier="flex"), table_without_batches(), NOW)
    assert "knows no price of batches" in str(unlisted.warning)
    assert unlisted.price.of(1_000_000, 0) == usual.price.of(1_000_000, 0)
    with pytest.raises(ValidationError, match="service_tier are for kind"):
        pool(kind="anthropic", service_tier="flex")


def table_without_batches() -> PriceTable:
    return replace(TABLE, entries=tuple(replace(e, price=replace(e.price, batch_percent=100)) for e in TABLE.entries))


def test_a_budget_that_could_not_hold_is_refused() -> None:
    unknown = [price_pool("far", pool(), TABLE, NOW)]
    known = [price_pool("p", pool(**OPENAI), TABLE, NOW)]
    tight = Settings(agent={"a": AgentSettings(budget=0.5)})
    check_budgets(Settings(), unknown, [1_000_000])
    check_budgets(tight, known, [500_000])
    with pytest.raises(SettingsError, match=r"^agent\.a\.budget is set, but nobody knows what pool far .* costs"):
        check_budgets(tight, unknown)
    with pytest.raises(SettingsError, match=r"^budget= of an agent is set, but nobody knows"):
        check_budgets(Settings(), unknown, [1_000_000, 500_000])


def test_the_projects_own_table_goes_before_the_packaged_one(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    assert table_of(settings) == TABLE
    assert prices_file(settings) == tmp_path / "prices.json"
    (tmp_path / "prices.json").write_text(json.dumps(OWN_TABLE))
    own = table_of(settings)
    pools = {"luna": pool(**OPENAI), "ours": at("https://models.example.org/v1"), "sol": pool(model="gpt-6.2-sol")}
    found = price_pools(pools, own, NOW)
    assert [one.price.input_micros_per_mtok for one in found.values()] == [7_000_000, 1_000_000, 2_000_000]
    assert own.version != TABLE.version
    (tmp_path / "prices.json").write_text("{")
    with pytest.raises(BadPrices, match=r"prices\.json is not JSON"):
        table_of(settings)


def test_without_a_project_no_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``prices.json`` of the working folder may be anything."""
    (tmp_path / "prices.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    assert prices_file(Settings()) is None
    assert table_of(Settings()) == TABLE


def test_the_version_names_the_table_and_what_stands_outside_of_it() -> None:
    def version(**pools: PoolSettings) -> str:
        return prices_version(TABLE, price_pools(pools, TABLE, NOW).values())

    own = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    assert version(a=pool(**OPENAI)) == version(b=PoolSettings(kind="local")) == TABLE.version
    first, other = version(a=pool(**own)), version(a=pool(**{**own, "input_usd_per_mtok": 3}))
    assert first.startswith(f"{TABLE.version}+")
    assert len({first, other, TABLE.version}) == 3
    assert version(a=pool(**own), b=pool(**OPENAI)) == version(b=pool(**OPENAI), a=pool(**own)) == first


def test_a_worker_logs_what_it_reckons_with(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiosv3")
    prices = settled_prices(Settings(), {"p": pool(**OPENAI), "far": pool()}, NOW)
    assert prices.version == TABLE.version
    said = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert (logging.INFO, f"price of pool p: {prices.pools['p'].words}") in said
    assert (logging.WARNING, prices.pools["far"].warning) in said
    with pytest.raises(SettingsError, match="is set, but nobody knows"):
        settled_prices(Settings(agent={"a": AgentSettings(budget=0.5)}), {"far": pool()}, NOW)


def test_json_has_dollars() -> None:
    assert price_pool("p", pool(**OPENAI), TABLE, NOW).to_json() == {
        "pool": "p",
        "says": "table",
        "input_usd_per_mtok": 0.1,
        "output_usd_per_mtok": 0.5,
        "cached_usd_per_mtok": 0.01,
        "words": f"0.10/0.50 USD per million tokens in/out since 2026-09-22 (price table of {TABLE.checked})",
        "warning": None,
    }
