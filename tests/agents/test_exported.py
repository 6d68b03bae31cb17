"""The public names of the SDK, and how little is loaded to define an agent."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aiosv3.agents


def test_exported_names_are_sorted_once_and_there() -> None:
    names = aiosv3.agents.__all__
    upper, lower = [n for n in names if n[0].isupper()], [n for n in names if n[0].islower()]
    assert list(names) == [*sorted(set(upper)), *sorted(set(lower))]
    assert all(getattr(aiosv3.agents, name).__name__ == name for name in names)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match=r"module 'aiosv3\.agents' has no attribute 'Nonsense'"):
        _ = aiosv3.agents.Nonsense


def test_defining_agents_loads_neither_kafka_nor_avro() -> None:
    code = (
        "from aiosv3.agents import Context, agent; import sys;"
        " print(*sorted({'confluent_kafka', 'fastavro', 'httpx', 'aiosv3.agents.worker.tenure'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
