"""The same test again, killed after a record: it must come to the same result by the same requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiosv3.agents.testing.cast import Cast
from aiosv3.agents.testing.errors import CrashChanged, MeshFailure
from aiosv3.agents.testing.world import World
from aiosv3.schemas.envelope import ResultEnvelope

Act = Callable[[World], Any]


class End(NamedTuple):
    """What must be the same with and without a crash."""

    outcome: str
    value: Any
    error: str

    @classmethod
    def of(cls, result: ResultEnvelope[Any]) -> End:
        """The end that a result record tells."""
        failure = result.error
        error = "" if failure is None else f"{failure.type}: {failure.message}"
        return cls(result.outcome.value, result.content, error)

    def __str__(self) -> str:
        return repr(self.value) if not self.error else f"{self.outcome} {self.error}"


def crash_everywhere(cast: Cast, acts: Sequence[Act], first: World, points: Sequence[int]) -> None:
    """Plays ``acts`` with a crash after each of ``points``; the last act returns a result. ``first`` had none.

    Raises :class:`CrashChanged`, or the :class:`MeshFailure` of the run with the crash point in its words.
    """
    expected = End.of(acts[-1](first))
    for point in points:
        world = World(cast, {point: World.crash}, repeats=True)
        try:
            _compare(world, first, expected, _play(world, acts, point))
        finally:
            world.close()


def _play(world: World, acts: Sequence[Act], point: int) -> End:
    try:
        for act in acts[:-1]:
            act(world)
        return End.of(acts[-1](world))
    except MeshFailure as error:
        where = world.struck or f"before record {point} was reached again"
        raise type(error)(f"with a crash {where}:\n  {error}") from error


def _compare(world: World, first: World, expected: End, found: End) -> None:
    differences = []
    if found != expected:
        differences.append(f"the result is {found}, without the crash it was {expected}")
    asked, before = world.requests.hashes, first.requests.hashes
    for request in sorted({*asked, *before}):
        hashes = asked.get(request, set()) | before.get(request, set())
        if request not in asked or request not in before:
            differences.append(f"request {request} was made only {'with' if request in asked else 'without'} the crash")
        elif len(hashes) > 1:
            differences.append(f"request {request} does not ask for the same as without the crash")
    if world.struck is None:
        differences.append("it came to its end before the record that was to be followed by the crash")
    if differences:
        where = world.struck or "(never reached)"
        raise CrashChanged(
            f"with a crash {where}:\n  " + "\n  ".join(differences) + "\n"
            "the agent must do the same each time: clocks, dice, I/O and global state belong into ctx.run(…), "
            "ctx.now(), ctx.random() and ctx.uuid() are safe"
        )
