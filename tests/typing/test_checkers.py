"""What mypy and pyright say of an author's code: the types that are there, and the mistakes that are caught."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from mypy import api as mypy

ROOT: Final = Path(__file__).resolve().parents[2]
SNIPPETS: Final = Path(__file__).parent / "snippets"
ROOTS: Final = sorted(str(path) for path in ROOT.iterdir() if (path / "aiosv3").is_dir())
_MYPY: Final = """
[mypy]
strict = True
namespace_packages = True
explicit_package_bases = True
follow_imports = silent
python_version = 3.11
"""
Found = dict[str, dict[int, str]]
"""File name -> line -> what is wrong there."""


def by_mypy(folder: Path) -> Found:
    settings = folder / "mypy.ini"
    settings.write_text(_MYPY, encoding="utf-8")
    # A cache of its own: test processes side by side must not lock each other out.
    command = [str(folder / "snippets"), "--config-file", str(settings), "--cache-dir", str(folder / "cache")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", os.pathsep.join([*ROOTS, str(folder / "snippets")]))
        output, errors, code = mypy.run(command)
    assert code < 2, output + errors
    found: Found = {}
    for name, line, text in re.findall(r"(\w+\.py):(\d+): error: (.*)", output):
        found.setdefault(name, {})[int(line)] = text
    return found


def by_pyright(folder: Path) -> Found:
    settings = {
        "include": ["snippets"],
        "extraPaths": ROOTS,
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
        "reportMissingModuleSource": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found: Found = {}
    for said in json.loads(done.stdout)["generalDiagnostics"]:
        if said["severity"] == "error":
            lines = found.setdefault(Path(said["file"]).name, {})
            lines[said["range"]["start"]["line"] + 1] = said["message"]
    return found


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """All errors of one checker in both snippets."""
    checkers: dict[str, Callable[[Path], Found]] = {"mypy": by_mypy, "pyright": by_pyright}
    if request.param == "pyright" and shutil.which("node") is None and not os.environ.get("CI"):
        pytest.skip("pyright needs Node.js, and there is no 'node' on the PATH")
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(SNIPPETS, folder / "snippets")
    return checkers[request.param](folder)


def test_the_types_are_kept(found: Found) -> None:
    assert found.get("revealed.py", {}) == {}


def test_generated_tools_are_typed(found: Found) -> None:
    assert (found.get("crm.py", {}), found.get("uses_crm.py", {})) == ({}, {})


def test_every_wrong_use_is_an_error_and_nothing_else_is(found: Found) -> None:
    lines = (SNIPPETS / "wrong.py").read_text(encoding="utf-8").splitlines()
    # A wrong decorator's error may stand at the function below it.
    expected = {number for number, line in enumerate(lines, 1) if "# wrong: " in line}
    said = {number if number in expected else number - 1: text for number, text in found["wrong.py"].items()}
    assert [lines[number - 1] for number in sorted(expected - said.keys())] == [], "nobody noticed"
    assert {lines[number - 1]: said[number] for number in said.keys() - expected} == {}


def test_there_is_something_to_find() -> None:
    """An empty snippet passes every checker."""
    assert (SNIPPETS / "revealed.py").read_text(encoding="utf-8").count("assert_type(") > 30
    assert (SNIPPETS / "wrong.py").read_text(encoding="utf-8").count("# wrong: ") > 20
