"""``aiosv3 eval``: an agent against its golden tasks; exit code 1 where too few pass, so that CI can stop a release."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aiosv3.agents import Agent
from aiosv3.app.clients import open_client
from aiosv3.app.commands.completion import agent_names
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.commands.task import CLI, header_of
from aiosv3.app.evaluation import Run, evaluate
from aiosv3.app.golden import Golden, read_golden
from aiosv3.app.projects import agent_named
from aiosv3.app.releases import RELEASE, Difference, Release, compare, load_release, save_release
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.schemas.derive import validation_words

_FAILED: Final = 1


def evaluation(
    agent: Annotated[str, typer.Argument(help="Name of the agent.", autocompletion=agent_names)],
    data: Annotated[Path, typer.Option("--data", help="Golden tasks, a JSON object a line.")],
    against: Annotated[Path | None, typer.Option("--against", help="A saved release to compare with.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Where to keep this run, if it passes.")] = None,
    min_pass: Annotated[float, typer.Option("--min-pass", min=0, max=1, help="Share that must pass.")] = 1.0,
    strict: Annotated[bool, typer.Option("--strict", help="What passed in --against must pass again.")] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Tasks open together.")] = 8,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for each task.")] = 300.0,
    header: Annotated[list[str] | None, typer.Option("--header", help="name=value of each task.")] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Run golden tasks through the mesh: pass rate, cost, latency. Exit code 1 where the gate does not hold."""
    if strict and against is None:
        raise SettingsError("--strict compares with a release: name one with --against")
    settings = settings_of(project)
    found = agent_named(settings, agent)
    golden = _golden(data, found)
    before = None if against is None else load_release(against, agent)
    run = Run(found, at_once, timeout, [header_of(text) for text in header or []])
    now = asyncio.run(_evaluate(settings, run, golden))
    difference = None if before is None else compare(before, now)
    holds = now.pass_rate >= min_pass and not (strict and difference is not None and difference.newly_failing)
    if as_json:
        echo_json(_datum(now, difference, holds=holds))
    else:
        _show(now, min_pass, holds=holds)
        if before is not None and difference is not None:
            _show_difference(before, difference)
    if not holds:
        raise typer.Exit(_FAILED)
    if save is not None:
        save_release(save, now)


def _golden(path: Path, agent: Agent[Any, Any]) -> list[Golden]:
    try:
        golden = read_golden(path.read_text(encoding="utf-8"), path.name)
    except OSError as error:
        raise SettingsError(f"--data {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"--data {path} is not UTF-8") from None
    wrong = [f"{path.name}, line {case.line}: {words}" for case in golden if (words := _misfit(agent, case))]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return golden


def _misfit(agent: Agent[Any, Any], golden: Golden) -> str | None:
    """Why an input is none of the agent's; a task that is to fail may have any."""
    try:
        agent.input_adapter.validate_json(json.dumps(golden.input))
    except ValidationError as error:
        return None if golden.fails else f"this is no input of {agent.name}: {validation_words(error)}"
    return None


async def _evaluate(settings: Settings, run: Run, golden: list[Golden]) -> Release:
    async with open_client(settings, CLI) as client:
        await client.partitions(run.agent.name)
        return await evaluate(client, run, golden)


def _datum(now: Release, difference: Difference | None, *, holds: bool) -> dict[str, Any]:
    summary = {
        "passed": now.passed,
        "total": len(now.cases),
        "pass_rate": now.pass_rate,
        "cost_usd": now.cost_usd_micros / 1e6,
        "p50_ms": now.latency_ms(0.5),
        "p99_ms": now.latency_ms(0.99),
    }
    release = RELEASE.dump_python(now, mode="json")
    return {
        "gate": holds,
        "summary": summary,
        "release": release,
        "difference": asdict(difference) if difference else None,
    }


def _show(now: Release, min_pass: float, *, holds: bool) -> None:
    failed = [case for case in now.cases if not case.passed]
    if failed:
        table = Table("failed", "why", "latency", "cost", box=None, pad_edge=False)
        for case in failed:
            cost = f"{case.usage.cost_usd_micros / 1e6:.6f} USD"
            table.add_row(Text(case.id), Text(case.reason or ""), _milliseconds(case.latency_ms), cost)
        Console(soft_wrap=True).print(table, highlight=False)
    typer.echo(
        f"{now.agent} {', '.join(now.versions)}: {now.passed} of {len(now.cases)} passed ({now.pass_rate:.1%}), "
        f"cost {now.cost_usd_micros / 1e6:.6f} USD, latency p50 {_milliseconds(now.latency_ms(0.5))}, "
        f"p99 {_milliseconds(now.latency_ms(0.99))}"
    )
    typer.echo(f"gate: {'holds' if holds else 'DOES NOT HOLD'} ({min_pass:.1%} must pass)")


def _milliseconds(latency: int | None) -> str:
    return "-" if latency is None else f"{latency:,} ms"


def _show_difference(before: Release, difference: Difference) -> None:
    made = f"{before.made_at:%Y-%m-%d %H:%M}"
    typer.echo(f"against {', '.join(before.versions)} of {made}, {before.passed} of {len(before.cases)} passed:")
    lists = {
        "newly failing": difference.newly_failing,
        "newly passing": difference.newly_passing,
        "not there before": difference.added,
        "not there any more": difference.gone,
    }
    for title, ids in lists.items():
        if ids:
            typer.echo(f"  {title}: {', '.join(ids)}")
    changes = {"cost": difference.cost_change, "p50": difference.p50_change, "p99": difference.p99_change}
    typer.echo("  " + ", ".join(f"{name} {_percent(change)}" for name, change in changes.items()))


def _percent(change: float | None) -> str:
    return "unknown" if change is None else f"{change:+.1%}"
