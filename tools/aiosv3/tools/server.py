"""A tool server as tool workers see it: lists its tools, calls one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
"""JSON Schema (2020-12) as parsed JSON."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool as its server lists it. ``idempotent``: a second call with the same arguments changes nothing more.

    ``output_schema`` None: nothing is promised about the answer.
    """

    name: str
    description: str
    input_schema: Schema
    output_schema: Schema | None = None
    idempotent: bool = False
    read_only: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be called again when nobody knows what became of the first call."""
        return self.idempotent or self.read_only


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call. ``key``: the idempotency key, ``task/step``, equal for every try. ``timeout``: seconds it may take."""

    tool: str
    arguments: dict[str, Any]
    key: str
    timeout: float


class ToolServer(Protocol):
    """One server. Opened when first asked; called from many tasks of one event loop at once, cancelled at any await.

    What it returns is data from outside: nobody here interprets it. It stops *reading* at the zone's hard limit.
    """

    async def tools(self) -> Sequence[ToolSpec]:
        """Its tools. Raises :class:`~aiosv3.tools.errors.ToolError`."""
        ...

    async def call(self, call: ToolCall) -> Any:
        """The answer as a JSON value. Raises :class:`~aiosv3.tools.errors.ToolError`."""
        ...

    async def aclose(self) -> None:
        """Ends sessions and processes. Calls in flight fail."""
        ...
