"""Seeds run without coverage: it makes them four times slower, and what they show is not which lines they reach.

And processes that are killed leave coroutines behind which were never begun: nothing to be told of, here or in the test
in which their garbage would happen to be collected.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

_HERE = Path(__file__).parent
_NEVER_BEGUN = "ignore:coroutine .* was never awaited:RuntimeWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.filterwarnings(_NEVER_BEGUN))


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def _without_coverage() -> Iterator[None]:
    measuring = coverage.Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()
