"""The shape of the source tree: roots, import arrows, the wheel, public names, sizes, import time."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
NAMESPACE: Final = "aiosv3"

# Rows as in the design: what a package may import of its siblings. `app` puts everything together.
ARROWS: Final[dict[str, set[str]]] = {
    "schemas": set(),
    "prompts": {"schemas"},
    "streams": {"schemas"},
    "agents": {"schemas", "prompts", "streams"},
    "router": {"schemas", "streams"},
    "tools": {"schemas", "streams"},
    "memory": {"schemas", "streams"},
    "gateway": {"schemas", "prompts", "streams", "agents", "router", "tools", "memory"},
    "app": {"schemas", "prompts", "streams", "agents", "router", "tools", "memory", "gateway"},
}

# A file, or a folder with a slash at its end: where its behaviour is tested instead, and why there.
TESTED_ELSEWHERE: Final[dict[str, str]] = {
    "agents/aiosv3/agents/__init__.py": "what it exports: tests/agents/test_exported.py",
    "agents/aiosv3/agents/client/errors.py": "raised all over; tests name them where they are raised",
    "agents/aiosv3/agents/testing/": "tests/agents/testing by what a test does with it",
    "app/aiosv3/app/commands/stuck.py": "tests/app/commands/test_replay.py, with the command that finds stuck tasks",
    "app/aiosv3/app/determinism/": "tests/app/determinism/test_checking.py, by what is found in a source",
    "app/aiosv3/app/partitions.py": "tests/app/commands/test_replay.py, on a real broker",
    "app/aiosv3/app/desks.py": "tests/app/commands/test_approvals.py: a real desk on a broker",
    "app/aiosv3/app/routers.py": "tests/app/commands/test_route.py: a real router on a broker",
    "app/aiosv3/app/commands/routeview.py": "tests/app/commands/test_route.py, with the command that shows it",
    "app/aiosv3/app/commands/memoryingest.py": "tests/app/commands/test_memory.py, with a worker",
    "app/aiosv3/app/commands/memorylive.py": "tests/app/commands/test_memory.py, with a worker",
    "app/aiosv3/app/ingesting.py": "tests/app/commands/test_memory.py: a real memory worker on a broker",
    "app/aiosv3/app/memoryasking.py": "tests/app/commands/test_memory.py: a real memory worker on a broker",
    "memory/aiosv3/memory/answers.py": "tests/memory/test_worker.py: what askers get",
    "memory/aiosv3/memory/applying.py": "tests/memory/test_worker.py and test_rebuilding.py",
    "memory/aiosv3/memory/entries.py": "tests/memory/test_worker.py: what is found",
    "memory/aiosv3/memory/hot/": "tests/memory/hot/test_contract.py: every store",
    "memory/aiosv3/memory/recalling.py": "tests/memory/test_worker.py",
    "memory/aiosv3/memory/views/weaviate/asking.py": "tests/memory/views/test_contract.py, on a real server",
    "router/aiosv3/router/endpoints/": "tests/router/endpoints: each provider, each fault, the kinds",
    "router/aiosv3/router/routing/errors.py": "raised all over; tests name them where they are raised",
    "router/aiosv3/router/__init__.py": "what it exports: tests/router/test_exported.py",
    "schemas/aiosv3/schemas/__init__.py": "what it exports: tests/schemas/test_exported.py",
    "schemas/aiosv3/schemas/compiled.py": "tests/schemas/test_codec.py: the bytes against fastavro's",
    "schemas/aiosv3/schemas/contents.py": "tests/schemas/test_envelope.py and test_state.py",
    "schemas/aiosv3/schemas/errors.py": "raised all over; tests name them where they are raised",
    "schemas/aiosv3/schemas/fields.py": "tests/schemas/test_derive.py",
    "schemas/aiosv3/schemas/fingerprints.py": "tests/schemas/test_store.py and test_released.py",
    "schemas/aiosv3/schemas/headerfields.py": "tests/schemas/test_headers.py",
    "schemas/aiosv3/schemas/parsed.py": "tests/schemas/test_codec.py",
    "schemas/aiosv3/schemas/policies.py": "tests/schemas/test_drift.py, and tests/router/routing/test_versions.py",
    "schemas/aiosv3/schemas/shapes.py": "tests/schemas/test_derive.py",
    "schemas/aiosv3/schemas/twins.py": "tests/schemas/test_codec.py and test_drift.py",
    "streams/aiosv3/streams/__init__.py": "what it exports: the test of public names above",
    "streams/aiosv3/streams/errors.py": "raised all over; tests name them where they are raised",
    "streams/aiosv3/streams/kafka/": "tests/streams/kafka by what it does, and tests/contract on the real thing",
    "streams/aiosv3/streams/log.py": "the port: tests/contract runs it on both implementations",
    "streams/aiosv3/streams/testing/": "tests/contract, and tests/streams/testing by what it does",
    "tools/aiosv3/tools/errors.py": "raised all over; tests name them where they are raised",
    "tools/aiosv3/tools/mcp/keeping.py": "tests/tools/mcp/test_session.py, with the server that opens sessions",
    "tools/aiosv3/tools/server.py": "what may be repeated: tests/tools/test_served.py",
}

LONGEST_FILE: Final = 400
SLOW_TO_IMPORT: Final = (
    "aiohttp",
    "confluent_kafka",
    "fastavro",
    "httpx",
    "prometheus_client",
    "pydantic_ai",
    "rich",
    "typer",
)


def source_files() -> list[Path]:
    """All Python files of all source roots."""
    return sorted(path for root in ARROWS for path in (ROOT / root).rglob("*.py"))


def packages() -> list[Path]:
    """The folders of all packages that are there, each source root's own and what is inside it."""
    return [path.parent for path in source_files() if path.name == "__init__.py"]


def name_of(path: Path) -> str:
    """Path relative to the repository, as messages and the tables above write it."""
    return path.relative_to(ROOT).as_posix()


def pyproject() -> dict[str, Any]:
    """The project's settings."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_namespace_has_no_init() -> None:
    """One `aiosv3/__init__.py` hides every other package of the namespace."""
    stray = [name_of(path) for root in ARROWS for path in (ROOT / root / NAMESPACE).glob("__init__.py*")]
    assert stray == []


def test_source_roots_hold_one_package_and_nothing_else() -> None:
    """A module in a root would be importable at top level, under a name that others use."""
    expected = {root: {f"{root}/{NAMESPACE}/{root}"} for root in ARROWS}
    for root in ARROWS:
        top = {path.relative_to(ROOT / root).parts[0] for path in (ROOT / root).rglob("*.py")}
        assert top <= {NAMESPACE}, f"{root}/ holds code outside {root}/{NAMESPACE}"
        inside = {name_of(path) for path in (ROOT / root / NAMESPACE).glob("*") if path.name != "__pycache__"}
        assert inside <= expected[root], f"{root}/{NAMESPACE} may hold the package {root} only"


def test_every_folder_of_code_is_a_package() -> None:
    missing = {name_of(path.parent) for path in source_files() if not (path.parent / "__init__.py").exists()}
    assert missing == set()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """`(line, dotted name)` of each import in a file, also those inside functions and under TYPE_CHECKING.

    Relative imports that leave their package are ruff's to refuse (TID252).
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", ARROWS)
def test_import_arrows(package: str) -> None:
    allowed = ARROWS[package] | {package}
    wrong = {
        f"{name_of(path)}:{line} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for line, name in imports(path)
        if name.split(".")[0] == NAMESPACE and name.partition(".")[2].split(".")[0] not in allowed
    }
    assert wrong == set(), f"{package} may import only {sorted(allowed)}"


def test_settings_name_every_root() -> None:
    """The wheel, an editable install, mypy, ruff and coverage each have a list of roots of their own."""
    settings = pyproject()
    tool = settings["tool"]
    present = {root for root in ARROWS if any((ROOT / root).rglob("*.py"))}
    wheel = {entry.split("/")[0] for entry in tool["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert wheel == present, "[tool.hatch.build.targets.wheel] packages"
    assert present <= set(tool["hatch"]["build"]["dev-mode-dirs"]), "[tool.hatch.build] dev-mode-dirs"
    assert present <= set(tool["mypy"]["mypy_path"]), "[tool.mypy] mypy_path"
    assert present <= set(tool["ruff"]["src"]), "[tool.ruff] src"
    measured = {f"{root}/{NAMESPACE}/{root}" for root in present}
    assert set(tool["coverage"]["run"]["source_dirs"]) == measured, "[tool.coverage.run] source_dirs"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel, built by the back end that pyproject names."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def test_the_wheels_top_level_is_the_namespace(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == {NAMESPACE}
    assert f"{NAMESPACE}/__init__.py" not in wheel


def test_the_wheel_holds_all_that_the_packages_read(wheel: list[str]) -> None:
    """Schemas, lock file, templates and type markers are data files: easy to leave behind."""
    there = {
        path.relative_to(ROOT / root).as_posix()
        for root in ARROWS
        for path in (ROOT / root / NAMESPACE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert there - set(wheel) == set()
    top = {path for path in packages() if path.parent.name == NAMESPACE}
    assert {name_of(path) for path in top if not (path / "py.typed").exists()} == set()


def _ruffs_order(name: str) -> tuple[int, str]:
    """As RUF022 sorts: constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("package", packages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_names(package: Path) -> None:
    root = package.relative_to(ROOT).parts[0]
    module = importlib.import_module(".".join(package.relative_to(ROOT / root).parts))
    names = getattr(module, "__all__", None)
    assert names is not None, "has no __all__"
    assert list(names) == sorted(set(names), key=_ruffs_order), "__all__ is not sorted, or has a name twice"
    assert [name for name in names if not hasattr(module, name)] == [], "__all__ promises what is not there"


def has_logic(path: Path) -> bool:
    """Whether a file holds a function that does something: more than a docstring, `...` or `pass`."""

    def works(statement: ast.stmt) -> bool:
        constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        return not (constant or isinstance(statement, ast.Pass))

    return any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(map(works, node.body))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def mirror(path: Path) -> Path:
    """`streams/aiosv3/streams/kafka/log.py` is tested by `tests/streams/kafka/test_log.py`."""
    inside = path.relative_to(ROOT / path.relative_to(ROOT).parts[0] / NAMESPACE)
    return ROOT / "tests" / inside.parent / f"test_{inside.name.removeprefix('__').replace('__.', '.')}"


def untested() -> dict[str, str]:
    """Source files with logic that have no test at the mirrored path, and where it would be."""
    files = [path for path in source_files() if has_logic(path) and not mirror(path).exists()]
    return {name_of(path): name_of(mirror(path)) for path in files}


def test_tests_mirror_the_source() -> None:
    excused = tuple(TESTED_ELSEWHERE)
    missing = [f"{path}: no {test}" for path, test in untested().items() if not path.startswith(excused)]
    assert missing == [], "\n".join(missing)


def test_the_list_of_exceptions_is_no_longer_than_it_must_be() -> None:
    paths = list(untested())
    needless = [entry for entry in TESTED_ELSEWHERE if not any(path.startswith(entry) for path in paths)]
    assert needless == []


def test_files_are_short() -> None:
    """One concept a file."""
    folders = [*ARROWS, "bench", "examples", "docs", "scripts"]
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_importing_agents_is_quick() -> None:
    """What costs is which modules are loaded; ``make bench`` prints the milliseconds."""
    code = f"import sys, aiosv3.agents; print(*sorted(set({SLOW_TO_IMPORT!r}) & set(sys.modules)))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert loaded == [], f"importing aiosv3.agents loads {loaded}: import them where they are used"
