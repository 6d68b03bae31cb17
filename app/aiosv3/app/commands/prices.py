"""``aiosv3 prices …``: what models cost, and what other prices would have made of the calls on the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from aiosv3.app.commands.console import console
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.genaiprices import newer_prices
from aiosv3.app.letters import moment_of
from aiosv3.app.pricediff import Comparison, Line, read_completions
from aiosv3.app.pricing import Priced, price_pools, prices_file, provider_of, table_of
from aiosv3.app.projects import find_pools
from aiosv3.app.settings import Settings, SettingsError, load_settings
from aiosv3.app.workers import clock, open_mesh
from aiosv3.router.prices import Entry, PriceTable, packaged_table, read_table

app = typer.Typer(
    help="What models cost: the price table, newer prices, and what they would change.", no_args_is_help=True
)
_PACKAGED: Final = "packaged"
_PROJECT: Final = "project"
_OWN: Final = "(own)"
"""Instead of a provider, where a pool has none: no table has prices of it."""
Since = Annotated[str | None, typer.Option("--since", help="Only calls since then: 2h, 30d, RFC 3339.")]


@app.command()
def show(
    model: Annotated[
        str | None, typer.Argument(help="Only this model, and all prices that it had or will have.")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Print what each pool costs and who says so, and the price table: US dollars per million tokens."""
    settings, now = load_settings(project), clock()
    table = table_of(settings)
    entries = _wanted(table, model, now)
    pools = [] if model is not None else list(price_pools(find_pools(settings), table, now).values())
    if as_json:
        content: dict[str, Any] = {"version": table.version, "checked": table.checked}
        echo_json({**content, "pools": [one.to_json() for one in pools], "prices": [one.to_json() for one in entries]})
        return
    if not entries:
        raise SettingsError(f"no price of {model!r} is known: 'aiosv3 prices update {model}' may find it")
    _show_pools(pools)
    _show_entries(entries)
    console().print(f"version {table.version}, checked {table.checked}", style="dim")


def _wanted(table: PriceTable, model: str | None, now: int) -> list[Entry]:
    """The prices of now; all there are of one model."""
    if model is not None:
        owners = dict.fromkeys(one.provider for one in table.entries)
        return [entry for owner in owners for entry in table.history(owner, model)]
    return [one for one in table.entries if table.find(one.provider, one.model, now) == one]


def _show_pools(pools: Sequence[Priced]) -> None:
    for one in pools:
        console().print(f"pool {one.pool}: {one.words}", markup=False)
        if one.warning is not None:
            console().print(one.warning, style="yellow", markup=False)


def _show_entries(entries: Sequence[Entry]) -> None:
    table = Table()
    for column in ("provider", "model", "since"):
        table.add_column(column, overflow="fold")
    for column in ("input", "output", "cache read", "write", "long write"):
        table.add_column(column, justify="right")
    for one in entries:
        price = one.price
        rates = (price.input_micros_per_mtok, price.output_micros_per_mtok, *price.of_cache())
        table.add_row(one.provider, one.model, one.effective_from.isoformat(), *(f"{rate / 1e6:g}" for rate in rates))
        for above, long in price.tiers:
            rates = (long.input_micros_per_mtok, long.output_micros_per_mtok, *long.of_cache())
            table.add_row("", f"  over {above:,} tokens", "", *(f"{rate / 1e6:g}" for rate in rates), style="dim")
    console().print(table)


@app.command()
def update(
    models: Annotated[
        list[str] | None, typer.Argument(help="PROVIDER/MODEL, or models of the project's pools.")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="Fetch its newest data; else what is installed.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Take prices from genai-prices into the project's own prices.json, which goes before the packaged table.

    Those of all models in the table and in the project's pools, or of those that are named. Needs aiosv3[prices].
    """
    settings = load_settings(project)
    known = table_of(settings)
    found = newer_prices(_asked(settings, known, models or ()), known, datetime.now(UTC).date(), online=online)
    path = prices_file(settings)
    if path is None:
        raise SettingsError("there is no project here to keep prices for: 'aiosv3 new' makes one")
    own = read_table(path) if path.is_file() else PriceTable(found.checked, ())
    written = found.over(own)
    changed = [one for one in found.entries if one.price not in {old.price for old in known.entries if _same(old, one)}]
    if not found.entries:
        raise SettingsError("genai-prices knows none of these models: set their prices in the project file")
    _write(path, written)
    if as_json:
        echo_json(
            {"file": path, "version": written.over(packaged_table()).version, "changed": [_key(c) for c in changed]}
        )
        return
    typer.echo(f"{path}: {len(found.entries)} prices, {len(changed)} of them other than before")
    if changed:
        _show_entries(changed)


def _same(one: Entry, other: Entry) -> bool:
    return (one.provider, one.model) == (other.provider, other.model)


def _key(one: Entry) -> dict[str, Any]:
    return {"provider": one.provider, "model": one.model, "effective_from": one.effective_from}


def _asked(settings: Settings, table: PriceTable, models: Sequence[str]) -> list[tuple[str, str]]:
    """``(provider, model)`` of all that prices are wanted of."""
    pools = [(provider_of(pool, table), pool.model) for pool in find_pools(settings).values()]
    own = [(provider, model) for provider, model in pools if provider is not None]
    if not models:
        return own + [(one.provider, one.model) for one in table.entries if not one.model.endswith("*")]
    asked = []
    for given in models:
        provider, _, name = given.rpartition("/")
        found = [provider] if provider else [owner for owner, model in own if model == name]
        found = found or list(dict.fromkeys(one.provider for one in table.entries if one.fits(name)))
        if not found:
            raise SettingsError(f"whose model is {given!r}? Write PROVIDER/{given}, such as openai/{given}")
        asked += [(owner, name) for owner in found]
    return asked


def _write(path: Path, table: PriceTable) -> None:
    text = json.dumps(table.to_json(), indent=1, ensure_ascii=False) + "\n"
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="A table: a file, 'packaged', or 'project' (with its prices.json).")],
    new: Annotated[str, typer.Argument(help="Another one.")],
    since: Since = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Say what the calls on the log would have cost under two price tables, for each pool and model.

    Each call counts at the price of its time. What was recorded at the time is shown beside it.
    """
    settings = settings_of(project)
    tables = (_table(settings, old), _table(settings, new))
    after = None if since is None else moment_of(since, datetime.now(UTC))
    found = asyncio.run(_compared(settings, *tables, after))
    total = found.total()
    if as_json:
        content: dict[str, Any] = {"old": tables[0].version, "new": tables[1].version}
        lines = [line.to_json() for line in found.lines()]
        summed = {name: value for name, value in total.to_json().items() if name not in {"pool", "model"}}
        echo_json({**content, "lines": lines, "total": summed})
        return
    _show_lines(found.lines(), total)


def _table(settings: Settings, given: str) -> PriceTable:
    if given == _PACKAGED:
        return packaged_table()
    return table_of(settings) if given == _PROJECT else read_table(Path(given))


async def _compared(settings: Settings, old: PriceTable, new: PriceTable, since: int | None) -> Comparison:
    hosts = new.over(old).over(packaged_table())
    pools = find_pools(settings)
    providers = {name: provider_of(pool, hosts) or _OWN for name, pool in pools.items()}
    flex = {name for name, pool in pools.items() if pool.flex}
    found = Comparison(old, new, providers.get, flex)
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        async for completion, timestamp in read_completions(mesh, since):
            found.add(completion, timestamp)
    return found


def _show_lines(lines: Sequence[Line], total: Line) -> None:
    if not lines:
        console().print("No calls are on the log.")
        return
    table = Table()
    for column in ("pool", "model"):
        table.add_column(column, overflow="fold")
    for column in ("calls", "tokens in", "out", "recorded", "old", "new", "more"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(line.pool, line.model, *_cells(line))
    if total.calls:
        table.add_section()
        table.add_row("all", "that both tables know", *_cells(total))
    console().print(table)


def _cells(line: Line) -> tuple[str, ...]:
    counts = (str(line.calls), str(line.input_tokens), str(line.output_tokens))
    more = "" if line.delta is None else f"{line.delta / 1e6:+.6f}"
    return (*counts, _usd(line.recorded), _usd(line.old), _usd(line.new), more)


def _usd(value: int | None) -> str:
    return "no price" if value is None else f"{value / 1e6:.6f}"
