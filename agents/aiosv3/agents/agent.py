"""``@agent``: an ordinary coroutine function with types becomes an agent."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_type_hints, overload

from pydantic import TypeAdapter

from aiosv3.agents.errors import AgentDefinitionError
from aiosv3.agents.keyed import check_state_type
from aiosv3.schemas.headers import Clearance

if TYPE_CHECKING:
    from aiosv3.agents.context import Context

In = TypeVar("In")
Out = TypeVar("Out")

_MOST_USD: Final = 1_000_000_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*\Z")


class Order(Enum):
    """How tasks of one key follow each other (design section 3)."""

    START = "start"
    """They start in order and overlap once they wait. The default."""
    SERIAL = "serial"
    """The next one starts when the one before has its result."""
    NONE = "none"
    """No order."""


class Guarantee(Enum):
    """How often a result is found on ``results.*``."""

    AT_LEAST_ONCE = "at_least_once"
    """Whoever keeps the first record of an id sees one result. The default."""
    EXACTLY_ONCE = "exactly_once"
    """Readers with ``isolation.level=read_committed`` find one record. Costs a transaction a batch of results."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task tree may use. Defaults, not options: a tree without limits is an outage that has not come yet.

    ``grace``: how long a task that was cancelled, or is past its deadline, may take to clean up. ``fan_out``: steps
    that a task may have open at once, of every kind but timers; a one-way send counts for good.
    """

    usd_micros: int = 1_000_000
    model_calls: int = 50
    depth: int = 8
    deadline: timedelta = timedelta(hours=1)
    grace: timedelta = timedelta(seconds=30)
    fan_out: int = 100


@dataclass(frozen=True)
class Agent(Generic[In, Out]):
    """An agent: a name, a coroutine function, the types of its input and output, and what it may use."""

    name: str
    function: Callable[[Context, In], Awaitable[Out]]
    input_type: type[In]
    output_type: type[Out]
    version: str
    clearance: Clearance = Clearance.PUBLIC
    order: Order = Order.START
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE
    limits: Limits = Limits()
    model: str | None = None
    pool: str | None = None
    description: str = ""
    state_type: type[Any] | None = None
    patches: frozenset[str] = frozenset()
    """The changes that its code asks ``ctx.patched`` about."""
    input_adapter: TypeAdapter[In] = field(init=False, repr=False, compare=False)
    output_adapter: TypeAdapter[Out] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_adapter", TypeAdapter(self.input_type))
        object.__setattr__(self, "output_adapter", TypeAdapter(self.output_type))
        if self.state_type is not None:
            check_state_type(self.name, self.state_type)
            if self.order is not Order.SERIAL:
                raise AgentDefinitionError(
                    f"agent {self.name} keeps state for each key, so its tasks must follow each other: "
                    'add order="serial"'
                )

    @property
    def exactly_once(self) -> bool:
        """Whether its results are written in transactions."""
        return self.guarantee is Guarantee.EXACTLY_ONCE

    async def __call__(self, context: Context, value: In) -> Out:
        """Runs the function itself, inside the task of another agent: no task of its own, no new journal."""
        return await self.function(context, value)


def parse_usd(text: str | float | Decimal) -> int:
    """A price in US dollars as micro-dollars; raises ValueError for what is negative or no number."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of money: write dollars, such as 0.05") from None
    if not amount.is_finite() or not 0 <= amount <= _MOST_USD:
        raise ValueError(f"{text!r} is not an amount of money that can be spent: it must be 0 or more, at most 1e9")
    return int(amount * 1_000_000)


def _version(function: Callable[..., Any]) -> str:
    """A digest of the source: changes with every edit, so that a replay can say which code wrote a journal."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = getattr(function, "__qualname__", repr(function))
    return hashlib.blake2b(source.encode(), digest_size=6).hexdigest()


def _patches(title: str, patches: Iterable[str]) -> frozenset[str]:
    declared = frozenset([patches] if isinstance(patches, str) else patches)
    for patch in declared:
        if not _NAME.match(patch):
            raise AgentDefinitionError(f"agent {title}: {patch!r} is no name for a patch: use a-z, 0-9 and hyphens")
    return declared


def _types(function: Callable[..., Any]) -> tuple[Any, Any]:
    where = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise AgentDefinitionError(f"{where} is not a coroutine function: write 'async def {where}(ctx, value)'")
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise AgentDefinitionError(
            f"{where} takes {len(parameters)} parameters: an agent takes the context and one value"
        )
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise AgentDefinitionError(
            f"the types of {where} cannot be resolved ({error}): define them at the top of the module"
        ) from None
    if parameters[1] not in hints or "return" not in hints:
        raise AgentDefinitionError(f"{where} lacks types: annotate {parameters[1]!r} and the return value")
    return hints[parameters[1]], hints["return"]


@overload
def agent(function: Callable[[Context, In], Awaitable[Out]], /) -> Agent[In, Out]: ...


@overload
def agent(
    *,
    name: str | None = ...,
    clearance: str | Clearance = ...,
    budget: str | float | None = ...,
    deadline: timedelta | None = ...,
    limits: Limits | None = ...,
    order: str | Order = ...,
    guarantee: str | Guarantee = ...,
    model: str | None = ...,
    pool: str | None = ...,
    state: type[Any] | None = ...,
    patches: Iterable[str] = ...,
) -> Callable[[Callable[[Context, In], Awaitable[Out]]], Agent[In, Out]]: ...


def agent(
    function: Callable[[Context, In], Awaitable[Out]] | None = None,
    /,
    *,
    name: str | None = None,
    clearance: str | Clearance = Clearance.PUBLIC,
    budget: str | float | None = None,
    deadline: timedelta | None = None,
    limits: Limits | None = None,
    order: str | Order = Order.START,
    guarantee: str | Guarantee = Guarantee.AT_LEAST_ONCE,
    model: str | None = None,
    pool: str | None = None,
    state: type[Any] | None = None,
    patches: Iterable[str] = (),
) -> Any:
    """Makes an agent of ``async def f(ctx: Context, value: In) -> Out``.

    ``name``: letters, digits and hyphens; default: the function's name with hyphens. ``clearance``: the least class
    that its prompts have. ``budget``: US dollars a task tree may spend. ``deadline``: how long a task may take.
    ``limits``: whatever else a tree may use; ``budget`` and ``deadline`` go before it. ``order``: how tasks of one
    key follow each other. ``guarantee``: how often a result is found on ``results.*``. ``patches``: the changes that
    ``ctx.patched`` is asked about. Raises :class:`AgentDefinitionError`.
    """

    def make(wrapped: Callable[[Context, In], Awaitable[Out]]) -> Agent[In, Out]:
        input_type, output_type = _types(wrapped)
        title = name or getattr(wrapped, "__name__", "agent").replace("_", "-").lower()
        if not _NAME.match(title):
            raise AgentDefinitionError(f"{title!r} is no name for an agent: use a-z, 0-9 and hyphens")
        base = limits or Limits()
        try:
            usd_micros = base.usd_micros if budget is None else parse_usd(budget)
            least = Clearance.parse(clearance) if isinstance(clearance, str) else clearance
            ordered, guaranteed = Order(order), Guarantee(guarantee)
        except ValueError as error:
            raise AgentDefinitionError(f"agent {title}: {error}") from None
        return Agent(
            name=title,
            function=wrapped,
            input_type=input_type,
            output_type=output_type,
            version=_version(wrapped),
            clearance=least,
            order=ordered,
            guarantee=guaranteed,
            limits=replace(base, usd_micros=usd_micros, deadline=deadline or base.deadline),
            model=model,
            pool=pool,
            description=inspect.getdoc(wrapped) or "",
            state_type=state,
            patches=_patches(title, patches),
        )

    return make if function is None else make(function)
