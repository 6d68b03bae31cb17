"""JSON Schema as Python types: names, TypedDicts, Literals."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_WORDS: Final = re.compile(r"[^a-zA-Z0-9]+")
_SIMPLE: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_IMPORTED: Final = ("Any", "Literal", "NotRequired", "TypeAlias", "TypedDict", "Unpack", "annotations", "tool")
_LONGEST_NAME: Final = 40
_LONGEST_TYPE: Final = 60
_WIDTH: Final = 88
_SHORT: Final = 40
_MOST_CHOICES: Final = 50
_DEEPEST: Final = 20


def pascal(text: str) -> str:
    """``get-ticket`` as ``GetTicket``."""
    words = "".join(word[:1].upper() + word[1:] for word in _WORDS.split(text) if word)[:_LONGEST_NAME]
    return words if words[:1].isalpha() else f"T{words}"


def snake(text: str) -> str:
    """``get-ticket`` as ``get_ticket``: a name for a function."""
    words = "_".join(word for word in _WORDS.split(text) if word)[:_LONGEST_NAME]
    return words if words[:1].isalpha() else f"t_{words}"


class Names:
    """The names of a module: none twice, none that means something already."""

    def __init__(self) -> None:
        self._taken = {*keyword.kwlist, *dir(builtins), *_IMPORTED}

    def take(self, wanted: str) -> str:
        """``wanted``, or the next like it that is free."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}{number}" if wanted[0].isupper() else f"{wanted}_{number}"
        self._taken.add(name)
        return name


class Types:
    """The types of one tool. Definitions go to ``blocks``, names of typing that they need to ``used``."""

    def __init__(self, names: Names, blocks: list[str], used: set[str]) -> None:
        self._names = names
        self._blocks = blocks
        self._used = used
        self._root: Any = {}
        self._of: dict[str, str] = {}
        """Types by the reference that leads to them: defined once, also where they refer to themselves."""

    def arguments(self, schema: Any, name: str) -> str:
        """The parameters of a function that takes ``schema``, an object, by keyword."""
        self._begin(schema)
        given = self._resolved(schema)
        if isinstance(given.get("properties"), Mapping) and given["properties"]:
            self._used.add("Unpack")
            return f"**arguments: Unpack[{self._record(given, self._names.take(name), 0)}]"
        return "" if given.get("additionalProperties") is False else f"**arguments: {self._any()}"

    def answer(self, schema: Any, name: str) -> str:
        """The type of an answer; without a schema it is text."""
        if schema is None:
            return "str"
        self._begin(schema)
        return self._short(self._type(schema, name, 0))

    def _begin(self, root: Any) -> None:
        self._root = root
        self._of = {}

    def _any(self) -> str:
        self._used.add("Any")
        return "Any"

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        node = schema
        for _ in range(_DEEPEST):
            if not isinstance(node, Mapping):
                return {}
            if not isinstance(reference := node.get("$ref"), str):
                return node
            node = self._root
            for part in reference.split("/")[1:]:
                node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        return {}

    def _type(self, schema: Any, name: str, depth: int) -> str:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return self._any()
        if isinstance(reference := schema.get("$ref"), str):
            return self._referred(reference, depth)
        parts = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(parts, list) and parts:
            return self._union([self._type(part, name, depth + 1) for part in parts])
        if "const" in schema or isinstance(schema.get("enum"), list):
            return self._choice(schema.get("enum", [schema.get("const")]), name)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union([self._type({**schema, "type": one}, name, depth + 1) for one in kind])
        return self._plain(schema, kind, name, depth)

    def _plain(self, schema: Mapping[str, Any], kind: Any, name: str, depth: int) -> str:
        if isinstance(kind, str) and kind in _SIMPLE:
            return _SIMPLE[kind]
        if kind == "array":
            return f"list[{self._short(self._type(schema.get('items'), f'{name}Item', depth + 1))}]"
        if isinstance(schema.get("properties"), Mapping) and schema["properties"]:
            return self._record(schema, self._names.take(name[:_LONGEST_NAME]), depth)
        if kind == "object":
            item = self._type(schema.get("additionalProperties"), f"{name}Value", depth + 1)
            return f"dict[str, {self._short(item)}]"
        return self._any()

    def _referred(self, reference: str, depth: int) -> str:
        if reference not in self._of:
            target = self._resolved({"$ref": reference})
            name = pascal(reference.rpartition("/")[2])
            if isinstance(target.get("properties"), Mapping) and target["properties"]:
                self._of[reference] = self._names.take(name)
                self._record(target, self._of[reference], depth)
            else:
                self._of[reference] = self._any()  # what refers to nothing but itself is anything
                self._of[reference] = self._type(target, name, depth + 1)
        return self._of[reference]

    def _union(self, kinds: Sequence[str]) -> str:
        return self._any() if "Any" in kinds else " | ".join(dict.fromkeys(kinds))

    def _choice(self, choices: Sequence[Any], name: str) -> str:
        if not choices or len(choices) > _MOST_CHOICES or not all(_literal(one) for one in choices):
            return self._any()
        self._used.add("Literal")
        told = list(dict.fromkeys(_word(one) for one in choices))
        short = f"Literal[{', '.join(told)}]"
        plain = not any(c in str(one) for one in choices for c in "'\"\\")
        if len(short) <= _SHORT and plain:
            return short
        alias = self._names.take(name[:_LONGEST_NAME])
        self._blocks.append("\n".join([f"{alias} = Literal[", *(f"    {one}," for one in told), "]", ""]))
        return alias

    def _short(self, kind: str) -> str:
        """The type; ``Any`` for one that does not fit into a line."""
        return kind if len(kind) <= _LONGEST_TYPE else self._any()

    def _record(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        self._used.add("TypedDict")
        required = schema.get("required") or []
        fields: dict[str, str] = {}
        for key, item in schema["properties"].items():
            part = f"{name}{pascal(key)}"[:_LONGEST_NAME]
            fields[key] = self._short(self._type(item, part, depth + 1))
            if key not in required:
                self._used.add("NotRequired")
                fields[key] = f"NotRequired[{fields[key]}]"
        lines = [f"    {key}: {kind}" for key, kind in fields.items()]
        simple = all(map(_attribute, fields)) and all(len(line) <= _WIDTH for line in lines)
        self._blocks.append(_class(name, lines) if simple else _call(name, fields))
        return name


def _class(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"class {name}(TypedDict):", *lines, ""])


def _call(name: str, fields: Mapping[str, str]) -> str:
    """For keys that are no names in Python, or too long. Types as text: what they name may come later."""
    quoted = [
        f"        {json.dumps(key)}: {json.dumps(kind.replace(chr(34), chr(39)))}," for key, kind in fields.items()
    ]
    return "\n".join([f"{name} = TypedDict(", f'    "{name}",', "    {", *quoted, "    },", ")", ""])


def _attribute(key: str) -> bool:
    return key.isascii() and key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__")


def _literal(value: Any) -> bool:
    return value is None or isinstance(value, (str, int))


def _word(value: Any) -> str:
    """A value in a Literal, in the quotes that need the fewest escapes."""
    if not isinstance(value, str):
        return repr(value)
    if value.count('"') <= value.count("'"):
        return json.dumps(value)
    inner = json.dumps(value.replace("'", "\\'"))[1:-1].replace('\\"', '"').replace("\\\\'", "\\'")
    return f"'{inner}'"
