"""Runs the snippets of README, CONTRIBUTING and docs whose fence says ``runnable``.

The info string is ``python runnable`` or ``console runnable``; further words are pytest markers (``kafka``, …). Each
snippet stands alone. Python runs in a scratch folder, warnings are errors. Console lines run in the root of the
checkout, where a reader stands, with this environment's commands first; the lines below a command must appear in its
output, in order, and ``...`` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SECONDS: Final = 90
_FENCE: Final = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^`\n]*)$")


class Snippet(NamedTuple):
    """A fenced block to run; ``line`` is where its fence begins."""

    page: str
    line: int
    language: str
    marks: tuple[str, ...]
    text: str


class Command(NamedTuple):
    """A console command and the lines that its output must have."""

    line: str
    expected: list[str]


def snippets(page: str, text: str) -> Iterator[Snippet]:
    """The runnable fences of a page, in order; a fence inside a longer fence is text."""
    ticks, info, began, body = "", [""], 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.match(line)
        if not ticks and match:
            ticks, info, began, body = match["ticks"], match["info"].split() or [""], number, []
        elif ticks and match and match["ticks"].startswith(ticks) and not match["info"].strip():
            if info[1:2] == ["runnable"]:
                yield Snippet(page, began, info[0], tuple(info[2:]), "\n".join(body) + "\n")
            ticks = ""
        elif ticks:
            body.append(line)
    if ticks:
        raise ValueError(f"{page}:{began}: the fence is never closed")


def commands(text: str) -> list[Command]:
    """A console transcript by command; a backslash continues one on the next line."""
    found: list[Command] = []
    continued = False
    for line in text.splitlines():
        if continued or line.startswith("$ "):
            part = line.removeprefix("$ ")
            if continued:
                found[-1] = Command(f"{found[-1].line}\n{part}", [])
            else:
                found.append(Command(part, []))
            continued = line.endswith("\\")
        elif found:
            found[-1].expected.append(line)
        elif line.strip():
            raise ValueError(f"a console snippet begins with a command ('$ …'), not with {line!r}")
    return found


def first_missing(expected: list[str], output: str) -> str | None:
    """The first expected line that does not come in the output after the ones before it; blanks and ``...`` pass."""
    rest = iter(line.strip() for line in output.splitlines())
    for line in expected:
        wanted = line.strip()
        if wanted and wanted != "..." and not any(_fits(wanted, got) for got in rest):
            return line
    return None


def _fits(wanted: str, got: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(pattern, got) is not None


def run(snippet: Snippet, scratch: Path) -> None:
    """Runs a snippet; fails with its output."""
    if snippet.language == "python":
        script = scratch / f"line_{snippet.line}.py"
        script.write_text(snippet.text, encoding="utf-8")
        _execute([sys.executable, "-W", "error", str(script)], scratch)
    elif snippet.language == "console":
        for command in commands(snippet.text):
            output = _execute(["bash", "-euo", "pipefail", "-c", command.line], ROOT)
            missing = first_missing(command.expected, output)
            if missing is not None:
                pytest.fail(f"$ {command.line}\ndid not print {missing!r}, but:\n{output}", pytrace=False)
    else:
        pytest.fail(f"no way to run a {snippet.language!r} snippet: only python and console", pytrace=False)


def _execute(command: list[str], folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    # A make that runs these tests must not lend its flags and its jobs to a make inside a snippet.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | {"PATH": path}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{command[-1]}\nended with {done.returncode}:\n{done.stdout}", pytrace=False)
    return done.stdout


def _parameters() -> list[object]:
    found = [
        snippet
        for page in PAGES
        for snippet in snippets(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]
    return [
        pytest.param(
            snippet,
            id=f"{snippet.page}:{snippet.line}",
            marks=[getattr(pytest.mark, mark) for mark in snippet.marks],
        )
        for snippet in found
    ]


@pytest.mark.parametrize("snippet", _parameters())
def test_snippet(snippet: Snippet, tmp_path: Path) -> None:
    run(snippet, tmp_path)


PAGE: Final = """\
# Page
```python
not_run()
```
```python runnable kafka
print(1)
```
````markdown
```python runnable
shown()
```
````
```console runnable
$ one \\
  two
out
$ three
```
"""


def test_only_marked_fences_are_taken() -> None:
    first, second = snippets("page.md", PAGE)
    assert first == Snippet("page.md", 5, "python", ("kafka",), "print(1)\n")
    assert (second.language, second.line) == ("console", 13)
    assert commands(second.text) == [Command("one \\\n  two", ["out"]), Command("three", [])]


def test_an_open_fence_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"page\.md:1: the fence is never closed"):
        list(snippets("page.md", "```python runnable\nprint(1)\n"))


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        (["a", "c"], None),
        (["...", "b", "..."], None),
        (["c", "a"], "a"),
        (["d"], "d"),
        (["a...z"], "a...z"),
        (["lost ... twice 0"], None),
    ],
)
def test_output_is_compared_in_order(expected: list[str], missing: str | None) -> None:
    assert first_missing(expected, "a\nb\nc\nlost 0, done twice 0\n") == missing


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("python", "assert 1 == 2\n", "AssertionError"),
        ("python", "import warnings; warnings.warn('old', DeprecationWarning)\n", "DeprecationWarning"),
        ("console", "$ false | cat\n", "ended with 1"),
        ("console", "$ echo one\ntwo\n", "did not print 'two'"),
        ("rust", "fn main() {}\n", "no way to run"),
    ],
)
def test_a_snippet_that_does_not_hold_fails(language: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=words):
        run(Snippet("page.md", 1, language, (), text), tmp_path)


def test_a_snippet_that_holds_passes(tmp_path: Path) -> None:
    run(Snippet("page.md", 1, "python", (), "print('fine')\n"), tmp_path)
    run(Snippet("page.md", 1, "console", (), "$ echo one; echo two\n...\ntwo\n"), tmp_path)
