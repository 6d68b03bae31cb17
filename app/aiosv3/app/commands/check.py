"""``aiosv3 check``: what a replay of the project's agents could not repeat, and whether they can be started at all."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from aiosv3.agents import Agent
from aiosv3.app.commands.options import Json, Project, echo_json
from aiosv3.app.determinism import Finding, Severity, check_file, python_files
from aiosv3.app.projects import load_agents
from aiosv3.app.settings import PROJECT_FILE, Settings, SettingsError, load_settings, project_file
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.topics import Topics

_FOUND: Final = 1
_WRONG: Final = 2
_STYLES: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


@dataclass
class Report:
    """What was looked at, and what was found. ``problems``: why the project cannot be started."""

    files: int = 0
    agents: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(found.of.severity is severity for found in self.findings)

    def code(self, *, strict: bool) -> int:
        """The exit code."""
        if self.problems:
            return _WRONG
        return _FOUND if self.count(Severity.ERROR) or (strict and self.findings) else 0


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files and folders (default: the project's folder; then its settings and types too)."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with 1, too.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Find what a replay of your agents could not repeat: clocks, dice, files, lost steps. Nothing of it is run.

    Without PATHS, also loads the settings, imports the agents and derives their schemas. Exit code 1 if something is
    found, 2 if the project cannot be started.
    """
    report = Report()
    if not paths:
        paths = _of_project(project, report)
    for path in paths:
        if not path.exists():
            raise SettingsError(f"there is no file or folder {path}")
    for file in python_files(paths):
        report.files += 1
        try:
            report.findings += check_file(file, _shown(file))
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    if as_json:
        echo_json(_datum(report, strict=strict))
    else:
        _print(report)
    if code := report.code(strict=strict):
        raise typer.Exit(code)


def _of_project(project: Path | None, report: Report) -> list[Path]:
    """The folder of the project, and files of its agents that lie elsewhere. Fills in agents and problems."""
    found = project_file(project)
    if found is None:
        raise SettingsError(f"there is no {PROJECT_FILE} here or above: name the files or folders to check")
    try:
        settings = load_settings(project)
        agents = load_agents(settings)
    except AiosError as error:
        report.problems.append(str(error))
        return [found.parent]
    report.agents = sorted(agents)
    report.problems += _underivable(settings, agents.values())
    sources = (inspect.getsourcefile(agent.function) for agent in agents.values())
    return [settings.folder, *(Path(source) for source in sources if source is not None)]


def _underivable(settings: Settings, agents: Iterable[Agent[Any, Any]]) -> list[str]:
    problems = []
    for agent in agents:
        try:
            topics = Topics(settings.kafka.prefix)
            AgentSchemas(agent.name, agent.input_type, agent.output_type, topics, agent.state_type)
        except AiosError as error:
            problems.append(f"agent {agent.name}: {error}")
    return problems


def _shown(file: Path) -> str:
    """As short as it can be typed here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _datum(report: Report, *, strict: bool) -> dict[str, Any]:
    return {
        "ok": report.code(strict=strict) == 0,
        "files": report.files,
        "agents": report.agents,
        "errors": report.count(Severity.ERROR),
        "warnings": report.count(Severity.WARNING),
        "findings": [found.datum() for found in report.findings],
        "problems": report.problems,
    }


def _print(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for problem in report.problems:
        console.print(Text.assemble((f"{PROJECT_FILE}: ", "red"), problem))
    for found in report.findings:
        console.print(Text(found.text(), _STYLES[found.of.severity]))
    counts = [_counted(report.count(severity), severity.value) for severity in Severity]
    if report.problems:
        counts.insert(0, _counted(len(report.problems), "problem") + " of the project")
    agents = f"agents {', '.join(report.agents)}; " if report.agents else ""
    console.print(Text(f"{agents}{_counted(report.files, 'file')}: {', '.join(counts)}"))


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
