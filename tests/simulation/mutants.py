"""Breaks the production code on purpose, one sentence at a time, and shows that a simulation notices.

python tests/simulation/mutants.py                 # each against seeds until one finds it; exit code 1 if one survives
python tests/simulation/mutants.py --only NAME     # one of them
python tests/simulation/mutants.py --only NAME --shrink  # and the least of what found it
python tests/simulation/mutants.py --json          # one JSON document a line

A mutant is a replacement of source text, or a few, made while modules are loaded: nothing is written to the tree.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.abc
import importlib.machinery
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from mutations import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 2_000
"""A mutant that so many seeds do not find has survived: the simulation has a hole."""
_SEED_S = 300
"""A seed that takes so long does not end: what is broken keeps it busy."""


def sources_of(mutant: Mutant) -> dict[str, str]:
    """The mutated text of each of its files. ValueError if an old text is not there exactly once."""
    texts: dict[str, str] = {}
    for file, old, new in mutant.changes():
        text = texts.get(file) or (ROOT / file).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{mutant.name}: its text is {text.count(old)} times in {file}, not once")
        texts[file] = text.replace(old, new)
    return texts


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the mutated text; no byte code is read or written."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class Patch(importlib.abc.MetaPathFinder):
    """Finds the modules of a mutant; every other one is found as always. ``missing``: those that were not loaded."""

    def __init__(self, mutant: Mutant) -> None:
        self._texts = {_module(file): text for file, text in sources_of(mutant).items()}
        self.missing = {*self._texts}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._texts:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        self.missing.discard(fullname)
        spec.loader = _Loader(fullname, spec.origin, self._texts[fullname])
        return spec


def _module(file: str) -> str:
    """By the name of its file: a package is its folder."""
    return file.partition("/")[2].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a mutant: the first seed that found it, by which invariant; None if none did."""

    mutant: str
    seed: int | None
    invariant: str
    words: str
    tried: int
    seconds: float
    least: str = ""
    """Where it was asked for: the least of the seed that finds it, as a command (of the code with the mutant)."""


def _runner(mutant: Mutant) -> Callable[[int], Iterable[tuple[str, str]]]:
    """What looks for it: a run by seed, or tests, which are the same for every seed."""
    if mutant.tests:
        return lambda _seed: _failed(mutant.tests)
    from simulate import module_of

    run = module_of(mutant.run)
    return lambda seed: run.run_seed(seed).violations


class _Failures:
    """A pytest plugin: the tests that failed."""

    def __init__(self) -> None:
        self.names: list[tuple[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(("test", report.nodeid))


def _failed(tests: Sequence[str]) -> list[tuple[str, str]]:
    failures = _Failures()
    with contextlib.redirect_stdout(io.StringIO()):
        told = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--no-cov", *tests], plugins=[failures])
    if told in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return failures.names
    raise RuntimeError(f"pytest says {told!r} to {' '.join(tests)}")


def _too_long(*_: object) -> None:
    raise TimeoutError("the simulation does not end")


def _violation(run: Callable[[int], Iterable[tuple[str, str]]], seed: int) -> tuple[str, str] | None:
    signal.alarm(_SEED_S)
    try:
        return next(iter(run(seed)), None)
    except Exception as error:  # noqa: BLE001 -- whatever it does to the simulation, it was noticed
        return type(error).__name__, str(error).partition("\n")[0][:300]
    finally:
        signal.alarm(0)


def find(mutant: Mutant, first: int, last: int, *, shrink: bool = False) -> Finding:
    """Tries seeds in this process, which must not have loaded any production code; where it was last comes first."""
    patch = Patch(mutant)
    if any(name == "aiosv3" or name.startswith("aiosv3.") for name in sys.modules):
        raise RuntimeError("production code is loaded already: a mutant needs a process of its own")
    sys.meta_path.insert(0, patch)
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _too_long)
    os.chdir(ROOT)
    run = _runner(mutant)
    last = first + 1 if mutant.tests else last
    if not mutant.tests and patch.missing:
        raise RuntimeError(f"{mutant.name}: the simulation does not load {', '.join(sorted(patch.missing))}")
    began = time.monotonic()
    seeds = sorted(range(first, last), key=lambda seed: (seed != mutant.seed, seed))
    for tried, seed in enumerate(seeds, 1):
        if (found := _violation(run, seed)) is not None:
            least = _least(mutant, seed, found[0]) if shrink and not mutant.tests else ""
            return Finding(mutant.name, seed, *found, tried, time.monotonic() - began, least)
    return Finding(mutant.name, None, "", "", last - first, time.monotonic() - began)


def _least(mutant: Mutant, seed: int, invariant: str) -> str:
    """RuntimeError if what is left of the seed is not the same each time."""
    from shrinking import Shrinking
    from simulate import module_of, replay

    run = module_of(mutant.run)
    cut = Shrinking(run, seed, invariant).least()
    once, again = run.run_seed(seed, cut), run.run_seed(seed, cut)
    if once.history != again.history or all(found != invariant for found, _ in again.violations):
        raise RuntimeError(f"{mutant.name}: {replay(seed, cut, mutant.run)} is not the same each time")
    return replay(seed, cut, mutant.run)


def find_apart(mutant: Mutant, first: int, last: int, *, shrink: bool = False) -> Finding:
    """Tries seeds in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--here", mutant.name, "--seeds", f"{first}:{last}"]
    command += ["--shrink"] if shrink else []
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": "0"}
    )
    if done.returncode:
        raise RuntimeError(f"{mutant.name}: {done.stderr.strip()[-2000:]}")
    return Finding(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="a mutant by its name; may be given again")
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    parser.add_argument("--seeds", default=f"0:{SEEDS}", help="FROM:TO; a mutant that tests look for needs none")
    parser.add_argument("--shrink", action="store_true", help="leave out what of the seed is not needed to find it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    first, last = map(int, options.seeds.split(":"))
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    if options.here:
        print(json.dumps(asdict(find(by_name[options.here], first, last, shrink=options.shrink))))
        return
    wanted = options.only or list(by_name)
    if unknown := sorted(set(wanted) - by_name.keys()):
        parser.error(f"no mutant is called {', '.join(unknown)}")
    survived = 0
    if not options.json:
        print(f"{'mutant':34} {'breaks':16} {'seed':>5} {'seconds':>8}  found by")
    with ThreadPoolExecutor(options.jobs) as pool:
        trying = [pool.submit(find_apart, by_name[name], first, last, shrink=options.shrink) for name in wanted]
        for done in as_completed(trying):
            finding = done.result()
            survived += finding.seed is None
            _tell(by_name[finding.mutant], finding, as_json=options.json)
    if not options.json:
        print(f"{len(wanted)} mutants, {survived} survived")
    sys.exit(survived > 0)


def _tell(mutant: Mutant, finding: Finding, *, as_json: bool) -> None:
    if as_json:
        told = asdict(finding) | {"rules": list(mutant.rules), "promise": mutant.promise, "file": mutant.file}
        print(json.dumps(told), flush=True)
        return
    seed = "-" if finding.seed is None else str(finding.seed)
    by = f"{finding.invariant}: {finding.words}" if finding.invariant else "SURVIVED"
    breaks = " ".join(f"§{rule}" for rule in mutant.rules) or "promise"
    print(f"{mutant.name:34} {breaks:16} {seed:>5} {finding.seconds:>8.1f}  {by[:110]}", flush=True)
    if finding.least:
        print(f"  at least: {finding.least}", flush=True)


if __name__ == "__main__":
    main()
