"""Names of a new project, and its files."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.topics import BadName, Topics

_OTHER: Final = re.compile(r"[^a-z0-9]+")
_SUFFIX: Final = ".tmpl"
_TEMPLATES: Final = {
    "aiosv3.toml": "aiosv3.toml",
    "agent.py": "{module}.py",
    "test_agent.py": "tests/test_{module}.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
}
"""Template -> file. Names of packages' own files (a ``.gitignore``, tests) would mean something to tools around us."""
_TAKEN: Final = frozenset({"aiosv3", "conftest", "test", "tests"})
_LONGEST: Final = 30
"""Longer ones would break the lines of the templates."""
_MAY_BE_THERE: Final = frozenset({".git"})


class BadProject(AiosError):
    """A project cannot be made of this name, or in this place. Says what would do."""


@dataclass(frozen=True, slots=True)
class Named:
    """``project``: the distribution and its agent, with hyphens; ``module``: its module and function, with ``_``."""

    project: str
    module: str


def named(text: str) -> Named:
    """The names that follow from a folder's name, or from what somebody chose. Raises :class:`BadProject`."""
    project = _OTHER.sub("-", text.lower()).strip("-")
    module = project.replace("-", "_")
    if not module.isidentifier():
        raise BadProject(f"{text!r} makes no name: give one of a-z, 0-9 and hyphens, a letter first, with --name")
    if len(module) > _LONGEST:
        raise BadProject(f"{module!r} is longer than {_LONGEST} characters: give a shorter name with --name")
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        raise BadProject(f"{module!r} is a word of Python: give another name with --name")
    if module in sys.stdlib_module_names or module in _TAKEN or _installed(module):
        raise BadProject(f"a module {module!r} would hide the one that is installed: give another name with --name")
    found = Named(project, module)
    if module in _used():
        raise BadProject(f"{module!r} is used inside of what would be written: give another name with --name")
    try:
        Topics().journal(project)
    except BadName as error:
        raise BadProject(f"{error}: give another name with --name") from None
    return found


def _installed(module: str) -> bool:
    """A folder of that name in the working folder, which Python takes for a package too, is none."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is not None:
        return spec is not None
    return any("-packages" in place for place in spec.submodule_search_locations or ())


def _used() -> set[str]:
    """Names in the code of the templates, which a function of the same name would hide."""
    stand_in = Named("stand-in", "stand_in")
    trees = [ast.parse(_filled(name, stand_in)) for name in _TEMPLATES if name.endswith(".py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    names |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    return names - {stand_in.module}


def write_project(folder: Path, names: Named) -> list[Path]:
    """Writes the files; the folder is made, or is empty but for ``.git``. Raises :class:`BadProject`, OSError."""
    if folder.exists():
        if not folder.is_dir():
            raise BadProject(f"{folder} is a file: name a folder that is empty or not there yet")
        there = sorted({path.name for path in folder.iterdir()} - _MAY_BE_THERE)
        if there:
            shown = ", ".join(there[:3]) + (" …" if len(there) > 3 else "")
            raise BadProject(f"{folder} is not empty ({shown}): nothing is written over; name another folder")
    return [_written(folder / place, text) for place, text in _files(names)]


def _files(names: Named) -> Iterator[tuple[str, str]]:
    for template, place in _TEMPLATES.items():
        yield place.format(module=names.module), _filled(template, names)


def _filled(template: str, names: Named) -> str:
    text = files("aiosv3.app.scaffold").joinpath("templates", template + _SUFFIX).read_text(encoding="utf-8")
    return Template(text).substitute(project=names.project, module=names.module, version=version("aiosv3"))


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
