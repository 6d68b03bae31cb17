"""``aiosv3 approvals …``: what agents ask people, and people's answers, from a shell."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.people import Answered, NotAccepted, People, user_name
from aiosv3.app.sealing import client_ring
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.people import Question, QuestionKind

app = typer.Typer(help="Answer what agents ask people.", no_args_is_help=True)
_UNFINISHED: Final = 3
_CLIENT: Final = "aiosv3-cli"
Id = Annotated[str, typer.Argument(help="The question's id, as 'approvals list' shows it.")]


@app.command("list")
def list_open(project: Project = None, as_json: Json = False) -> None:
    """List the questions that wait for an answer, oldest first."""
    found = asyncio.run(_open(settings_of(project)))
    if as_json:
        echo_json([shown(question) for question in found])
        return
    table = Table()
    for column in ("id", "kind", "role", "agent", "asked by", "expires", "question"):
        table.add_column(column, overflow="fold")
    for question in found:
        one = shown(question)
        cells = (one["id"], one["kind"], one["role"], one["agent"], one["asked_by"], one["expires_at"])
        table.add_row(*(cell or "" for cell in cells), one["question"] or "(sealed)")
    Console(highlight=False, markup=False).print(table if found else "Nobody is asked anything.")


async def _open(settings: Settings) -> list[Question]:
    async with open_mesh(settings, _CLIENT) as mesh:
        return await People(mesh, client_ring(mesh)).open_questions()


@app.command()
def show(question_id: Id, project: Project = None) -> None:
    """Print one open question as JSON, with the schema that an answer must fit."""
    echo_json(shown(asyncio.run(_question(settings_of(project), question_id))))


async def _question(settings: Settings, question_id: str) -> Question:
    async with open_mesh(settings, _CLIENT) as mesh:
        return await People(mesh, client_ring(mesh)).question(question_id)


def shown(question: Question) -> dict[str, Any]:
    """A question for people and programs; without its token, which is the desk's business."""
    schema = question.output_schema
    return {
        "id": question.request_id,
        "kind": question.kind.value,
        "role": question.role,
        "agent": question.agent,
        "task": question.task_id,
        "tenant": question.tenant,
        "asked_by": question.asker,
        "asked_at": _moment(question.asked_at),
        "expires_at": _moment(question.expires_at),
        "question": question.content if isinstance(question.content, str) else None,
        "schema": None if schema is None else json.loads(schema),
    }


def _moment(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


@app.command()
def answer(
    question_id: Id,
    approve: Annotated[bool | None, typer.Option("--approve/--deny", help="Yes or no.")] = None,
    value: Annotated[str | None, typer.Option("--json", help="The value, as JSON; '-' reads it from stdin.")] = None,
    comment: Annotated[str | None, typer.Option("--comment", help="What the agent is told beside it.")] = None,
    who: Annotated[str | None, typer.Option("--as", help="Who answers (default: who is logged in).")] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is accepted.")] = 20.0,
    project: Project = None,
) -> None:
    """Answer a question. Exit code 1 if the answer is refused, 3 if nobody accepted it in time."""
    content = sys.stdin.read() if value == "-" else value
    answered = Answered(who if who is not None else user_name(), approve, comment, content)
    try:
        asyncio.run(_answer(settings_of(project), question_id, answered, wait))
    except NotAccepted as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_UNFINISHED) from None
    typer.echo(f"{question_id}: accepted")


async def _answer(settings: Settings, question_id: str, answered: Answered, wait: float) -> None:
    async with open_mesh(settings, _CLIENT) as mesh:
        people = People(mesh, client_ring(mesh))
        question = await people.question(question_id)
        check_form(question, answered)
        await people.answer(question, answered, wait)


def check_form(question: Question, answered: Answered) -> None:
    """Raises :class:`SettingsError` for an answer that is not of the question's kind."""
    if question.kind is QuestionKind.APPROVE and (answered.approved is None or answered.content is not None):
        raise SettingsError(f"{question.request_id} wants a yes or a no: --approve or --deny")
    if question.kind is QuestionKind.ASK and (answered.content is None or answered.approved is not None):
        raise SettingsError(f"{question.request_id} wants a value: --json '…' ('aiosv3 approvals show' has its schema)")
