"""What Prometheus sees of money: the budgets of the partitions that this process owns, by kind, never by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aiosv3.router.ledger.accounts import Account, Lease
from aiosv3.router.ledger.caps import KINDS, kind_of
from aiosv3.router.ledger.fold import Ledger

_KINDS: Final = ("tree", *KINDS)


class Tally:
    """What this process has refused and asked for, by kind of budget."""

    def __init__(self) -> None:
        self.refusals: Counter[str] = Counter()
        self.asks: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def refused(self, budget: str) -> None:
        """A request was refused for want of money."""
        self.refusals[kind_of(budget)] += 1

    def asked(self, budget: str) -> None:
        """A lease was asked for."""
        self.asks[kind_of(budget)] += 1

    def waited(self, budget: str) -> None:
        """A request has to wait for money."""
        self.waits[kind_of(budget)] += 1


class _Gauge(NamedTuple):
    name: str
    meaning: str
    read: Callable[[Account], int]


class _Counted(NamedTuple):
    name: str
    meaning: str
    read: Callable[[Tally], Counter[str]]


def _free(account: Account) -> int:
    return account.free if isinstance(account, Lease) else 0


GAUGES: Final = (
    _Gauge("budget_reserved_usd", "Reserved for calls at work, in budgets that live.", lambda a: a.reserved),
    _Gauge("budget_spent_usd", "Spent, in budgets that live: it falls when one is forgotten.", lambda a: a.spent),
    _Gauge("budget_overrun_usd", "Of it, spent beyond a reservation or without one.", lambda a: a.overrun),
    _Gauge("budget_lease_free_usd", "Lent of shared budgets and not spent or reserved.", _free),
)
COUNTERS: Final = (
    _Counted("budget_refused", "Requests refused for want of money.", lambda t: t.refusals),
    _Counted("budget_waits", "Requests that had to wait for money.", lambda t: t.waits),
    _Counted("budget_lease_asks", "Leases asked for.", lambda t: t.asks),
)


class LedgerCollector(Collector):
    """The metrics of one router. ``ledgers``: of the partitions that it owns now."""

    def __init__(self, tally: Tally, ledgers: Callable[[], Iterable[Ledger]]) -> None:
        self._tally = tally
        self._ledgers = ledgers

    def collect(self) -> Iterator[Metric]:
        accounts = [one for ledger in self._ledgers() for one in _accounts(ledger)]
        for gauge in GAUGES:
            family = GaugeMetricFamily(f"aiosv3_{gauge.name}", gauge.meaning, labels=["kind"])
            sums = dict.fromkeys(_KINDS, 0)
            for kind, account in accounts:
                sums[kind] = sums.get(kind, 0) + gauge.read(account)
            for kind, micros in sums.items():
                family.add_metric([kind], micros / 1e6)
            yield family
        for counted in COUNTERS:
            told = CounterMetricFamily(f"aiosv3_{counted.name}", counted.meaning, labels=["kind"])
            for kind in _KINDS:
                told.add_metric([kind], counted.read(self._tally)[kind])
            yield told


def _accounts(ledger: Ledger) -> list[tuple[str, Account]]:
    """A copy: the books go on while another thread asks."""
    trees: list[tuple[str, Account]] = [("tree", tree) for tree in list(ledger.trees.values())]
    return trees + [(kind_of(budget), lease) for budget, lease in list(ledger.shared.items())]


def expose_ledgers(tally: Tally, ledgers: Callable[[], Iterable[Ledger]], registry: CollectorRegistry) -> None:
    """From now on the registry has the metrics of this router's money."""
    registry.register(LedgerCollector(tally, ledgers))
