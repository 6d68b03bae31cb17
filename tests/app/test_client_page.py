"""Every example of docs/client.md, on a real broker with the agent that the page speaks of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from tests.docs.test_snippets import commands, first_missing

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]
PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```(python|console)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(command: list[str], desk: Any) -> str:
    """In the project's folder, its modules and this environment's commands at hand."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(desk.folder)}
    done = subprocess.run(
        command, cwd=desk.folder, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_something_to_run() -> None:
    assert [language for language, _ in BLOCKS].count("python") >= 5


@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_a_python_example(desk: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    monkeypatch.syspath_prepend(str(desk.folder))
    # The project has another broker than the page, and no registry.
    local = code.replace('registry="http://127.0.0.1:8081"', f"prefix={desk.prefix!r}")
    exec(compile(local.replace("127.0.0.1:9092", desk.bootstrap), "client.md", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("transcript", [text for language, text in BLOCKS if language == "console"])
def test_a_console_example(desk: Any, transcript: str) -> None:
    for command in commands(transcript):
        output = run(["bash", "-euo", "pipefail", "-c", command.line], desk)
        assert first_missing(command.expected, output) is None, output
