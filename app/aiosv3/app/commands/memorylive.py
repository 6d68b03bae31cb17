"""``aiosv3 memory rebuild --live``: the running workers build their views anew."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import typer

from aiosv3.app.commands.options import echo_json
from aiosv3.app.memories import generations_of
from aiosv3.app.memoryasking import MemoryAsking
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh

if TYPE_CHECKING:
    from aiosv3.memory.views.weaviate import Generations
    from aiosv3.schemas.memory import MemoryEvent

_CLIENT: Final = "aiosv3-cli"


def rebuild_live(settings: Settings, wait: float, *, as_json: bool) -> None:
    """Says what came of it, by partition of memory; exit code 1 where a worker kept the view that it had."""
    told = asyncio.run(_rebuild(settings, wait))
    if as_json:
        echo_json(told)
    else:
        for partition, one in enumerate(told):
            typer.echo(f"partition {partition}: {_said(one)}")
    if any("error" in one for one in told):
        raise typer.Exit(1)


async def _rebuild(settings: Settings, wait: float) -> list[dict[str, Any]]:
    async with open_mesh(settings, _CLIENT) as mesh:
        return [_told(event) for event in await MemoryAsking(mesh).rebuild(wait)]


def _told(event: MemoryEvent) -> dict[str, Any]:
    if event.error is not None:
        return {"error": event.error.type, "message": event.error.message}
    told: dict[str, Any] = json.loads(str(event.content))
    return told


def _said(one: dict[str, Any]) -> str:
    if "error" in one:
        return f"{one['message']} ({one['error']})"
    tenants = ", ".join(f"{name}: {held['count']} ({held['hash']})" for name, held in one["tenants"].items())
    said = f"its worker's view is new, from {one['records']} records, and equals the one before: {tenants or 'empty'}"
    if "kept" not in one:
        return said
    return (
        f"{said}\nthe one before is kept as {one['kept']}, until 'rebuild --confirm'; 'rebuild --back' goes back to it"
    )


def confirm_live(settings: Settings, *, as_json: bool) -> None:
    """Drops all collections of a shared view but the live one."""
    dropped = asyncio.run(_shelf(settings).confirm())
    if as_json:
        echo_json({"dropped": dropped})
    else:
        typer.echo(f"dropped: {', '.join(dropped) or 'none'}")


def go_back(settings: Settings, collection: str, *, as_json: bool) -> None:
    """Makes a collection that was kept the live one again."""
    shelf, alias = _shelf(settings), settings.memory.weaviate.collection
    if not collection.startswith(f"{alias}_"):
        raise SettingsError(
            f"collections of this mesh are named {alias}_…, as 'rebuild --live' says them: {collection!r}"
        )
    asyncio.run(shelf.switch_back(collection))
    if as_json:
        echo_json({"live": collection})
    else:
        typer.echo(f"{collection} is live again; it lacks what came since: restart the memory workers")


def _shelf(settings: Settings) -> Generations:
    if settings.memory.view == "embedded":
        raise SettingsError(
            'with view = "embedded" each worker has its own view, and nothing is kept: "rebuild --live"'
        )
    return generations_of(settings)
