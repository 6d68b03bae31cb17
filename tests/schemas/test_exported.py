from __future__ import annotations

import os
import subprocess
import sys

import pytest

import aiosv3.schemas


def test_exported_names_are_sorted_and_there() -> None:
    names = aiosv3.schemas.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(aiosv3.schemas, name) for name in names)
    assert set(names) <= set(dir(aiosv3.schemas))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = aiosv3.schemas.Nonsense


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import aiosv3.schemas", {"pydantic", "fastavro", "httpx", "dataclasses", "json"}),
        ("from aiosv3.schemas import Grant, Topics, Completion", {"pydantic", "fastavro", "httpx"}),
        ("from aiosv3.schemas import Codec, SchemaStore", {"pydantic", "httpx"}),
        ("from aiosv3.schemas import AgentSchemas", {"httpx"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(statement: str, without: set[str]) -> None:
    code = f"{statement}; import sys; print(*sorted({without!r} & set(sys.modules)))"
    # Measuring coverage of the child would load what is looked for.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == ""
