"""Cases of projects that need no broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.doctor import Case
from aiosv3.app.settings import Settings, load_settings


@pytest.fixture
def case_of(tmp_path: Path) -> Callable[..., Case]:
    """A case from the text of a project file; ``located``: settings with a stack's addresses filled in."""

    def make(text: str = "", located: Callable[[Settings], Settings] = lambda given: given, **options: Any) -> Case:
        file = tmp_path / "aiosv3.toml"
        file.write_text(text, encoding="utf-8")
        given = load_settings(file)
        return Case(given, located(given), file, **options)

    return make
