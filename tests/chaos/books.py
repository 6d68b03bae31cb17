"""Says whether money is booked as it was spent: once for each call that was paid, and nothing else.

Knows no Kafka, as :mod:`tests.chaos.checker`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tests.chaos.checker import Act, Violation

Paid: TypeAlias = dict[tuple[str, int], int]
"""Request and epoch -> micro-dollars."""


class Bill(NamedTuple):
    """What an answer on the log says that it has cost: of the call for ``key`` by the owner of ``epoch``."""

    key: str
    epoch: int
    usd_micros: int


class Settlement(NamedTuple):
    """What the router was told about it. It may be told again: the first one counts."""

    key: str
    epoch: int
    usd_micros: int


@dataclass
class Money:
    """``calls``: those that the endpoint counted. ``spent``, ``reserved``: what whoever asks is told at the end."""

    calls: Sequence[Act]
    bills: Sequence[Bill]
    settlements: Sequence[Settlement]
    spent: int
    reserved: int


def check_money(money: Money) -> list[Violation]:
    """Everything that is wrong, in words."""
    billed, settled = _firsts(money.bills), _firsts(money.settlements)
    return [
        *_changed(money.settlements, settled),
        *_settled(billed, settled),
        *_billed(money.calls, billed),
        *_told(money, settled),
    ]


def _firsts(entries: Iterable[Bill | Settlement]) -> Paid:
    found: Paid = {}
    for key, epoch, cost in entries:
        found.setdefault((key, epoch), cost)
    return found


def _changed(settlements: Sequence[Settlement], settled: Paid) -> Iterator[Violation]:
    for one in settlements:
        if one.usd_micros != settled[one.key, one.epoch]:
            words = (
                f"{one.key} of epoch {one.epoch} is settled with {settled[one.key, one.epoch]}, then {one.usd_micros}"
            )
            yield Violation("duplicated", f"money: {words}")


def _settled(billed: Paid, settled: Paid) -> Iterator[Violation]:
    """Each answer with its cost, and nothing that has no answer."""
    for (key, epoch), cost in sorted(billed.items()):
        if (key, epoch) not in settled:
            yield Violation("lost", f"money: {key} of epoch {epoch} cost {cost} and is not settled")
        elif settled[key, epoch] != cost:
            words = f"{key} of epoch {epoch} cost {cost} and is settled with {settled[key, epoch]}"
            yield Violation("wrong", f"money: {words}")
    for key, epoch in sorted(settled.keys() - billed.keys()):
        if cost := settled[key, epoch]:
            yield Violation("wrong", f"money: {cost} for {key} of epoch {epoch}, and no answer says so")


def _billed(calls: Sequence[Act], billed: Paid) -> Iterator[Violation]:
    """Of a call that was answered there is a bill, unless its caller was gone before it could say so.

    Then somebody made it again: the last one of a request is never missing.
    """
    bills = Counter(key for (key, _), cost in billed.items() if cost)
    chains: dict[str, list[Act]] = defaultdict(list)
    for call in sorted(calls, key=lambda one: one.at):
        chains[call.key].append(call)
    for key, chain in sorted(chains.items()):
        answered = sum(not call.failed for call in chain)
        if answered - bills[key] > len(chain) - 1:
            yield Violation("lost", f"money: {key} was answered {answered} times and billed {bills[key]} times")
    for key, times in sorted(bills.items()):
        if times > len(chains.get(key, ())):
            yield Violation("duplicated", f"money: {key} is billed {times} times, called {len(chains.get(key, ()))}")


def _told(money: Money, settled: Paid) -> Iterator[Violation]:
    total = sum(settled.values())
    if money.spent != total:
        yield Violation("wrong", f"money: {money.spent} micro-dollars are said to be spent, {total} are settled")
    if money.reserved:
        yield Violation("wrong", f"money: {money.reserved} micro-dollars stay reserved, and nothing is at work")
