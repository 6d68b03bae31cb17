"""The reference of routing.yaml and its JSON Schema are what the models say today, and the page's examples hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import jsonschema
import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.expectations import parse_expectations, run_case, unknown_pools
from aiosv3.router.routing.file import parse_routing
from aiosv3.schemas.headers import Clearance
from docs import generate_routing as routing

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
POOLS: Final = [
    Pool("own", "vllm", "llama", Clearance.RESTRICTED, region="eu", data_terms=frozenset({"no_training"})),
    Pool("cloud", "openai", "gpt-4o-mini", Clearance.CONFIDENTIAL, quality=0.7, region="us"),
    Pool("next", "vllm", "llama-next", Clearance.INTERNAL, quality=0.6, region="eu"),
]


def test_both_files_are_up_to_date() -> None:
    words = "the models have changed: run 'python -m docs.generate_routing'"
    assert routing.TARGET.read_text(encoding="utf-8") == routing.page(), words
    assert json.loads(routing.SCHEMA.read_text(encoding="utf-8")) == routing.schema(), words


def test_every_key_says_what_it_is_for() -> None:
    rows = [line for line in routing.page().splitlines() if line.startswith("| `")]
    without = [row for row in rows if row.rstrip("| ").count("|") < 4]
    assert {row.split("`")[1] for row in without} <= {"public", "internal", "confidential", "restricted"}


def test_every_model_has_a_section() -> None:
    assert set(routing.schema()["$defs"]) == set(routing._TITLES) - {"RoutingFile"}


def test_the_pages_policy_is_read_and_fits_the_schema() -> None:
    whole = next(block for block in BLOCKS if block.startswith("classes:"))
    _, marked = parse_routing(whole)
    jsonschema.validate(marked.data, routing.schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"rulez": []}, routing.schema())


def test_the_pages_expectations_hold_on_the_pages_policy() -> None:
    whole = next(block for block in BLOCKS if block.startswith("classes:"))
    table = next(block for block in BLOCKS if block.startswith("cases:"))
    policy = compiled(parse_routing(whole)[0])
    file, marked = parse_expectations(table, "expected.yaml")
    unknown_pools(file, marked, POOLS)
    outcomes = [run_case(case, 1, policy, POOLS, Clearance.INTERNAL) for case in file.cases]
    assert [outcome for outcome in outcomes if outcome.wrong] == []
