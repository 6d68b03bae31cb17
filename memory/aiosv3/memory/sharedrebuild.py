"""A shared view built anew from the log, by one worker, while all of them go on writing to the one that is live.

The others are ahead of this worker, or behind it, so no moment is the same for all. Each memory is compared by itself:
what the live view lacks of what the log gives is a difference; what it has newer must come with the log's next events.
Nothing is lost between the comparison and the switch: this worker's own feed takes every event after it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

from aiosv3.memory.applying import Applier
from aiosv3.memory.contents import Contents
from aiosv3.memory.feed import Feed
from aiosv3.memory.rebuilding import RebuildDiffers, Rebuilt, Replay
from aiosv3.memory.views.digests import digest_over
from aiosv3.memory.views.errors import ViewUnavailable
from aiosv3.memory.views.port import Digest, View
from aiosv3.schemas.codec import Codec
from aiosv3.streams.log import Log

_LOG: Final = logging.getLogger(__name__)
Order: TypeAlias = tuple[int, bool]
Versions: TypeAlias = Mapping[str, tuple[Order, int]]
"""By a memory's key: version, whether that removes it, and its part of the digest."""


class SharedView(View, Protocol):
    """A view that several workers write to, on a server."""

    async def versions(self, tenant: str) -> Versions:
        """What it holds of a tenant, the removed too. Raises ViewUnavailable."""
        ...


class Shelf(Protocol):
    """Where the shared views are: one of them is live, for everybody."""

    def live(self) -> SharedView:
        """The live one, on a connection of its own."""
        ...

    def fresh(self) -> SharedView:
        """A new one, empty, that nobody sees."""
        ...

    async def switch(self, view: View) -> str:
        """Makes it the live one, for everybody at once; the name of the one before. Raises ViewUnavailable."""
        ...

    async def discard(self, view: View) -> None:
        """Drops one that did not get that far. Raises ViewUnavailable."""
        ...


class SharedRebuild:
    """One rebuild. The worker's own view stays as it is: it goes by the name that is live."""

    def __init__(self, log: Log, feed: Feed, codec: Codec, contents: Contents, shelf: Shelf) -> None:
        self._log = log
        self._feed = feed
        self._codec = codec
        self._contents = contents
        self._shelf = shelf

    async def run(self) -> tuple[Rebuilt, View]:
        """Builds, compares, catches up and switches. The view before is kept, under the name that is told.

        Raises RebuildDiffers, DataLost, ViewUnavailable; then nothing has changed.
        """
        await self._feed.ready.wait()
        live, fresh = self._shelf.live(), self._shelf.fresh()
        replay = Replay(self._log, self._feed, Applier(fresh, self._codec, self._contents))
        try:
            await replay.run()
            digests = await self._compared(replay, live, fresh)
            async with self._feed.still():
                await replay.read_on()
                kept = await self._shelf.switch(fresh)
        except BaseException:
            await self._discard(fresh)
            raise
        finally:
            await live.close()
        await fresh.close()
        # What other workers wrote to the one before, at the last moment, comes from here.
        await replay.catch_up()
        return Rebuilt(replay.records, dict(replay.at), digests, kept), self._feed.applier.view

    async def _compared(self, replay: Replay, live: SharedView, fresh: SharedView) -> dict[str, Digest]:
        await self._feed.applier.view.digest("")  # raises where changes wait for the live view
        await replay.catch_up()
        await replay.read_on()
        digests: dict[str, Digest] = {}
        newer: dict[str, dict[str, Order]] = {}
        for tenant in replay.tenants():
            ours = await fresh.versions(tenant)
            found = differences(ours, await live.versions(tenant))
            if found.lacking:  # of what is replaced while it is listed, both versions may be missed: once more
                again = differences(ours, await live.versions(tenant))
                found = Differences(found.newer | again.newer, found.lacking & again.lacking)
            if found.lacking:
                raise RebuildDiffers(
                    f"tenant {tenant}: of {len(found.lacking)} memories that the log gives the live view has none, "
                    "or an older version, or another one"
                )
            newer[tenant] = found.newer
            digests[tenant] = digest_over(share for (_, gone), share in ours.values() if not gone)
        if any(newer.values()):
            await replay.catch_up()
            await replay.read_on()
        for tenant, expected in newer.items():
            ours = await fresh.versions(tenant) if expected else {}
            for memory, order in expected.items():
                if memory not in ours or ours[memory][0] < order:
                    told = f"the live view has, or has removed, version {order[0]} of a memory; the log not"
                    raise RebuildDiffers(f"tenant {tenant}: {told}")
        return digests

    async def _discard(self, fresh: SharedView) -> None:
        try:
            await self._shelf.discard(fresh)
        except ViewUnavailable as error:
            _LOG.warning("what was built stays on the server until the next view is confirmed: %s", error)
        await fresh.close()


class Differences(NamedTuple):
    """What the live view has in a newer version than the log gives so far, and what it lacks of what the log gives."""

    newer: dict[str, Order]
    lacking: set[str]


def differences(log: Versions, live: Versions) -> Differences:
    """Of what the log gives, and what the live view has. What is removed on one side may be unknown on the other."""
    found = Differences({}, set())
    for memory, (order, share) in log.items():
        theirs = live.get(memory, ((-1, True), 0))
        if theirs[0] > order:
            found.newer[memory] = theirs[0]
        elif theirs != (order, share) and not (order[1] and theirs[0][1]):
            found.lacking.add(memory)
    found.newer.update({memory: order for memory, (order, _) in live.items() if memory not in log and not order[1]})
    return found
