"""The ``aiosv3`` command: errors in one sentence, exit codes that scripts can use.

Exit codes: 0 done; 1 the task failed or was cancelled; 2 the command line or the settings are wrong; 3 not finished in
time; 4 a service does not answer; 70 an unexpected error.
"""

from __future__ import annotations

import sys
from typing import Final

import typer

from aiosv3.app.commands import stack, task, trace, worker
from aiosv3.app.demo.command import demo
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.errors import AiosError, RegistryUnavailable
from aiosv3.streams.errors import BrokerUnavailable

app: Final = typer.Typer(
    name="aiosv3",
    help="AI agents on Apache Kafka: kill any process, lose no task, pay for no answered model call twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.status)
app.add_typer(worker.app, name="worker")
app.add_typer(task.app, name="task")
app.command()(trace.tail)
app.command()(trace.trace)
app.command()(demo)


def main() -> None:
    """Runs the command; every error that has a name becomes one sentence on stderr."""
    try:
        app()
    except SettingsError as error:
        _say(error, 2)
    except (BrokerUnavailable, RegistryUnavailable) as error:
        _say(error, 4)
    except AiosError as error:
        _say(error, 1)


def _say(error: AiosError, code: int) -> None:
    print(f"aiosv3: {error}", file=sys.stderr)  # noqa: T201 -- this is the command's own voice
    raise SystemExit(code)


if __name__ == "__main__":
    main()
