"""``python bench/decisions.py``: processor time of a routing decision in microseconds. The limit is 50 for 10 pools."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiosv3.router.policy import choose
from aiosv3.router.pools import Health, Pool, PoolTable, Price
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.outlook import Outlook
from aiosv3.router.routing.routingpolicy import BUILT_IN
from aiosv3.schemas.headers import Clearance, Grant, Route
from aiosv3.schemas.records import PoolState, PoolStatus

ROUNDS = 9
COUNT = 2_000
NOW = 1_750_000_000_000
POOLS = [
    Pool(f"p{number}", "openai", "m", Clearance(number % 4), Price(100_000, 400_000), quality=number / 10, region="eu")
    for number in range(10)
]
GRANT = Grant("acme", "root", Clearance.PUBLIC, 1_000_000)
ROUTE = Route("triage", 0.4, 1_000, 500, latency_ms=300)
RULES = "".join(f"\n - {{name: r{number}, match: {{agent: other{number}}}, not_pools: p3}}" for number in range(10))
POLICY = compiled(
    parse_routing(
        f"classes: {{public: {{regions: [eu]}}}}\nrules:{RULES}\n"
        " - {name: canary, match: {agent: triage}, shares: [{name: c, percent: 5, pools: p1}]}"
    )[0]
)


def measured(work: Callable[[], object]) -> float:
    """Microseconds of processor time, the best of several rounds: what else runs here only adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(COUNT):
            work()
        best = min(best, (time.process_time() - began) / COUNT)
    return best * 1e6


def figures() -> dict[str, float]:
    """Microseconds by kind of decision."""
    table = PoolTable()
    for pool in POOLS:
        table.apply(PoolStatus(pool.name, "r", PoolState.UP, "openai", "m", "public", 3, 10, 200, 0, None, NOW))
    outlook = Outlook(POOLS, table, PolicyBook(POLICY))
    health = {pool.name: Health(True, load=0.3, latency_ms=200) for pool in POOLS}
    secret = Grant("acme", "root", Clearance.RESTRICTED)
    moments = iter(range(NOW, NOW + 250 * ROUNDS * COUNT * 2, 250))
    kinds: dict[str, Callable[[], object]] = {
        "built-in policy": lambda: choose(GRANT, ROUTE, POOLS, health, BUILT_IN),
        "11 rules, regions": lambda: choose(GRANT, ROUTE, POOLS, health, POLICY),
        "8 of 10 refused": lambda: choose(secret, ROUTE, POOLS, health, BUILT_IN),
        "what is known (cached)": lambda: outlook.at(NOW),
        "what is known (anew)": lambda: outlook.at(next(moments)),
    }
    return {name: measured(work) for name, work in kinds.items()}


def main() -> None:
    """Prints a line for each kind of decision."""
    for name, took in figures().items():
        print(f"{name:26} {took:6.1f} µs", flush=True)


if __name__ == "__main__":
    main()
