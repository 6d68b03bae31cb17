"""``aiosv3 dlq …``: dead letters, from a shell: what died and why, and doing it again."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.app.commands.completion import agent_names
from aiosv3.app.commands.options import Json, Project, echo_json, settings_of
from aiosv3.app.letters import (
    CannotRedrive,
    Correction,
    Redrive,
    Wanted,
    agent_of,
    chosen,
    fitting,
    is_task,
    moment_of,
    original_value,
    planned,
    read_letters,
    send,
)
from aiosv3.app.people import user_name
from aiosv3.app.reading import Reading
from aiosv3.app.settings import Settings, SettingsError
from aiosv3.app.workers import Mesh, open_mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.topics import TaskHandle, Topics
from aiosv3.streams.log import Record
from aiosv3.streams.redrive import Letter, Letters

app = typer.Typer(help="Dead letters: what could not be processed, why, and doing it again.", no_args_is_help=True)
_CLIENT: Final = "aiosv3-cli"
_REFUSED: Final = 1
_SHOWN_BYTES: Final = 4_096
_SHOWN_WORDS: Final = 400
Which = Annotated[str, typer.Argument(metavar="LETTER", help="Its place, as 'dlq list' shows it (3@17), or its id.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Only those from this topic.")]
Agent = Annotated[str | None, typer.Option("--agent", help="Only those of this agent.", autocompletion=agent_names)]
Since = Annotated[str | None, typer.Option("--since", help="Only those that died since then: 2h, 1d, RFC 3339.")]


def _wanted(topic: str | None, agent: str | None, since: str | None) -> Wanted:
    return Wanted(topic, agent, None if since is None else moment_of(since, datetime.now(UTC)))


@app.command("list")
def list_letters(
    topic: Topic = None,
    agent: Agent = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The newest so many; 0: all.")] = 100,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first: where from, when, why."""
    wanted = _wanted(topic, agent, since)
    topics, letters = asyncio.run(_read(settings_of(project), wanted))
    found = fitting(letters, wanted, topics)
    shown = found[-limit:] if limit else found
    if as_json:
        echo_json([datum(letter, letters, topics) for letter in shown])
        return
    for words in letters.strange:
        typer.echo(words, err=True)
    if not shown:
        typer.echo("No dead letters.")
        return
    console = Console(highlight=False, soft_wrap=True)
    for letter in shown:
        console.print(_lines(letter, letters, topics))
    counted = Counter(letter.error for letter in found).most_common()
    kinds = ", ".join(f"{count} {error}" for error, count in counted)
    typer.echo(f"{len(shown)} of {len(found)} letters: {kinds}")


async def _read(settings: Settings, wanted: Wanted) -> tuple[Topics, Letters]:
    async with open_mesh(settings, _CLIENT) as mesh:
        return mesh.topics, await read_letters(mesh, wanted.since)


def _lines(letter: Letter, letters: Letters, topics: Topics) -> Text:
    """Three lines, whole: a reason in a narrow column is read by nobody."""
    origin = f"{letter.topic.removeprefix(topics.prefix)}[{letter.partition}]@{letter.offset}"
    size = "bytes left there" if letter.value is None else f"{len(letter.value):,} bytes"
    head = f"  {moment(letter.died_at)}  {origin}  {letter.id}  {size}\n  "
    text = Text.assemble((str(letter.place), "bold"), head, (letter.error, "red"))
    text.append(f": {' '.join(letter.message.split())[:_SHOWN_WORDS]}")
    for mark in letters.redrives(letter):
        text.append(f"\n  redriven as {mark.id} by {mark.by or 'somebody'}, {moment(mark.at)}", "green")
    return text


def moment(milliseconds: int | None) -> str:
    """RFC 3339, in UTC, to the second."""
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def datum(letter: Letter, letters: Letters, topics: Topics) -> dict[str, Any]:
    """A letter for programs; stable."""
    return {
        "letter": str(letter.place),
        "died_at": moment(letter.died_at),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "sent_at": moment(letter.timestamp) or None,
        "agent": agent_of(letter, topics),
        "id": letter.id,
        "key": _shown(letter.key),
        "bytes": None if letter.value is None else len(letter.value),
        "processor": letter.processor,
        "error": letter.error,
        "message": letter.message,
        "redriven": [{"id": mark.id, "by": mark.by, "at": moment(mark.at)} for mark in letters.redrives(letter)],
    }


def _shown(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


# -- show --------------------------------------------------------------------------------------------------------------


@app.command()
def show(
    letter: Which,
    raw: Annotated[
        Path | None, typer.Option("--raw", help="Write the original bytes to this file; '-': print.")
    ] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter: headers, and its value decoded, or as hexadecimal digits where that is impossible."""
    found, value = asyncio.run(_show(settings_of(project), letter))
    if raw is not None:
        _write(raw, value)
        if str(raw) == "-":
            return
    if as_json:
        echo_json(found)
        return
    for name, told in found.items():
        if name not in {"headers", "value", "hex"} and told not in (None, "", []):
            typer.echo(f"{name}: {told}")
    typer.echo("headers:")
    for name, text in found["headers"]:
        typer.echo(f"  {name}: {text}")
    if found["hex"] is None:
        typer.echo("value:")
        echo_json(found["value"])
    else:
        typer.echo(f"value, in hexadecimal digits ({found['value'].get('unreadable') or 'no text'}):")
        for at in range(0, len(found["hex"]), 64):
            typer.echo(f"  {found['hex'][at : at + 64]}")


def _write(path: Path, value: bytes | None) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(value or b"")
        return
    try:
        path.write_bytes(value or b"")
    except OSError as error:
        raise SettingsError(f"--raw {path}: {error.strerror}") from None


async def _show(settings: Settings, name: str) -> tuple[dict[str, Any], bytes | None]:
    async with open_mesh(settings, _CLIENT) as mesh:
        letters = await read_letters(mesh)
        (letter,) = chosen(letters, [name])
        try:
            value = await original_value(mesh, letter)
        except CannotRedrive:
            value = None
        record = Record(letter.topic, letter.partition, letter.offset, 0, letter.key, value, letter.headers)
        decoded = await Reading(mesh).decoded(record)
        unreadable = value is not None and bool({"unreadable", "bytes"} & decoded.keys())
        return {
            **datum(letter, letters, mesh.topics),
            "headers": [[name, _shown(text)] for name, text in letter.headers],
            "value": decoded if value is not None else None,
            "hex": value[:_SHOWN_BYTES].hex() if value is not None and unreadable else None,
        }, value


# -- redrive -----------------------------------------------------------------------------------------------------------


@app.command()
def redrive(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="LETTER", help="Places (3@17) or ids; none: what the filters say.")
    ] = None,
    topic: Topic = None,
    agent: Agent = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not redriven yet.")] = False,
    corrected: Annotated[str | None, typer.Option("--with", help="For one task: its input, as corrected JSON.")] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="name=value in place of the old one; 'name=' takes it out.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were redriven already.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is said.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Do dead letters again, as ID.redrive-N at their old place. Exit code 1 if one of them cannot be redriven.

    Nothing is sent without --yes. A letter is marked when it is done, and not done again without --again.
    """
    wanted = _wanted(topic, agent, since)
    if not letters and not wanted and not everything:
        raise SettingsError("which ones? Name letters, or filter with --topic, --agent, --since, or say --all")
    if letters and (wanted or everything):
        raise SettingsError("name letters or filter them, not both")
    if corrected is not None and len(letters or ()) != 1:
        raise SettingsError("--with corrects one task: name one letter")
    correction = Correction(sys.stdin.read() if corrected == "-" else corrected, _headers(header or []))
    settings = settings_of(project)
    done = asyncio.run(_redrive(settings, letters or [], wanted, correction, again=again, yes=yes))
    if as_json:
        echo_json([told for _, told in done])
    else:
        _say(done, yes=yes)
    # A letter that is done already is no failure of "all".
    if any(told["why_not"] and (letters or not one.already) for one, told in done):
        raise typer.Exit(_REFUSED)


def _headers(given: Sequence[str]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(f"--header {text!r} is not name=value")
        if name == names.CE_ID:
            raise SettingsError("--header ce_id: the id of a redrive follows from its letter")
        found[name] = value.encode() if value else None
    return found


async def _redrive(
    settings: Settings, named: Sequence[str], wanted: Wanted, correction: Correction, *, again: bool, yes: bool
) -> list[tuple[Redrive, dict[str, Any]]]:
    done = []
    async with open_mesh(settings, _CLIENT) as mesh:
        letters = await read_letters(mesh)
        found = chosen(letters, named) if named else fitting(letters, wanted, mesh.topics)
        for letter in {letter.origin: letter for letter in found}.values():
            one = await planned(mesh, letters, letter, correction, again=again)
            sent = yes and one.outgoing is not None
            if sent:
                letters.mark(await send(mesh, one, user_name()))
            done.append((one, _told(one, mesh, sent=sent)))
    return done


def _told(one: Redrive, mesh: Mesh, *, sent: bool) -> dict[str, Any]:
    """One redrive for programs; stable. ``task``: the handle under which its result is found."""
    letter = one.letter
    agent = agent_of(letter, mesh.topics)
    is_one = agent is not None and is_task(letter, mesh.topics)
    return {
        "letter": str(letter.place),
        "topic": letter.topic,
        "partition": letter.partition,
        "id": one.id if one.outgoing is not None else None,
        "task": str(TaskHandle(agent, letter.partition, one.id)) if agent is not None and is_one else None,
        "sent": sent,
        "why_not": one.why_not,
    }


def _say(done: Sequence[tuple[Redrive, dict[str, Any]]], *, yes: bool) -> None:
    for one, told in done:
        if one.why_not is not None:
            typer.echo(f"{told['letter']}: not redriven: {one.why_not}", err=True)
        else:
            verb = "redriven" if told["sent"] else "would be redriven"
            place = f"{told['topic']}[{told['partition']}]"
            typer.echo(f"{told['letter']}: {verb} to {place} as {told['task'] or told['id']}")
    ready = sum(one.outgoing is not None for one, _ in done)
    if not done:
        typer.echo("No dead letters.")
    elif not yes and ready:
        typer.echo(f"Nothing is sent yet: --yes redrives {'it' if ready == 1 else f'these {ready}'}.")
