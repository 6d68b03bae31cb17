"""What the calls of each pool cost, and who says so: the project, the price table, or a GPU's measured speed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiosv3.agents.agent import Limits
from aiosv3.app.poolsettings import PoolSettings
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.router.pools import Price
from aiosv3.router.prices import Entry, PriceTable, packaged_table, read_table
from aiosv3.router.prices.measured import own_gpu_price, usd_micros_per_mtok
from aiosv3.router.prices.table import micros

_LOG: Final = logging.getLogger(__name__)
PRICES_FILE: Final = "prices.json"
_CLOUDS: Final = frozenset({"openai", "anthropic"})
_OWN_NAMES: Final = frozenset({"localhost", "internal", "local", "lan", "home", "svc", "test"})
"""Last parts of names that public DNS does not have."""
_USUAL_BUDGET: Final = Limits().usd_micros


class Says(StrEnum):
    """Who says what a pool costs. FREE: its own hardware, of which nobody said what it costs. NOBODY: it is in a cloud,
    and the dearest price that is known there is assumed."""

    PROJECT = "project"
    TABLE = "table"
    GPU = "gpu"
    FREE = "free"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Priced:
    """``later``: prices to come, as :class:`aiosv3.router.pools.Pool` has them. ``warning``: what is wrong with it."""

    pool: str
    says: Says
    price: Price
    words: str
    later: tuple[tuple[int, Price], ...] = ()
    warning: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        cached = self.price.cached_micros_per_mtok
        return {
            "pool": self.pool,
            "says": self.says.value,
            "input_usd_per_mtok": self.price.input_micros_per_mtok / 1e6,
            "output_usd_per_mtok": self.price.output_micros_per_mtok / 1e6,
            "cached_usd_per_mtok": None if cached is None else cached / 1e6,
            "words": self.words,
            "warning": self.warning,
        }


def table_of(settings: Settings) -> PriceTable:
    """The packaged table, with the project's own ``prices.json`` over it. Raises ``BadPrices``."""
    own = prices_file(settings)
    return packaged_table() if own is None or not own.is_file() else read_table(own).over(packaged_table())


def prices_file(settings: Settings) -> Path | None:
    """Where the project's own table is, or would be: beside the project file; None without one."""
    return None if settings.folder == Path() else settings.folder / PRICES_FILE


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of a project's pools, and the version under which decisions name them."""

    pools: Mapping[str, Priced]
    version: str


def settled_prices(settings: Settings, pools: Mapping[str, PoolSettings], now: int) -> Prices:
    """What a worker reckons with; its log says so. Raises :class:`SettingsError` and ``BadPrices``."""
    table = table_of(settings)
    found = price_pools(pools, table, now)
    for one in found.values():
        _LOG.info("price of pool %s: %s", one.pool, one.words)
        if one.warning is not None:
            _LOG.warning("%s", one.warning)
    check_budgets(settings, found.values())
    return Prices(found, prices_version(table, found.values()))


def price_pools(pools: Mapping[str, PoolSettings], table: PriceTable, now: int) -> dict[str, Priced]:
    """The prices of all pools at ``now``, in milliseconds since the epoch."""
    return {name: price_pool(name, pool, table, now) for name, pool in pools.items()}


def price_pool(name: str, pool: PoolSettings, table: PriceTable, now: int) -> Priced:
    """Own prices always win; then the price of own GPUs; then the table; and what is not known is taken for dear."""
    if pool.own_prices:
        return _own(name, pool)
    if pool.gpu_usd_per_hour is not None:
        return _gpu(name, pool, pool.gpu_usd_per_hour)
    provider = provider_of(pool, table)
    found = None if provider is None else table.find(provider, pool.model, now)
    if provider is not None and found is not None:
        later = [(one.since_ms, one.price) for one in table.history(provider, pool.model) if one.since_ms > now]
        return _listed(name, pool, found, tuple(later), table)
    if is_cloud(pool):
        dear = table.dearest(provider)
        words = f"price unknown: {usd(dear)} is assumed, the dearest that is known"
        return Priced(name, Says.NOBODY, dear, words, warning=_unknown(name, pool, dear))
    return Priced(name, Says.FREE, Price(), "free: hardware of your own, gpu_usd_per_hour would say what it costs")


def provider_of(pool: PoolSettings, table: PriceTable) -> str | None:
    """Whose list prices count for a pool; None where it is not a provider of the table."""
    if pool.kind not in _CLOUDS:
        return None
    return table.hosts.get(_host(pool)) if pool.base_url else pool.kind


def is_cloud(pool: PoolSettings) -> bool:
    """Whether somebody else runs it, as far as its kind and its address tell."""
    if pool.kind not in _CLOUDS:
        return False
    host = _host(pool)
    if not pool.base_url:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        labels = host.rstrip(".").split(".")
        return len(labels) > 1 and labels[-1] not in _OWN_NAMES
    return address.is_global


def check_budgets(settings: Settings, priced: Iterable[Priced], budgets: Iterable[int] = ()) -> None:
    """Raises :class:`SettingsError` where the project sets a budget that a pool without a price could not hold.

    ``budgets``: those that agents have in their code. The usual one, which nobody chose, is no reason to refuse.
    """
    set_by = [f"agent.{name}.budget" for name, one in settings.agent.items() if one.budget is not None]
    if not set_by and any(one != _USUAL_BUDGET for one in budgets):
        set_by = ["budget= of an agent"]
    unknown = [one for one in priced if one.says is Says.NOBODY]
    if set_by and unknown:
        raise SettingsError(f"{set_by[0]} is set, but {unknown[0].warning}")


def prices_version(table: PriceTable, priced: Iterable[Priced]) -> str:
    """Of all prices that a router reckons with: the table's, and after a ``+`` that of prices outside of it."""
    outside = {Says.PROJECT, Says.GPU}
    own = sorted((one.pool, repr(one.price)) for one in priced if one.says in outside or one.price.usual is not None)
    if not own:
        return table.version
    return f"{table.version}+{hashlib.sha256(json.dumps(own).encode()).hexdigest()[:8]}"


def _own(name: str, pool: PoolSettings) -> Priced:
    cached = pool.cached_usd_per_mtok
    price = Price(
        micros(pool.input_usd_per_mtok),
        micros(pool.output_usd_per_mtok),
        None if cached is None else micros(cached),
    )
    missing = [one for one in ("input_usd_per_mtok", "output_usd_per_mtok") if one not in pool.own_prices]
    warning = None
    if missing:
        warning = f"pool {name} has prices of its own, but no {' and no '.join(missing)}: such tokens count as free"
    return Priced(name, Says.PROJECT, price, f"{usd(price)} (project file)", warning=warning)


def _gpu(name: str, pool: PoolSettings, usd_per_hour: float) -> Priced:
    assumed = pool.gpu_tokens_per_second
    price = own_gpu_price(usd_micros_per_mtok(micros(usd_per_hour), assumed))
    words = f"{usd_per_hour:g} USD an hour by measured tokens a second; {usd(price)} at the assumed {assumed:g}"
    return Priced(name, Says.GPU, price, words)


def _listed(
    name: str, pool: PoolSettings, entry: Entry, later: tuple[tuple[int, Price], ...], table: PriceTable
) -> Priced:
    price, how, warning = entry.price, "", None
    if pool.flex:
        price, how = price.batched(), "flex, "
        later = tuple((since, one.batched()) for since, one in later)
        if entry.price.batch_percent == 100:
            warning = (
                f"pool {name} asks for the flex tier, but the price table knows no price of batches for {pool.model}"
            )
    words = f"{usd(price)} since {entry.effective_from} ({how}price table of {table.checked})"
    return Priced(name, Says.TABLE, price, words, later, warning)


def usd(price: Price) -> str:
    """Both rates in words."""
    rates = (price.input_micros_per_mtok, price.output_micros_per_mtok)
    return "{}/{} USD per million tokens in/out".format(*(_short(rate) for rate in rates))


def _short(rate: int) -> str:
    return f"{rate / 1e6:.6f}".rstrip("0").rstrip(".") if rate % 10_000 else f"{rate / 1e6:.2f}"


def _unknown(name: str, pool: PoolSettings, assumed: Price) -> str:
    where = _host(pool) or pool.kind
    return (
        f"nobody knows what pool {name} ({pool.model} at {where}) costs: {usd(assumed)} is assumed, the dearest that "
        "is known, so cheaper pools go first and its bills are guesses. Set input_usd_per_mtok and output_usd_per_mtok "
        f"in [pools.{name}] (0 if it is free), or look for it with 'aiosv3 prices update'"
    )


def _host(pool: PoolSettings) -> str:
    return (urlsplit(pool.base_url).hostname or "").lower()
