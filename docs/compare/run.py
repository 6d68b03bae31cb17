"""Runs the seven programs on every framework, kills the process in the middle, and says what was left of it.

    python -m docs.compare.run [--only NAME …] [--programs NAME …] [--write]

``--write`` keeps the results in ``results.json`` beside this file, where what was not run stays as it was, and makes
``results.md`` of it, the tables of the page.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from docs.compare.counting import caught_by_types, lines_of
from docs.compare.endpoint import Endpoint
from docs.compare.ours import Ours
from docs.compare.platforms import HERE, Dbos, LangGraph, NotHere, Platform, Restate, Temporal
from docs.compare.report import page
from docs.compare.scenarios import ALL

RESULTS: Final = HERE / "results.json"
PLATFORMS: Final[dict[str, type[Platform]]] = {
    "aiosv3": Ours,
    "temporal": Temporal,
    "restate": Restate,
    "dbos": Dbos,
    "langgraph": LangGraph,
}


def one(name: str, program: str) -> dict[str, Any]:
    """One program on one framework, in a world of its own."""
    endpoint = Endpoint()
    with tempfile.TemporaryDirectory(prefix=f"compare-{name}-", ignore_cleanup_errors=True) as folder:
        platform = PLATFORMS[name](name, endpoint.start(), Path(folder))
        try:
            platform.up()
            return asdict(ALL[program](platform, endpoint))
        except (RuntimeError, TimeoutError, OSError, NotHere) as error:
            traceback.print_exc()
            logs = sorted(Path(folder).glob("*.log"))
            for log in logs:
                print(f"--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-1500:]}")
            return {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        finally:
            platform.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PLATFORMS), default=list(PLATFORMS))
    parser.add_argument("--programs", nargs="*", choices=list(ALL), default=list(ALL))
    parser.add_argument("--write", action="store_true", help="keep the results")
    asked = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in asked.only:
        found = _framework(name, asked.programs)
        results = kept.get(name, {}).get("results", {}) | found.get("results", {})
        kept[name] = {**found, "results": results}
        if asked.write:
            RESULTS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            (HERE / "results.md").write_text(page(_ordered(kept)), encoding="utf-8")


def _ordered(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in PLATFORMS if name in found}


def _framework(name: str, programs: list[str]) -> dict[str, Any]:
    platform = PLATFORMS[name](name, "", Path())
    try:
        versions = platform.install()
    except NotHere as error:
        print(f"{name}: not run here: {error}")
        return {"not_run": str(error), "lines": lines_of(HERE / name)}
    print(f"{name}: {versions}")
    results = {}
    for program in programs:
        results[program] = one(name, program)
        print(f"  {program}: {_words(results[program])}", flush=True)
    caught = caught_by_types(name, platform.python)
    print(f"  caught by types: {sum(caught.values())} of {len(caught)}: {caught}")
    return {"versions": versions, "results": results, "lines": lines_of(HERE / name), "caught": caught}


def _words(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"ERROR {result['error']}"
    end = "survived" if result["survived"] else "LOST"
    return (
        f"{end} after {result['seconds']:.1f} s, answered calls made again {result['paid_twice']}, "
        f"calls in flight made again {result['in_flight']}. {result['note']}"
    )


if __name__ == "__main__":
    main()
