"""Gives work to agents from any process: a script, a web application, a notebook."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from aiosv3.agents.agent import Agent
from aiosv3.agents.client.ended import Ends
from aiosv3.agents.client.errors import ClientClosed
from aiosv3.agents.client.handle import Ground, Handle, Past
from aiosv3.agents.client.link import Address, Link, linked
from aiosv3.agents.client.sending import TaskEvent, given_headers, input_json
from aiosv3.schemas.headers import CE_STREAM
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.log import Outgoing
from aiosv3.streams.partitioner import murmur2_partition
from aiosv3.streams.tenure import appended

if TYPE_CHECKING:
    from aiosv3.schemas.registry import RegistryAccess

In = TypeVar("In")
Out = TypeVar("Out")
_CLOSED: Final = "the client is not open: use it inside of 'async with Client(…) as client'"


class Client:
    """Use as ``async with Client("127.0.0.1:9092", registry="http://127.0.0.1:8081") as client``.

    ``prefix`` is that of the mesh. ``security`` goes to librdkafka as it is. ``link`` opens what it stands on, instead
    of an address. One client serves any number of tasks: they share a reader for each partition, and no call blocks
    the loop.
    """

    def __init__(
        self,
        bootstrap: str = "",
        *,
        registry: str | None = None,
        prefix: str = "aios.",
        access: RegistryAccess | None = None,
        security: Mapping[str, str] | None = None,
        client_id: str = "aiosv3-client",
        link: Callable[[], AbstractAsyncContextManager[Link]] | None = None,
    ) -> None:
        if bool(bootstrap) == (link is not None):
            raise ValueError('a client needs the address of a broker, such as Client("127.0.0.1:9092")')
        address = Address(bootstrap, registry, prefix, access, dict(security or {}), client_id)
        self._link = link or partial(linked, address)
        self._stack = AsyncExitStack()
        self._ground: Ground | None = None
        self._ends: dict[int, tuple[Agent[Any, Any], Ends[Any]]] = {}
        self._stream: int | None = None

    async def __aenter__(self) -> Client:
        """Raises ``BrokerUnavailable`` when no broker answers within six seconds."""
        if self._ground is not None:
            raise ClientClosed("this client is open already: share it, or make another one")
        async with AsyncExitStack() as stack:
            self._ground = Ground(await stack.enter_async_context(self._link()))
            stack.push_async_callback(self._ground.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ground = None
        await self._stack.aclose()

    @overload
    async def start(
        self, agent: Agent[In, Out], input: In, *, key: str | None = ..., id: str | None = ...,
        headers: Mapping[str, str] | None = ..., stream: bool = ...,
    ) -> Handle[Out]: ...  # fmt: skip

    @overload
    async def start(
        self, agent: str, input: Any, *, key: str | None = ..., id: str | None = ...,
        headers: Mapping[str, str] | None = ..., stream: bool = ...,
    ) -> Handle[Any]: ...  # fmt: skip

    async def start(
        self,
        agent: Agent[Any, Any] | str,
        input: Any,  # noqa: A002
        *,
        key: str | None = None,
        id: str | None = None,  # noqa: A002
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Handle[Any]:
        """Sends a task event; returns when the log has it. ``agent``: the object, or a name.

        ``key``: tasks of one key keep their order (``id`` if there is none). ``id``: twice the same is one task, as
        long as its key is the same too: the first result of the id counts, the second input is not looked at.
        ``headers``: ``ce_tenant``, ``ce_costlimitusd``, … ``stream``: ask for tokens and progress in ``events()``.

        Raises NoSuchAgent, InvalidInput (nothing was sent), AppendFailed.
        """
        ground, name = self._opened(), agent if isinstance(agent, str) else agent.name
        value, added = input_json(agent, input), given_headers(headers)
        count = await ground.link.agent_partitions(name)
        chosen = id or str(uuid.uuid4())
        partition = murmur2_partition((key or chosen).encode(), count)
        place = TaskHandle(name, partition, chosen)
        streams = await self._streams(ground) if stream else ()
        handle = Handle(ground, place, self._ends_of(agent), Past(fresh=id is None), streams)
        await ground.books.of(name, partition)
        if streams:
            added = [*added, (CE_STREAM, str(streams[0]).encode())]
            await handle.listen()
        sent = await self._append(ground, TaskEvent(name, chosen, key or chosen, value, added), partition)
        if id is None:
            handle.began(sent)
        return handle

    async def _append(self, ground: Ground, event: TaskEvent, partition: int) -> int:
        record: Outgoing = event.outgoing(ground.link.topics, datetime.now(UTC))
        return (await appended(ground.link.log, record._replace(partition=partition))).timestamp

    async def _streams(self, ground: Ground) -> tuple[int, ...]:
        """One partition of deltas for all tasks of this client: one reader. Nobody else needs to read it."""
        if self._stream is None:
            count = await ground.link.partitions(ground.link.topics.deltas())
            self._stream = random.randrange(count) if count else None
        return () if self._stream is None else (self._stream,)

    async def partitions(self, agent: str) -> int:
        """How many an agent's topics have. Raises NoSuchAgent: it never worked at this broker."""
        return await self._opened().link.agent_partitions(agent)

    @overload
    def handle(self, text: str, agent: Agent[Any, Out], *, since: datetime | None = ...) -> Handle[Out]: ...

    @overload
    def handle(self, text: str, agent: None = ..., *, since: datetime | None = ...) -> Handle[Any]: ...

    def handle(self, text: str, agent: Agent[Any, Any] | None = None, *, since: datetime | None = None) -> Handle[Any]:
        """A task that was started somewhere, by the text of its handle. ``agent``: reads the result as its type.

        ``since``: a moment before it was started, so that not all results are looked through. Raises ``BadName``.
        """
        place = TaskHandle.parse(text)
        if agent is not None and agent.name != place.agent:
            raise ValueError(f"{text} is a task of {place.agent}, not of {agent.name}")
        began = None if since is None else int(since.timestamp() * 1000)
        return Handle(self._opened(), place, self._ends_of(agent or place.agent), Past(began, reopened=True), None)

    def _ends_of(self, agent: Agent[Any, Any] | str) -> Ends[Any]:
        """One reader of results for each agent object: what it derives from the types is made once."""
        link = self._opened().link
        if isinstance(agent, str):
            return Ends(link, agent)
        known = self._ends.get(id(agent))
        if known is None or known[0] is not agent:
            known = self._ends[id(agent)] = (agent, Ends(link, agent))
        return known[1]

    def _opened(self) -> Ground:
        if self._ground is None:
            raise ClientClosed(_CLOSED)
        return self._ground
