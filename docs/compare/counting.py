"""How long the programs are, and which mistakes in them a type checker sees."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path
from typing import Final

from docs.compare.mistakes import KINDS, MISTAKES, wrong_text
from docs.compare.platforms import HERE

_ROOT: Final = HERE.parent.parent


def lines_of(folder: Path) -> dict[str, int]:
    """Lines of code of every file: no blank lines, no comments, no docstrings."""
    return {path.stem: code_lines(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))}


def code_lines(text: str) -> int:
    """Lines that hold a token of code."""
    lines: set[int] = set()
    fresh = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}:
            fresh = True
        elif token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}:
            if not (fresh and token.type == tokenize.STRING):
                lines.update(range(token.start[0], token.end[0] + 1))
            fresh = False
    return len(lines)


def caught_by_types(name: str, python: str) -> dict[str, bool]:
    """Kind of mistake -> whether pyright sees it, with the types of the packages in the framework's environment.

    Raises RuntimeError where it complains about the right programs: then it would see anything.
    """
    with tempfile.TemporaryDirectory(prefix="compare-types-") as scratch:
        folder = Path(scratch)
        for path in [*(HERE / name).glob("*.py"), HERE / "shared" / "world.py"]:
            shutil.copy(path, folder)
        files = {}
        for number, mistake in enumerate(MISTAKES[name]):
            text = (folder / f"{mistake.program}.py").read_text(encoding="utf-8")
            files[f"wrong_{number}.py"] = wrong_text(mistake, text)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        wrong = _complaints(folder, python)
    if right := sorted(wrong.keys() - files.keys()):
        raise RuntimeError(f"{name}: complaints about right programs: {wrong[right[0]]}")
    return {kind: f"wrong_{number}.py" in wrong for number, kind in enumerate(KINDS)}


def _complaints(folder: Path, python: str) -> dict[str, str]:
    """Name of a file -> the first error in it."""
    roots = [str(path) for path in _ROOT.iterdir() if (path / "aiosv3").is_dir() and path.name != "docs"]
    settings = {"extraPaths": roots, "pythonVersion": "3.11", "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", python, "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise RuntimeError(f"pyright: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    said = json.loads(done.stdout)["generalDiagnostics"]
    return {Path(one["file"]).name: one["message"] for one in reversed(said) if one["severity"] == "error"}
