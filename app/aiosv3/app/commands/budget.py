"""``aiosv3 budget show|grant``: what may be spent, what is, and more of it."""

from __future__ import annotations

import asyncio
import getpass
import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from aiosv3.agents.agent import parse_usd
from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.router.ledger import Books, entry_outgoing, read_books
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.money import LedgerEntry, LedgerKind, tree_budget, tree_of
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.tenure import appended

app = typer.Typer(no_args_is_help=True, help="Money: what task trees may spend, have spent, and get beside.")
_SOURCE: Final = b"aiosv3/cli"
_MICROS: Final = 1_000_000

Name = Annotated[str, typer.Argument(metavar="BUDGET", help="tree/TASK-ID, the id of the task at the root of a tree.")]


class NoSuchBudget(AiosError):
    """Nothing was ever reserved or spent by this name."""


@app.command()
def show(
    budget: Annotated[str | None, typer.Argument(metavar="[BUDGET]", help="One budget, else all that live.")] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Show what budgets have, have spent and have reserved for calls at work, by all that is on the log now."""
    found = asyncio.run(_show(settings_of(project), budget))
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
    if tree_of(budget) is None:
        raise typer.BadParameter(f"{budget!r} is no budget of a tree: write tree/TASK-ID")
    try:
        micros = parse_usd(usd)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    entry = LedgerEntry(
        LedgerKind.GRANT, grant_id or str(uuid.uuid4()), budget, micros, by=by or getpass.getuser(), source="cli"
    )
    asyncio.run(_grant(settings_of(project), entry))
    typer.echo(f"{budget}: {_usd(micros)} US dollars more, granted by {entry.by} ({entry.id})")


async def _grant(settings: Settings, entry: LedgerEntry) -> None:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        key = (tree_of(entry.budget) or entry.budget).encode()
        await appended(mesh.log, entry_outgoing(mesh.topics, mesh.codec, entry, key, _SOURCE))


async def _show(settings: Settings, budget: str | None) -> list[dict[str, Any]]:
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        count = await Reading(mesh).partitions(mesh.topics.decisions())
        root = None if budget is None else tree_of(budget)
        wanted = range(count) if root is None else [murmur2_partition(root.encode(), count)]
        return [line for partition in wanted for line in await _lines(mesh, partition, budget)]


async def _lines(mesh: Mesh, partition: int, budget: str | None) -> list[dict[str, Any]]:
    books = await read_books(mesh.log, mesh.codec, mesh.topics, partition)
    return [line for line in _of(books, partition) if budget in {None, line["budget"]}]


def _of(books: Books, partition: int) -> Iterator[dict[str, Any]]:
    ledger = books.ahead
    accounts = [(tree_budget(root), tree) for root, tree in ledger.trees.items()]
    for name, account in [*accounts, *ledger.shared.items()]:
        yield {
            "budget": name,
            "partition": partition,
            "cap_usd_micros": account.total,
            "granted_usd_micros": account.added,
            "spent_usd_micros": account.spent,
            "reserved_usd_micros": account.reserved,
            "overrun_usd_micros": account.overrun,
        }


def _print(lines: Sequence[dict[str, Any]]) -> None:
    if not lines:
        console().print("No budget has anything reserved or spent.")
        return
    table = Table()
    for column in ("budget", "cap", "spent", "reserved", "granted beside"):
        table.add_column(column, overflow="fold", justify="left" if column == "budget" else "right")
    for line in lines:
        cap = "none" if line["cap_usd_micros"] is None else _usd(line["cap_usd_micros"])
        money = (_usd(line[name]) for name in ("spent_usd_micros", "reserved_usd_micros", "granted_usd_micros"))
        table.add_row(line["budget"], cap, *money)
    console().print(table)


def _usd(micros: int) -> str:
    return f"{Decimal(micros) / _MICROS:.6f}"
