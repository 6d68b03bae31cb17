"""What a worker bills by, and what it says of it."""

from __future__ import annotations

from aiosv3.app.metering import Meter
from aiosv3.app.settings import PoolSettings
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.schemas.records import PoolState, PoolStatus, Prompt

STATUS = PoolStatus("p", "r", PoolState.UP, "vllm", "m", "internal", 0, 8, None, 0, None, 1_000)
CALL = Call(Prompt((), None, 10), "m", "id", 1.0)
GPU = PoolSettings(
    kind="vllm", model="m", base_url="http://h/v1", gpu_usd_per_hour=3.6, gpu_tokens_per_second=1_000
)  # 1 USD a million tokens


class Endpoint:
    async def complete(self, call: Call) -> Completed:
        return Completed("t", None, "stop", 50_000, 10_000)

    async def probe(self) -> Probed:
        return Probed((), 1)

    async def aclose(self) -> None:
        """Nothing to close."""


def test_a_fixed_price_is_not_measured() -> None:
    meter, endpoint = Meter(PoolSettings(kind="openai", model="m")), Endpoint()
    assert meter.measured(endpoint) is endpoint
    assert meter.stated(STATUS) == STATUS
    pool = Pool("p", "openai", "m", price=Price(1), later=((500, Price(2)),))
    assert meter.repriced(pool, 499) is pool
    assert meter.repriced(pool, 500).price == Price(2)


async def test_what_a_worker_measures_is_what_it_bills_by_and_what_routers_reckon_with() -> None:
    meter = Meter(GPU)
    pool = Pool("p", "vllm", "m")
    assert meter.repriced(pool, 0).price == Price(1_000_000, 1_000_000, 0)
    await meter.measured(Endpoint()).complete(CALL)
    price = meter.repriced(pool, 0).price
    assert 480_000 < price.input_micros_per_mtok < 520_000, "60,000 tokens in no time beside those assumed of a minute"
    said = meter.stated(STATUS)
    assert said.usd_micros_per_mtok == price.input_micros_per_mtok
    table = PoolTable()
    table.apply(said)
    assert [known.price for known in table.priced([pool, Pool("q", "local", "m")], 1_000)] == [price, Price()]
