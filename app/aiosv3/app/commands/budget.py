"""``aiosv3 budget show|grant``: what may be spent, what is, and more of it."""

from __future__ import annotations

import asyncio
import getpass
import uuid
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from aiosv3.agents.agent import parse_usd
from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings
from aiosv3.app.workers import clock, open_mesh
from aiosv3.router.ledger import Books, Caps, entry_outgoing, read_books
from aiosv3.router.ledger.accounts import Account
from aiosv3.router.ledger.caps import KINDS, ends, kind_of
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_budget, tree_of
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.tenure import appended

app = typer.Typer(no_args_is_help=True, help="Money: what trees, tenants and agents may spend, have spent, and get.")
_SOURCE: Final = b"aiosv3/cli"
_MICROS: Final = 1_000_000

_HELP: Final = (
    "tree/TASK-ID (the root of a tree), tenant/NAME or agent/NAME: of today or this month, if it has windows."
)

Name = Annotated[str, typer.Argument(metavar="BUDGET", help=_HELP)]


class NoSuchBudget(AiosError):
    """Nothing was ever reserved or spent by this name."""


@app.command()
def show(
    budget: Annotated[str | None, typer.Argument(metavar="[BUDGET]", help="One budget, else all that live.")] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Show what budgets have, have spent and have reserved for calls at work, by all that is on the log now."""
    settings = settings_of(project)
    if budget is not None:
        budget = settings.budgets.caps(clock).current(budget)
    found = asyncio.run(_show(settings, budget))
    if budget is not None and not found:
        raise NoSuchBudget(f"there is no budget {budget}: nothing was reserved in it, or its tree ended an hour ago")
    if as_json:
        echo_json(found)
    else:
        _print(found)


@app.command()
def grant(
    budget: Name,
    usd: Annotated[str, typer.Argument(metavar="USD", help="How much more, in US dollars.")],
    by: Annotated[str, typer.Option("--by", help="Who grants it; kept on the log.")] = "",
    grant_id: Annotated[str, typer.Option("--id", help="Counts once, however often it is sent.")] = "",
    project: Project = None,
) -> None:
    """Raise the cap of a budget. Calls that were refused are not made again by it; the next ones have more."""
    settings = settings_of(project)
    budget = _grantable(budget, settings.budgets.caps(clock))
    try:
        micros = parse_usd(usd)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if micros <= 0:
        raise typer.BadParameter("a grant is more than nothing: write dollars, such as 0.05")
    entry = LedgerEntry(
        LedgerKind.GRANT, grant_id or str(uuid.uuid4()), budget, micros, by=by or getpass.getuser(), source="cli"
    )
    asyncio.run(_grant(settings, entry))
    typer.echo(f"{budget}: {_usd(micros)} US dollars more, granted by {entry.by} ({entry.id})")


async def _grant(settings: Settings, entry: LedgerEntry) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        key = (tree_of(entry.budget) or entry.budget).encode()
        await appended(mesh.log, entry_outgoing(mesh.topics, mesh.codec, entry, key, _SOURCE))


def _grantable(budget: str, caps: Caps) -> str:
    """The budget that is meant; one that nothing is ever taken from is a mistake."""
    kind, _, name = budget.partition("/")
    if tree_of(budget) is not None:
        return budget
    if "@" in kind and kind_of(budget) in KINDS and (over := ends(budget)) is not None:
        if over <= clock():
            raise typer.BadParameter(f"the window of {budget} is over: nothing is taken from it any more")
        return budget
    if kind not in KINDS or not name:
        raise typer.BadParameter(f"{budget!r} is no budget: write tree/TASK-ID, tenant/NAME or agent/NAME")
    if caps.named(budget) is None:
        raise typer.BadParameter(f"{budget} has no cap: [budgets.{kind}.{name}] in aiosv3.toml would give it one")
    return caps.current(budget)


async def _show(settings: Settings, budget: str | None) -> list[dict[str, Any]]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        count = await Reading(mesh).partitions(mesh.topics.decisions())
        root = None if budget is None else tree_of(budget)
        wanted = range(count) if root is None else [murmur2_partition(root.encode(), count)]
        books = {number: await read_books(mesh.log, mesh.codec, mesh.topics, number) for number in wanted}
    lines = [*_of_trees(books), *_shared(books, settings.budgets.caps(clock), count)]
    return [line for line in lines if budget in {None, line["budget"]}]


def _of_trees(books: Mapping[int, Books]) -> Iterator[dict[str, Any]]:
    for partition, one in books.items():
        for root, tree in sorted(one.ahead.trees.items()):
            yield _line(tree_budget(root), partition, tree.total, tree.added, [tree])


def _shared(books: Mapping[int, Books], caps: Caps, count: int) -> Iterator[dict[str, Any]]:
    """Those of tenants and agents: what all partitions have of each, and those of the settings that are not used."""
    names = {name for one in books.values() for name in (*one.ahead.shared, *one.lending.lenders)}
    for name in sorted(names | set(caps.listed())):
        home = murmur2_partition(name.encode(), count)
        lender = books[home].lending.lenders.get(name) if home in books else None
        parts = [one.ahead.shared[name] for one in books.values() if name in one.ahead.shared]
        if lender is None or not lender.loans:  # nobody has asked yet: the settings say what there is
            limit = caps.limit(name)
            added = 0 if lender is None else lender.added
            yield _line(name, home, None if limit is None else limit + added, added, parts)
        else:
            yield _line(name, home, lender.total, lender.added, parts) | {"lent_usd_micros": lender.out}


def _line(name: str, partition: int, cap: int | None, added: int, parts: Sequence[Account]) -> dict[str, Any]:
    return {
        "budget": name,
        "partition": partition,
        "cap_usd_micros": cap,
        "granted_usd_micros": added,
        "spent_usd_micros": sum(part.spent for part in parts),
        "reserved_usd_micros": sum(part.reserved for part in parts),
        "overrun_usd_micros": sum(part.overrun for part in parts),
        "lent_usd_micros": 0,
        "ends_at": ends(name),
    }


def _print(lines: Sequence[dict[str, Any]]) -> None:
    if not lines:
        console().print("No budget has anything reserved or spent.")
        return
    table = Table()
    for column in ("budget", "cap", "spent", "reserved", "overrun", "granted"):
        table.add_column(column, overflow="fold", justify="left" if column == "budget" else "right")
    for line in lines:
        cap = "none" if line["cap_usd_micros"] is None else _usd(line["cap_usd_micros"])
        shown = ("spent_usd_micros", "reserved_usd_micros", "overrun_usd_micros", "granted_usd_micros")
        money = (_usd(line[name]) for name in shown)
        table.add_row(line["budget"], cap, *money)
    console().print(table)


def _usd(micros: int) -> str:
    return f"{Decimal(micros) / _MICROS:.6f}"
