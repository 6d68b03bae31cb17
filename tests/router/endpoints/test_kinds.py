"""The registry of kinds, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from aiosv3.router import endpoints
from aiosv3.router.endpoints import KINDS, Place, UnknownKind, open_endpoint


def test_exported_names_are_sorted_and_there() -> None:
    upper = [name for name in endpoints.__all__ if name.isupper()]
    assert endpoints.__all__ == upper + sorted(name for name in endpoints.__all__ if not name.isupper())
    assert all(hasattr(endpoints, name) for name in endpoints.__all__)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_every_kind_opens_and_closes(kind: str, tmp_path: Path) -> None:
    url = "http://127.0.0.1:1" if KINDS[kind].base_url_example else None
    endpoint = open_endpoint(kind, Place(url, SecretStr("key"), cache=tmp_path))
    await endpoint.aclose()


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if KINDS[kind].base_url_example))
def test_a_kind_without_its_url(kind: str) -> None:
    with pytest.raises(UnknownKind, match="base_url"):
        open_endpoint(kind, Place())


def test_an_unknown_kind_names_those_that_there_are() -> None:
    with pytest.raises(UnknownKind, match="anthropic, local, openai, vllm"):
        open_endpoint("telepathy", Place())


def test_importing_loads_no_client_and_no_model() -> None:
    look = "print(sorted({'aiohttp', 'httpx', 'openvino_genai'} & set(sys.modules)))"
    code = f"import sys, aiosv3.router, aiosv3.router.endpoints; {look}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
