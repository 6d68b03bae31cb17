"""The pytest plugin: fixture ``mesh_test``, marker ``crash_everywhere``, option ``--crash-everywhere``.

pytest imports it at every start, also in projects that have nothing to do with agents; so it imports nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiosv3.agents.testing import MeshTest

_OPTION = "--crash-everywhere"
_MARKER = "crash_everywhere"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    words = "repeat what tests do with the fixture mesh_test once for each record, the workers killed after it"
    parser.getgroup("aiosv3").addoption(_OPTION, action="store_true", help=words)


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", f"{_MARKER}: repeat the test's runs with a kill after each record (aiosv3)")


@pytest.fixture
def mesh_test(request: pytest.FixtureRequest) -> Iterator[Callable[..., MeshTest]]:
    """Makes :class:`aiosv3.agents.testing.MeshTest`, with the same arguments; closed at the end of the test.

    Marker and option set its ``crash`` where the test does not.
    """
    from aiosv3.agents.testing import MeshTest

    asked = request.config.getoption(_OPTION) or request.node.get_closest_marker(_MARKER) is not None
    made: list[MeshTest] = []

    def make(*agents: Any, **settings: Any) -> MeshTest:
        if asked:
            settings.setdefault("crash", "everywhere")
        made.append(MeshTest(*agents, **settings))
        return made[-1]

    yield make
    for mesh in made:
        mesh.close()
