"""docs/reference/commands.md is what the command says of itself, today."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import pytest
import typer

from docs import generate_commands as commands

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


def test_the_page_is_up_to_date() -> None:
    written = commands.TARGET.read_text(encoding="utf-8")
    assert written == commands.page(), "the command has changed: run 'python docs/generate_commands.py'"


def test_every_verb_has_a_section_and_says_what_it_does() -> None:
    text = commands.page()
    verbs = list(commands.verbs())
    assert {"aiosv3 up", "aiosv3 task send", "aiosv3 dlq redrive"} <= set(verbs)
    for verb in verbs:
        section = re.search(rf"^##+ {re.escape(verb)}\n\n(.+)\n", text, re.MULTILINE)
        assert section is not None, verb
        assert not section[1].startswith("```"), f"{verb} has no docstring"


def test_pages_name_only_verbs_that_exist() -> None:
    """What a reader types must work: each ``aiosv3 VERB`` in code."""
    verbs = {verb.split()[1] for verb in commands.verbs()}
    unknown = {
        f"{page.relative_to(ROOT).as_posix()}: aiosv3 {verb}"
        for page in PAGES
        for verb in re.findall(r"(?:`|^\$ )aiosv3 ([a-z]+)\b(?![-.:/])", page.read_text(encoding="utf-8"), re.MULTILINE)
        if verb not in verbs
    }
    assert unknown == set()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (
            "Exit codes: 0 done; 1 it failed,\nor not; 130 Ctrl-C.\n",
            [("0", "done"), ("1", "it failed, or not"), ("130", "Ctrl-C")],
        ),
        ("Exit codes: 0 done; really; 1 no.\n", [("0", "done; really"), ("1", "no")]),
    ],
)
def test_exit_codes_are_taken_from_the_docstring(text: str, codes: Any) -> None:
    assert commands.exit_codes(text) == codes


def test_a_docstring_without_exit_codes_is_an_error() -> None:
    with pytest.raises(ValueError, match="lists no exit codes"):
        commands.exit_codes("Nothing.")


def test_arguments_and_options_as_a_reader_sees_them() -> None:
    def verb(
        name: Annotated[str, typer.Argument(help="A <name> | word.")],
        paths: Annotated[list[Path] | None, typer.Argument(help="Some.")] = None,
        shout: Annotated[bool | None, typer.Option("--shout/--whisper", help="How.")] = None,
        count: Annotated[int, typer.Option("--count", "-n", help="How often.")] = 3,
        wait: Annotated[float, typer.Option(help="Seconds.")] = 2.0,
        place: Annotated[str, typer.Option("--place", metavar="HOST:PORT", help="Where.")] = "",
        secret: Annotated[str, typer.Option("--secret", hidden=True)] = "",
    ) -> None:
        """Says a name."""

    shown = [(one.written, one.help) for one in commands.parameters(verb)]
    assert shown == [
        ("`NAME`", "A &lt;name> \\| word."),
        ("`[PATHS]...`", "Some."),
        ("`--shout`, `--whisper`", "How."),
        ("`--count N`, `-n N`", "How often. Default: 3."),
        ("`--wait N`", "Seconds. Default: 2."),
        ("`--place HOST:PORT`", "Where."),
    ]


def test_an_unchanged_page_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "reference" / "commands.md"
    commands.write(target)
    before = target.stat().st_mtime_ns
    commands.write(target)
    assert target.stat().st_mtime_ns == before
