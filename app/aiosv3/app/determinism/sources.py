"""Which files a check reads."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from aiosv3.app.determinism.checking import check_source
from aiosv3.app.determinism.findings import Finding

_FOREIGN: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})


def python_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and all ``*.py`` of the folders named: each once, in order, without environments and builds."""
    found: dict[Path, None] = {}
    for path in paths:
        for file in _in_folder(path) if path.is_dir() else [path]:
            found[file.resolve()] = None
    return list(found)


def _in_folder(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _FOREIGN and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(files) if name.endswith(".py"))


def check_file(path: Path, shown: str) -> list[Finding]:
    """The findings of one file, which messages call ``shown``. Raises OSError."""
    try:
        with tokenize.open(path) as file:
            text = file.read()
        return check_source(text, shown)
    except SyntaxError as error:
        words = f"{error.msg}: it cannot be read as Python"
        return [Finding(shown, error.lineno or 1, error.offset or 1, "syntax", words)]
    except ValueError as error:  # not in the encoding that it names, or with NUL bytes
        return [Finding(shown, 1, 1, "syntax", f"{error}: it cannot be read as Python")]
