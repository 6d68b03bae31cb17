"""The state of one task's key, as its code sees it: loaded when the task begins, taken when it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from aiosv3.agents.errors import AgentDefinitionError

if TYPE_CHECKING:
    from aiosv3.agents.task import TaskRun
    from aiosv3.schemas.codec import Codec
    from aiosv3.schemas.headers import Clearance
    from aiosv3.schemas.state import StateChange, StateRecord, StateSchemas

S = TypeVar("S", default=Any)
"""The type of an agent's state; ``Context`` without it leaves that open."""


def check_state_type(title: str, kind: Any) -> None:
    """Raises AgentDefinitionError for a type whose fresh value is not the same each time: a replay would differ."""
    if not isinstance(kind, type):
        raise AgentDefinitionError(f"agent {title}: state={kind!r} is no class: use a pydantic model or a dataclass")
    if not (hasattr(kind, "model_fields") or hasattr(kind, "__dataclass_fields__")):
        raise AgentDefinitionError(f"agent {title}: state={kind.__name__} is neither a pydantic model nor a dataclass")
    try:
        first, second = kind(), kind()
    except (TypeError, ValueError) as error:
        raise AgentDefinitionError(
            f"agent {title}: a key without state gets {kind.__name__}(), which fails ({error}): "
            "give its fields defaults"
        ) from None
    if first != second:
        raise AgentDefinitionError(
            f"agent {title}: {kind.__name__}() is another value each time, so that a replay would differ: "
            "let the agent set times and ids, from ctx.now() and ctx.uuid()"
        )


class KeyedState:
    """The value behind ``ctx.state``. ``found``: the record that the key has, ``raw`` its bytes; None: it has none."""

    __slots__ = ("_found", "_kind", "_raw", "_value", "clearance")

    def __init__(self, kind: type[Any], found: StateRecord | None = None, raw: bytes = b"") -> None:
        self._kind = kind
        self._raw = raw
        self._found = found
        self._value = None if found is None else found.state.content
        self.clearance = None if found is None else found.state.clearance
        """The class of what was found."""

    def get(self) -> Any:
        """The state; a fresh one where the key has none."""
        if self._value is None:
            self._value = self._kind()
        return self._value

    def set(self, value: Any) -> None:
        """Replaces it. TypeError for a value of another class."""
        if not isinstance(value, self._kind):
            raise TypeError(
                f"ctx.state is a {self._kind.__name__}, not a {type(value).__name__}; 'del ctx.state' forgets it"
            )
        self._value = value

    def delete(self) -> None:
        """Forgets it: the key has no state until it is written again."""
        self._value = None

    def change(self, schemas: StateSchemas, codec: Codec, clearance: Clearance) -> StateChange | None:
        """What the result says of it; None where it is what it was. ``clearance``: that of the task now.

        Raises MalformedValue.
        """
        from aiosv3.schemas.state import StateChange, StateRecord

        if self._value is None:
            return None if self._found is None else StateChange(clearance=clearance)
        if self._found is None:
            before = StateRecord("", -1, -1, StateChange(self._kind()))
            raw = schemas.encode(codec, before)
        else:
            before, raw = self._found, self._raw
        same = replace(before, state=replace(before.state, content=self._value))
        return None if schemas.encode(codec, same) == raw else StateChange(self._value, clearance=clearance)


class StateAccess(Generic[S]):
    """The part of :class:`~aiosv3.agents.context.Context` that is ``ctx.state``."""

    __slots__ = ()
    _run: TaskRun

    @property
    def state(self) -> S:
        """What an agent with ``state=`` keeps for this task's key: change it, or replace it; ``del`` forgets it.

        A fresh ``S()`` where the key has none. It is kept with the result, so only if the task ends well.
        """
        state: S = self._run.keyed.get()
        return state

    @state.setter
    def state(self, value: S) -> None:
        self._run.keyed.set(value)

    @state.deleter
    def state(self) -> None:
        self._run.keyed.delete()
