"""Who does the same work over the same broker, and how each is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from beside.places import BENCH, PROGRAMS, Place

MODES: Final[Mapping[str, str]] = {"noop": "noop", "wait": "waits", "keys": "keyed", "kill": "works", "pool": "pooled"}
"""What is asked of a contender -> the agent of ours that does it; the others have one program for all."""


@dataclass(frozen=True, slots=True)
class Contender:
    """``parallel``: it works on many tasks of one partition at once. ``note``: how it was set up, in words.

    ``ours``: its topics are named and made by its own runtime. ``ordered``: it does one task of a key at a time,
    and many keys at once.
    """

    name: str
    version: str
    script: str
    place: Place
    parallel: bool
    note: str
    ours: bool = False
    ordered: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def topics(self, prefix: str, mode: str) -> tuple[str, str]:
        """Where tasks go in, and where results come out."""
        agent = MODES[mode]
        return (f"{prefix}tasks.{agent}", f"{prefix}results.{agent}") if self.ours else (f"{prefix}in", f"{prefix}out")

    def command(self, bootstrap: str, prefix: str, mode: str, concurrency: int, partitions: int) -> list[str]:
        """Raises :class:`NotHere`."""
        script = [self.place.interpreter(), "-W", "ignore", str(PROGRAMS / self.script), bootstrap]
        if self.ours:
            return [*script, prefix, str(partitions), str(concurrency), MODES[mode]]
        return [*script, *self.topics(prefix, mode), str(concurrency)]


_OURS: Final = {"PYTHONPATH": str(BENCH)}
OURS: Final = Contender(
    "AIOSv3",
    "this tree",
    "stream_ours.py",
    Place(""),
    True,
    'an agent; defaults, `order="serial"` for keys; its worker has a name, as `aiosv3 up` gives it',
    ours=True,
    ordered=True,
    environment=_OURS,
)
CONTENDERS: Final = (
    OURS,
    Contender(
        "bare confluent-kafka",
        "2.x of this environment",
        "stream_bare.py",
        Place(""),
        False,
        "80 lines by hand, one task after the other, idempotent producer, commits below what is acknowledged; it has a "
        "name (`group.instance.id`)",
    ),
    Contender(
        "Faust",
        "0.15.3",
        "stream_faust.py",
        Place("faust-0.15.3", ("faust-streaming==0.15.3", "fastavro")),
        True,
        "an agent with `concurrency=N`, a codec of the registry, `event` order; it has a name",
    ),
    Contender(
        "FastStream",
        "0.7.8",
        "stream_faststream.py",
        Place("faststream-0.7.8", ("faststream[confluent]==0.7.8", "fastavro")),
        True,
        "a subscriber with a decoder; `max_workers=N` needs acknowledgement first; it has a name",
    ),
    Contender(
        "pyrallel-consumer",
        "1.0.0",
        "stream_pyrallel.py",
        Place("pyrallel-1.0.0", ("--ignore-requires-python", "pyrallel-consumer==1.0.0", "fastavro")),
        True,
        "asyncio engine, order by key; it has no setting for a name; its metadata asks for Python 3.12, its code "
        "also runs on 3.11",
        ordered=True,
    ),
)


def chosen(names: list[str] | None) -> list[Contender]:
    """Those of these names; all where none is named."""
    match: Callable[[Contender], bool] = lambda each: names is None or each.name.lower() in names  # noqa: E731
    return [each for each in CONTENDERS if match(each)]
