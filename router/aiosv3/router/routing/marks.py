"""YAML as plain data, with the line of each part. Strict: what YAML would take silently is an error here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import yaml

from aiosv3.router.routing.errors import Fault, RoutingFileError

Place: TypeAlias = tuple[str | int, ...]
"""Where something stands: keys and positions from the top."""

LARGEST: Final = 1_000_000
"""Characters: a file of rules is not longer, and nobody can make a router read one that is."""
_DEEPEST: Final = 32


class Marked:
    """Plain data, and the line of every part of it (from 1)."""

    def __init__(self, source: str, data: Any, lines: Mapping[Place, int]) -> None:
        self.source = source
        self.data = data
        self._lines = lines

    def line(self, place: Place) -> int:
        """The line of a part, or of the nearest part around it that stands in the file."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)


def read_yaml(text: str, source: str) -> Marked:
    """Raises :class:`RoutingFileError`: no YAML, a key twice, an alias, a key that is no text, or too much of it."""
    if len(text) > LARGEST:
        raise RoutingFileError(source, [Fault(1, f"the file has more than {LARGEST} characters")])
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            building = _Building(loader, source)
            data = {} if node is None else building.build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = f"this is not YAML: {error.problem or error.context}"
        raise RoutingFileError(source, [Fault(1 if mark is None else mark.line + 1, words)]) from None
    except yaml.YAMLError as error:
        raise RoutingFileError(source, [Fault(1, f"this is not YAML: {' '.join(str(error).split())}")]) from None
    except RecursionError:
        raise RoutingFileError(source, [Fault(1, "it is nested too deep")]) from None
    return Marked(source, data, building.lines)


class _Building:
    def __init__(self, loader: yaml.SafeLoader, source: str) -> None:
        self._loader = loader
        self._source = source
        self._seen: set[int] = set()
        self.lines: dict[Place, int] = {}

    def build(self, node: yaml.Node, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self._seen:  # the node's own mark is where it was named
            raise RoutingFileError(
                self._source, [Fault(self.lines[place], "aliases (*name) are not taken: write it out")]
            )
        self._seen.add(id(node))
        if len(place) > _DEEPEST:
            raise self._fault(node, "it is nested too deep")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._loader.construct_object(key_node)
            if not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "this"
                raise self._fault(key_node, f"a key must be text: write {shown!r} in quotes")
            if key in built:
                raise self._fault(key_node, f"{key!r} stands here twice: keep one of them")
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            built[key] = self.build(value_node, (*place, key))
        return built

    def _fault(self, node: yaml.Node, words: str) -> RoutingFileError:
        return RoutingFileError(self._source, [Fault(node.start_mark.line + 1, words)])
