"""Writers and readers of the fixed records, compiled from their schemas: one straight function for each record.

They do what fastavro does for the same schema (``tests/schemas/test_codec.py`` compares them byte for byte) at a
fraction of its cost, and every step of every task pays that cost several times. Records that another release wrote, and
all types of agents, go through fastavro.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from aiosv3.schemas.classes import class_named
from aiosv3.schemas.fingerprints import Schema

Write: TypeAlias = Callable[[Any, Callable[[bytes], None]], None]
"""Hands the parts of a record's bytes to the second argument, in order."""

Read: TypeAlias = Callable[[bytes, int, int], tuple[Any, int]]
"""(bytes, start, end) → (record, position after it). Raises ValueError, LookupError or struct.error."""

_INT: Final = (-(2**31), 2**31 - 1)
_LONG: Final = (-(2**63), 2**63 - 1)
_TABLE: Final = 4096
_MOST_VARINT_BYTES: Final = 10


def compile_record(schema: Schema, named: dict[str, Any]) -> tuple[Write, Read]:
    """The pair for a complete record schema; ``named`` holds each named type in it by full name."""
    scope = _scope()
    name = _Compiler(named, scope).record(schema)
    return scope[f"write_{name}"], scope[f"read_{name}"]


def compile_fields(fields: Sequence[dict[str, Any]], named: dict[str, Any]) -> Write:
    """Writes some fields of a record, one after the other, from what has attributes of their names."""
    scope = _scope()
    compiler = _Compiler(named, scope)
    compiler.execute(compiler.writing("write", fields))
    write: Write = scope["write"]
    return write


def _scope() -> dict[str, Any]:
    return {
        "SMALL": _SMALL,
        "BOOLS": {False: b"\0", True: b"\1"},
        "varint": _varint,
        "rest": _rest,
        "bad": _bad,
        "pack": struct.Struct("<d").pack,
        "unpack": struct.Struct("<d").unpack_from,
    }


def _encoded(number: int) -> bytes:
    """Zigzag, then seven bits a byte, low bits first (Avro 1.12, "Binary encoding")."""
    left = (number << 1) ^ (number >> 63)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


_SMALL: Final = tuple(_encoded(number) for number in range(_TABLE))


def _varint(number: int, bounds: tuple[int, int] = _LONG) -> bytes:
    if type(number) is not int:
        raise TypeError(f"a whole number is expected, not {type(number).__name__}")
    if not bounds[0] <= number <= bounds[1]:
        raise OverflowError(f"{number} is not between {bounds[0]} and {bounds[1]}")
    return _encoded(number)


def _rest(buf: bytes, low: int, pos: int) -> tuple[int, int]:
    """A number whose first byte is ``low`` and says that more follow."""
    value, shift = low & 0x7F, 7
    for _ in range(_MOST_VARINT_BYTES - 1):
        low = buf[pos]
        pos += 1
        value |= (low & 0x7F) << shift
        shift += 7
        if low < 0x80:
            if value >> 64:
                break
            return (value >> 1) ^ -(value & 1), pos
    raise ValueError("a number goes on too long")


def _bad(what: str) -> None:
    raise ValueError(what)


class _Compiler:
    """Writes the source of both functions of each record, parts before wholes, and executes it in ``scope``."""

    def __init__(self, named: dict[str, Any], scope: dict[str, Any]) -> None:
        self._named = named
        self._scope = scope

    def record(self, schema: Schema) -> str:
        name: str = schema["name"]
        if f"write_{name}" in self._scope:
            return name
        write, read = self.writing(f"write_{name}", schema["fields"]), [f"def read_{name}(buf, pos, end):"]
        for number, field in enumerate(schema["fields"]):
            read += _indent(self._read(field["type"], f"f{number}"))
        self._scope[name] = class_named(name)
        read.append(f" return {name}({', '.join(f'f{number}' for number in range(len(schema['fields'])))}), pos")
        self.execute([*write, *read])
        return name

    def writing(self, name: str, fields: Sequence[dict[str, Any]]) -> list[str]:
        """The source of the function ``name``, which writes these fields."""
        lines = [f"def {name}(r, out):"]
        for field in fields:
            lines += [f" v = r.{field['name']}", *_indent(self._write(field["type"], "v"))]
        return lines

    def execute(self, lines: list[str]) -> None:
        """As dataclasses do: the source holds nothing but names from the schemas of this package."""
        exec("\n".join(lines), self._scope)  # noqa: S102

    def _write(self, node: Any, v: str) -> list[str]:
        if isinstance(node, list):
            return self._write_union(node, v)
        node = self._named.get(node, node) if isinstance(node, str) else node
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return [f"write_{self.record(node)}({v}, out)"]
        if kind == "enum":
            table = f"{node['name']}_INDEX"
            self._scope[table] = {symbol: _encoded(index) for index, symbol in enumerate(node["symbols"])}
            return [f"out({table}[{v}._value_])"]
        if kind == "array":
            item = f"{v}i"
            body = [f"for {item} in {v}:", *_indent(self._write(node["items"], item))]
            return [f"if {v}:", *_indent([_write_number(f"len({v})"), *body]), "out(b'\\0')"]
        return _WRITES[kind](v)

    def _write_union(self, node: list[Any], v: str) -> list[str]:
        lines = [f"if {v} is None:", " out(b'\\0')"]
        if node[2:] == ["bytes"]:
            lines += [f"elif type({v}) is bytes:", " out(b'\\4')", *_indent(self._write("bytes", v))]
        return [*lines, "else:", " out(b'\\2')", *_indent(self._write(node[1], v))]

    def _read(self, node: Any, v: str) -> list[str]:
        if isinstance(node, list):
            return self._read_union(node, v)
        node = self._named.get(node, node) if isinstance(node, str) else node
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "record":
            return [f"{v}, pos = read_{self.record(node)}(buf, pos, end)"]
        if kind == "enum":
            table = f"{node['name']}_MEMBERS"
            self._scope[table] = tuple(class_named(node["name"]))
            return [*_read_number(v), f"if {v} < 0: bad('an enum index is negative')", f"{v} = {table}[{v}]"]
        if kind == "array":
            item = [*self._read(node["items"], f"{v}i"), f"{v}.append({v}i)"]
            size = [f"if {v}n < 0:", f" {v}n = -{v}n", *_indent(_read_number(f"{v}s"))]
            block = [*size, f"for _ in range({v}n):", *_indent(item), *_read_number(f"{v}n")]
            return [f"{v} = []", *_read_number(f"{v}n"), f"while {v}n:", *_indent(block), f"{v} = tuple({v})"]
        return _READS[kind](v)

    def _read_union(self, node: list[Any], v: str) -> list[str]:
        lines = [*_read_number("b"), "if b == 0:", f" {v} = None"]
        for index, branch in enumerate(node[1:], start=1):
            lines += [f"elif b == {index}:", *_indent(self._read(branch, v))]
        return [*lines, "else: bad('a union has no such branch')"]


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _write_number(v: str, bounds: tuple[int, int] = _LONG) -> str:
    return f"out(SMALL[{v}] if 0 <= {v} < {_TABLE} else varint({v}, {bounds}))"


def _write_sized(v: str, content: str) -> list[str]:
    return [f"b = {content}", "n = len(b)", _write_number("n"), "out(b)"]


def _read_number(v: str) -> list[str]:
    return [
        f"{v} = buf[pos]",
        "pos += 1",
        f"if {v} < 128: {v} = ({v} >> 1) ^ -({v} & 1)",
        f"else: {v}, pos = rest(buf, {v}, pos)",
    ]


def _read_sized(v: str, content: str) -> list[str]:
    return [
        *_read_number("n"),
        "e = pos + n",
        "if n < 0 or e > end: bad('a length points beyond the value')",
        f"{v} = {content}",
        "pos = e",
    ]


_WRITES: Final[dict[str, Callable[[str], list[str]]]] = {
    "string": lambda v: _write_sized(v, f"{v}.encode()"),
    "bytes": lambda v: _write_sized(v, v),
    "boolean": lambda v: [f"out(BOOLS[{v}])"],
    "double": lambda v: [f"out(pack({v}))"],
    "int": lambda v: [_write_number(v, _INT)],
    "long": lambda v: [_write_number(v)],
}
_READS: Final[dict[str, Callable[[str], list[str]]]] = {
    "string": lambda v: _read_sized(v, "buf[pos:e].decode()"),
    "bytes": lambda v: _read_sized(v, "buf[pos:e]"),
    "boolean": lambda v: [f"{v} = buf[pos]", "pos += 1", f"if {v} > 1: bad('a boolean is neither')", f"{v} = {v} == 1"],
    "double": lambda v: [f"({v},) = unpack(buf, pos)", "pos += 8"],
    "int": _read_number,
    "long": _read_number,
}
