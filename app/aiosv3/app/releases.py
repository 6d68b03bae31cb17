"""What a run over golden tasks came to, kept as the record of a release, and how two of them differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from aiosv3.app.settings import SettingsError
from aiosv3.schemas.records import Usage


@dataclass(frozen=True, slots=True)
class Case:
    """One golden task. ``reason``: why it failed, None if it passed. ``latency_ms``: None if it never ended.

    Latency is between the two records on the log, the task event and its result. Cost is that of the whole tree.
    """

    id: str
    reason: str | None
    latency_ms: int | None
    usage: Usage

    @property
    def passed(self) -> bool:
        """Whether it did what was expected."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Release:
    """All cases of one run. ``versions``: the code that answered, more than one during a roll-out."""

    agent: str
    made_at: datetime
    versions: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(case.passed for case in self.cases)

    @property
    def pass_rate(self) -> float:
        """0 to 1."""
        return self.passed / len(self.cases)

    @property
    def cost_usd_micros(self) -> int:
        """What all its trees cost, in micro-dollars."""
        return sum(case.usage.cost_usd_micros for case in self.cases)

    def latency_ms(self, share: float) -> int | None:
        """The latency that ``share`` (0.5, 0.99) of the ended cases did not exceed: nearest rank; None without any."""
        ended = sorted(case.latency_ms for case in self.cases if case.latency_ms is not None)
        return ended[max(0, math.ceil(share * len(ended)) - 1)] if ended else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two releases, over the cases that both have; ids in order. Changes are shares: 0.1 is a tenth more.

    None where the earlier one was 0 or unknown.
    """

    newly_failing: tuple[str, ...]
    newly_passing: tuple[str, ...]
    added: tuple[str, ...]
    gone: tuple[str, ...]
    cost_change: float | None
    p50_change: float | None
    p99_change: float | None


def compare(before: Release, now: Release) -> Difference:
    """What changed from ``before`` to ``now``."""
    old = {case.id: case for case in before.cases}
    new = {case.id: case for case in now.cases}
    both = [name for name in new if name in old]
    shared = [_only(release, both) for release in (before, now)]
    return Difference(
        newly_failing=tuple(name for name in both if old[name].passed and not new[name].passed),
        newly_passing=tuple(name for name in both if new[name].passed and not old[name].passed),
        added=tuple(name for name in new if name not in old),
        gone=tuple(name for name in old if name not in new),
        cost_change=_change(shared, lambda release: release.cost_usd_micros),
        p50_change=_change(shared, lambda release: release.latency_ms(0.5)),
        p99_change=_change(shared, lambda release: release.latency_ms(0.99)),
    )


def _only(release: Release, names: Sequence[str]) -> Release:
    cases = {case.id: case for case in release.cases}
    return Release(release.agent, release.made_at, release.versions, tuple(cases[name] for name in names))


def _change(pair: Sequence[Release], measure: Callable[[Release], int | None]) -> float | None:
    before, now = map(measure, pair)
    return None if not before or now is None else now / before - 1


RELEASE: Final = TypeAdapter(Release)


def load_release(path: Path, agent: str) -> Release:
    """A saved release. Raises :class:`SettingsError` for what is none, or is another agent's."""
    try:
        release = RELEASE.validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; '--save {path}' makes one") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{path} is no release that was saved by 'aiosv3 eval': {first['msg']}") from None
    if release.agent != agent:
        raise SettingsError(f"{path} is a release of agent {release.agent!r}, not of {agent!r}")
    return release


def save_release(path: Path, release: Release) -> None:
    """Writes it, whole or not at all. Raises :class:`SettingsError`."""
    half = path.with_name(f"{path.name}.part")
    try:
        half.write_bytes(RELEASE.dump_json(release, indent=2) + b"\n")
        half.replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
