"""``aiosv3 worker …``: one foreground process each, which loads what its own kind needs."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Final

import typer

from aiosv3.app.commands.completion import agent_names, pool_names, zone_names
from aiosv3.app.commands.options import Project, listen_to_clients, log_to_stderr, settings_of
from aiosv3.app.endings import output

app = typer.Typer(
    help="Run one worker in the foreground. Start as many as you like; kill them as you like.", no_args_is_help=True
)

_NAME: Final = "Its name in the project."
Agent = Annotated[str, typer.Argument(metavar="NAME", help=_NAME, autocompletion=agent_names)]
Pool = Annotated[str, typer.Argument(metavar="NAME", help=_NAME, autocompletion=pool_names)]
Zone = Annotated[str, typer.Argument(metavar="ZONE", help=_NAME, autocompletion=zone_names)]

Push = Annotated[bool, typer.Option("--push", help="Put the project's routing.yaml in force if it never was.")]


@app.command()
def agent(name: Agent, project: Project = None) -> None:
    """Run the tasks of an agent."""
    from aiosv3.app.workers import run_agent

    log_to_stderr()
    asyncio.run(run_agent(settings_of(project), name))


@app.command()
def router(project: Project = None, push: Push = False) -> None:
    """Route model requests to pools, by the routing policy that is in force."""
    from aiosv3.app.routers import run_router

    log_to_stderr()
    asyncio.run(run_router(settings_of(project), push=push))


@app.command()
def desk(project: Project = None) -> None:
    """Check what people answer, and hand it to the agents that asked."""
    from aiosv3.app.desks import run_desk

    log_to_stderr()
    asyncio.run(run_desk(settings_of(project)))


@app.command()
def memory(project: Project = None) -> None:
    """Remember, recall and forget what agents ask for."""
    from aiosv3.app.memories import run_memory

    log_to_stderr()
    asyncio.run(run_memory(settings_of(project)))


@app.command()
def pool(name: Pool, project: Project = None) -> None:
    """Call the models of a pool."""
    from aiosv3.app.modelworkers import run_pool

    log_to_stderr()
    asyncio.run(run_pool(settings_of(project), name))


@app.command()
def tools(zone: Zone, project: Project = None) -> None:
    """Call the tools of a zone."""
    from aiosv3.app.tooling import run_zone

    log_to_stderr()
    asyncio.run(run_zone(settings_of(project), zone))


def main() -> None:
    """As the ``aiosv3`` command runs it, without the other verbs: a worker that was killed is back sooner."""
    listen_to_clients(verbose=False)
    try:
        with output():
            app(args=sys.argv[2:], prog_name="aiosv3 worker")
    except Exception as error:  # noqa: BLE001 -- the boundary of the process
        from aiosv3.app.cli import end_with

        end_with(error)
