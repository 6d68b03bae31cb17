from __future__ import annotations

import subprocess
import sys

import pytest

import aiosv3.router


def test_all_is_sorted_and_there() -> None:
    assert sorted(aiosv3.router.__all__) == list(aiosv3.router.__all__)
    assert all(hasattr(aiosv3.router, name) for name in aiosv3.router.__all__)


def test_the_package_alone_loads_nothing_of_itself() -> None:
    code = "import aiosv3.router, sys; print([name for name in sys.modules if name.startswith('aiosv3.router.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aiosv3.router.nothing
