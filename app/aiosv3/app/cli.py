"""The ``aiosv3`` command: errors in one sentence, exit codes that scripts can use.

Exit codes: 0 done; 1 the task failed or was cancelled, or what was asked was refused; 2 the command line, the settings
or the project's code is wrong; 3 not finished in time, or not running; 4 a service does not answer or does not start;
70 an unexpected error; 130 Ctrl-C.
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version as distribution_version
from typing import Annotated, Final, NoReturn

import typer

from aiosv3.agents.client import BadCursor, InvalidInput, NoSuchAgent, NoSuchPartition, NotFinished
from aiosv3.agents.errors import AgentDefinitionError
from aiosv3.app.commands import (
    agents,
    approvals,
    budget,
    config,
    dlq,
    doctor,
    keys,
    memory,
    prices,
    replay,
    route,
    schedules,
    schemas,
    stack,
    stuck,
    tail,
    task,
    tools,
    topics,
    trace,
    worker,
)
from aiosv3.app.commands.check import check
from aiosv3.app.commands.eval import evaluation
from aiosv3.app.commands.logs import logs
from aiosv3.app.commands.new import new
from aiosv3.app.commands.options import listen_to_clients
from aiosv3.app.commands.run import run
from aiosv3.app.demo.command import demo
from aiosv3.app.endings import output, said_of
from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.memoryasking import NotDone
from aiosv3.app.people import NotAccepted
from aiosv3.app.settings import SettingsError
from aiosv3.router.endpoints.weights import WeightsUnavailable
from aiosv3.router.prices import BadPrices
from aiosv3.router.vllm.errors import ServerFailed
from aiosv3.schemas.derive import UnsupportedType
from aiosv3.schemas.errors import AiosError, IncompatibleSchema, RegistryUnavailable
from aiosv3.schemas.topics import BadName
from aiosv3.streams.errors import BrokerUnavailable, KeysUnavailable, PartitionMismatch

app: Final = typer.Typer(
    name="aiosv3",
    help="AI agents on Apache Kafka: kill any process, lose no task, pay for no answered model call twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(new)
app.command()(check)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.status)
app.command()(logs)
app.command()(doctor.doctor)
app.command()(config.config)
app.command()(agents.agents)
app.command()(topics.topics)
app.command()(run)
app.add_typer(worker.app, name="worker")
for verb in (stuck.stuck, stuck.retry, stuck.fail, stuck.migrate):
    task.app.command()(verb)
app.add_typer(task.app, name="task")
app.add_typer(route.app, name="route")
app.add_typer(schedules.app, name="schedules")
app.add_typer(approvals.app, name="approvals")
app.add_typer(memory.app, name="memory")
app.add_typer(dlq.app, name="dlq")
app.add_typer(tools.app, name="tools")
app.add_typer(schemas.app, name="schemas")
app.add_typer(keys.app, name="keys")
app.add_typer(prices.app, name="prices")
app.add_typer(budget.app, name="budget")
app.command()(tools.stubs)
app.command(name="eval")(evaluation)
app.command()(tail.tail)
app.command()(trace.trace)
app.command()(replay.replay)
app.command()(demo)

_WRONG: Final = (
    SettingsError,
    BadName,
    BadCursor,
    BadPrices,
    InvalidInput,
    NoSuchAgent,
    NoSuchPartition,
    AgentDefinitionError,
    UnsupportedType,
    IncompatibleSchema,
    PartitionMismatch,
)
_LATE: Final = (NotFinished, NotAccepted, NotDone)
_SILENT: Final = (
    BrokerUnavailable,
    KeysUnavailable,
    RegistryUnavailable,
    LocalStackError,
    ServerFailed,
    WeightsUnavailable,
)
_LOG: Final = logging.getLogger("aiosv3")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aiosv3 {distribution_version('aiosv3')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what the Kafka client and the runtime say, and whole traces.")
    ] = False,
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every verb."""
    listen_to_clients(verbose=verbose)


def main() -> None:
    """Runs the command; every error becomes one sentence on stderr."""
    try:
        with output():
            app()
    except Exception as error:  # noqa: BLE001 -- the boundary of the process
        end_with(error)


def end_with(error: Exception) -> NoReturn:
    """Says it on stderr and ends the process."""
    if isinstance(error, AiosError):
        _say(str(error), exit_code(error))
    words = said_of(error) if isinstance(error, OSError) else None
    if words:
        _say(words, 4)
    _LOG.info("unexpected", exc_info=error)  # shown by workers, which keep a log, and by --verbose
    _say(f"unexpected {type(error).__name__}: {error} (this is a defect; -v before the verb shows where)", 70)


def exit_code(error: AiosError) -> int:
    """As the module's docstring lists them."""
    if isinstance(error, _WRONG):
        return 2
    if isinstance(error, _LATE):
        return 3
    return 4 if isinstance(error, _SILENT) else 1


def _say(words: str, code: int) -> NoReturn:
    print(f"aiosv3: {words}", file=sys.stderr)  # noqa: T201 -- this is the command's own voice
    raise SystemExit(code)


if __name__ == "__main__":
    main()
