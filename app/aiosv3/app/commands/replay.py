"""``aiosv3 replay``: tasks of production, run again on the code that is here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import typer

from aiosv3.agents.opentasks import Tried
from aiosv3.agents.replay import Replayed, ReplayedStep
from aiosv3.app.commands.completion import agent_names
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.partitions import Partitions
from aiosv3.app.projects import agent_named
from aiosv3.app.sealing import open_seals
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import agent_setup, open_mesh
from aiosv3.schemas.records import JournalKind
from aiosv3.schemas.topics import TaskHandle

_SHOWN = 100
_NOT_FOUND = 3


def replay(
    handle: Annotated[str | None, typer.Argument(help="One task, open or finished: agent:partition:task_id.")] = None,
    agent: Annotated[
        str | None, typer.Option("--open", help="All open tasks of this agent.", autocompletion=agent_names)
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Try the code that is here on recorded tasks, before a release. Nothing is sent, no model is called.

    Exit code 0: the code fits all of them; 1: it does not fit at least one, whose task would be stuck; 3: there is no
    record of the task (any more).
    """
    if (handle is None) == (agent is None):
        raise SettingsError("name one task (agent:partition:task_id), or an agent with --open")
    settings = settings_of(project)
    if agent is not None:
        tried = asyncio.run(open_tasks(settings, agent))
        report(tried, as_json=as_json)
        if not as_json:
            bad = sum(not one.fits for _, one in tried)
            typer.echo(
                f"{agent}: {len(tried)} open tasks, {len(tried) - bad} go on with this code, {bad} would be stuck"
            )
    else:
        one = asyncio.run(try_one(settings, TaskHandle.parse(handle or "")))
        if one is None:
            typer.echo(f"{handle}: no record of it is left", err=True)
            raise typer.Exit(_NOT_FOUND)
        tried = [(handle or "", one)]
        _show(handle or "", one, as_json=as_json)
    if not all(one.fits for _, one in tried):
        raise typer.Exit(1)


async def open_tasks(settings: Settings, name: str) -> list[tuple[str, Tried]]:
    """The open tasks of an agent by handle, run again on the code that is here."""
    agent = agent_named(settings, name)
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        partitions = Partitions(mesh, replace(agent_setup(mesh, agent), seals=await open_seals(mesh)))
        tried = []
        async for number, log in partitions.open_logs():
            for found in await partitions.found(log):
                if found.result is None:
                    handle = TaskHandle(name, number, found.identity.id)
                    tried.append((str(handle), await partitions.tried(found, log)))
    _check_secret([one for _, one in tried])
    return tried


async def try_one(settings: Settings, handle: TaskHandle) -> Tried | None:
    """One task, open or finished, run again on the code that is here; None if nothing of it is left."""
    agent = agent_named(settings, handle.agent)
    async with open_mesh(settings, "aiosv3-cli") as mesh:
        partitions = Partitions(mesh, replace(agent_setup(mesh, agent), seals=await open_seals(mesh)))
        if handle.partition >= (count := await partitions.count()):
            raise SettingsError(f"{handle.agent} has {count} partitions, so there is no {handle.partition}")
        log = await partitions.read(handle.partition)
        found = next((one for one in await partitions.found(log) if one.identity.id == handle.task_id), None)
        if found is None or (found.result is not None and not found.entries and log.journal):
            return None
        tried = await partitions.tried(found, log)
    _check_secret([tried])
    return tried


def _check_secret(tried: list[Tried]) -> None:
    """With another secret no answer counts, and every task seems to wait for its first step."""
    replayed = [one.replayed for one in tried if one.replayed is not None]
    answered = any(_is_answered(step) for one in replayed for step in one.steps)
    if any(one.forged for one in replayed) and not answered:
        raise SettingsError(
            "no answer in the journal has the token of this mesh: mesh.secret is not that of production"
        )


def _is_answered(step: ReplayedStep) -> bool:
    return step.answer is not None and step.answer.record.kind is JournalKind.ANSWER


# -- what is printed --------------------------------------------------------------------------------------------------


def _state(tried: Tried) -> str:
    if tried.replayed is None:
        return "unreadable"
    if tried.replayed.stuck is not None:
        return "diverged"
    return "ok"


def _words(tried: Tried) -> str:
    if tried.replayed is None:
        return f"today's code cannot read it: {tried.unreadable}"
    return tried.replayed.words()


def report(tried: list[tuple[str, Tried]], *, as_json: bool) -> None:
    """A line for each task, or all of them as JSON."""
    if as_json:
        echo_json([_summary(handle, one) for handle, one in tried])
        return
    for handle, one in tried:
        typer.echo(f"{_state(one):10} {handle} {_words(one)}")


def _summary(handle: str, tried: Tried) -> dict[str, Any]:
    replayed = tried.replayed
    return {
        "task": handle,
        "state": _state(tried),
        "words": _words(tried),
        "begun_by": replayed.code_version if replayed is not None else None,
        "waiting": [_step(step) for step in replayed.waiting] if replayed is not None else [],
        "stuck": replayed.stuck if replayed is not None else None,
    }


def _step(step: ReplayedStep) -> dict[str, Any]:
    answer = step.answer
    record = answer.record if answer is not None else None
    return {
        "step": step.id,
        "kind": step.kind,
        "asks": step.asks,
        "outcome": record.outcome.value if record is not None else None,
        "answer": record.content if record is not None and isinstance(record.content, str) else None,
        "error": f"{record.error.type}: {record.error.message}" if record is not None and record.error else None,
        "offset": answer.offset if answer is not None else None,
    }


def _show(handle: str, tried: Tried, *, as_json: bool) -> None:
    replayed = tried.replayed
    if as_json:
        steps = [_step(step) for step in replayed.steps] if replayed is not None else []
        echo_json({**_summary(handle, tried), "steps": steps})
        return
    for step in replayed.steps if replayed is not None else ():
        typer.echo(f"{step.id:>4} {step.kind:8} {_short(step.asks)}\n     {_answered(step, replayed)}")
    typer.echo(f"{handle} {_words(tried)}")


def _answered(step: ReplayedStep, replayed: Replayed | None) -> str:
    entry = step.answer
    if entry is None:
        waiting = replayed is not None and step in replayed.waiting
        return "no answer yet" if waiting else "no answer needed"
    record = entry.record
    said = f"{record.error.type}: {record.error.message}" if record.error else str(record.content or "")
    return f"{record.outcome} @{entry.offset} {_short(said)}".rstrip()


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
