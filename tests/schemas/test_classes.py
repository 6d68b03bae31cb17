from __future__ import annotations

import pytest

from aiosv3.schemas.classes import class_named
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.tooling import ToolResult


def test_classes_are_found_in_the_module_that_defines_them() -> None:
    assert class_named("ToolResult") is ToolResult
    assert class_named("Outcome") is Outcome


@pytest.mark.parametrize("name", ["Nonsense", "Final", "ModuleType"])
def test_what_a_module_only_imports_is_no_twin(name: str) -> None:
    with pytest.raises(KeyError):
        class_named(name)
