"""A run with topics, processes and a producer of the test's own."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.demo import produce, race
from aiosv3.app.demo.followers import Follower, Seen, Settling
from aiosv3.app.demo.kills import Kill, Killer, for_naive
from aiosv3.app.demo.race import Lane, Race, Sending, Stopped
from aiosv3.app.demo.sides import ResultRecord
from aiosv3.app.demo.stack import DemoFailed, Process
from aiosv3.app.demo.topiclog import Raw
from aiosv3.app.demo.view import Scene

PROCESSES = (
    Process("kafka", 1, "running"),
    Process("router-1", 2, "running"),
    Process("model", 3, "running"),
    Process("naive-1", 4, "running"),
)


class Log:
    def __init__(self, *batches: str) -> None:
        self._batches = list(batches)

    def fresh(self, timeout_s: float) -> list[Raw]:
        return [Raw(0, 0, 5, (), name.encode()) for name in (self._batches.pop(0) if self._batches else "")]


def read(raws: Sequence[Raw]) -> list[Seen]:
    return [Seen(ResultRecord(f"r.{(raw.value or b'').decode()}", 5), "") for raw in raws]


class View:
    """Wants processes killed at the second look, if any."""

    def __init__(self, *wanted: str, stops: bool = False) -> None:
        self.scenes: list[Scene] = []
        self.open = 0
        self._wanted = wanted
        self._stops = stops

    def __enter__(self) -> View:
        self.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.open -= 1

    def show(self, scene: Scene) -> None:
        assert self.open
        self.scenes.append(scene)

    def told(self, kill: Kill) -> None:
        """It is in the scenes."""

    def victims(self, processes: Sequence[Process]) -> list[Process]:
        wanted, self._wanted = self._wanted, ()
        return [one for one in processes if one.name in wanted]

    @property
    def stopped(self) -> bool:
        return self._stops


class Field:
    """Both sides, their topics given."""

    def __init__(
        self, folder: Path, view: View, ours: Log, naive: Log | None = None, kills: Sequence[Kill] = ()
    ) -> None:
        self.sent: list[tuple[int, int]] = []
        self.done: list[list[int]] = []
        self.empty = False

        def killer(planned: Sequence[Kill]) -> Killer:
            return Killer(list(planned), lambda: PROCESSES, view.told, send=self._send)

        self.lanes = [Lane(Follower("ours", ours, read), killer(kills))]
        if naive is not None:
            settling = Settling(lambda: self.empty, quiet_s=0.0)
            self.lanes.append(Lane(Follower("naive", naive, read), killer(for_naive(kills)), settling))
        self.calls = folder / "calls.jsonl"
        self.race = Race(self.lanes, lambda: PROCESSES, self.calls, view)

    def _send(self, pid: int, number: int) -> None:
        self.sent.append((pid, number))
        self.done.append([lane.follower.done for lane in self.lanes])


@pytest.fixture
def sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sending:
    """A producer that ends at once, in peace."""
    script(tmp_path, monkeypatch, "print('r.a', 0, 0, sep='\\t')")
    monkeypatch.setattr(race, "_QUIET_S", 0.0)
    return Sending("127.0.0.1:9", "tasks", "r", tmp_path / "sub" / "acks.tsv", 2)


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = folder / "producer.py"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(produce, "__file__", str(path))


def test_it_ends_with_the_last_result_of_both(tmp_path: Path, sending: Sending) -> None:
    view = View()
    field = Field(tmp_path, view, Log("", "a", "b"), Log("", "", "a", "a", "b"))
    field.race.run(sending, 60)
    assert view.open == 0
    assert [lane.follower.done for lane in field.lanes] == [2, 2]
    assert set(field.race.took) == {"ours", "naive"}
    assert field.race.took["ours"] <= field.race.took["naive"]
    last = view.scenes[-1]
    assert field.race.last == last
    assert [(side.name, side.done, side.done_twice) for side in last.sides] == [("ours", 2, 0), ("naive", 2, 1)]
    assert sending.acknowledged() == ["r.a"]


def test_without_a_twin(tmp_path: Path, sending: Sending) -> None:
    field = Field(tmp_path, View(), Log("ab"))
    field.race.run(sending, 60)
    assert list(field.race.took) == ["ours"]


def test_a_twin_that_has_lost_a_task_is_waited_for_until_nothing_is_left(tmp_path: Path, sending: Sending) -> None:
    view = View()
    field = Field(tmp_path, view, Log("ab"), Log("a"))
    field.empty = True
    field.race.run(sending, 60)
    assert [lane.follower.done for lane in field.lanes] == [2, 1]
    assert "naive loop" in [scene.note for scene in view.scenes][-1]


def test_a_call_in_hand_is_waited_for(tmp_path: Path, sending: Sending) -> None:
    field = Field(tmp_path, View(), Log("ab"), Log("a"))
    field.empty = True
    entry = {"call": "1", "event": "began", "at": 1, "caller": "naive", "question": "q"}
    field.calls.write_text(json.dumps(entry), encoding="utf-8")
    field.race.run(sending, 0.5)
    assert "naive" not in field.race.took


def test_it_ends_at_the_deadline(tmp_path: Path, sending: Sending) -> None:
    field = Field(tmp_path, View(), Log("a"), Log("ab"))
    field.race.run(sending, 0.3)
    assert list(field.race.took) == ["naive"]


def test_kills_come_at_the_same_counts_of_each(tmp_path: Path, sending: Sending) -> None:
    field = Field(tmp_path, View(), Log("a", "b"), Log("", "", "a", "b"), [Kill("router", 1)])
    field.race.run(sending, 60)
    assert field.sent == [(2, signal.SIGKILL), (4, signal.SIGKILL)]
    assert field.done == [[1, 0], [2, 1]]
    assert [(kill.name, kill.seen) for kill in field.race.kills()] == [("router-1", 1), ("naive-1", 1)]


@pytest.mark.parametrize(
    ("name", "counts"), [("router-1", [1, 0]), ("naive-1", [0, 1]), ("kafka", [1, 1]), ("model", [1, 1])]
)
def test_what_is_killed_by_hand_counts_for_whom_it_meets(
    tmp_path: Path, sending: Sending, name: str, counts: list[int]
) -> None:
    field = Field(tmp_path, View(name), Log("", "ab"), Log("ab"))
    field.race.run(sending, 60)
    assert len(field.sent) == 1
    assert [len(lane.killer.by_hand) for lane in field.lanes] == counts
    assert [kill.name for kill in field.race.kills()] == [name]


def test_somebody_stops_it(tmp_path: Path, sending: Sending) -> None:
    view = View(stops=True)
    with pytest.raises(Stopped):
        Field(tmp_path, view, Log()).race.run(sending, 60)
    assert view.open == 0


def test_a_producer_that_fails(tmp_path: Path, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, "raise SystemExit(1)")
    with pytest.raises(DemoFailed, match="the producer ended with 1"):
        Field(tmp_path, View(), Log("ab")).race.run(sending, 60)


def test_a_producer_that_hangs_is_ended(tmp_path: Path, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, monkeypatch, "import threading; threading.Event().wait()")
    monkeypatch.setattr(race, "_PRODUCER_S", 0.1)
    with pytest.raises(DemoFailed, match="still sending at the deadline"):
        Field(tmp_path, View(), Log("ab")).race.run(sending, 60)


def test_events_are_a_stream(tmp_path: Path, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills fall into it: all at once, they would all come at the beginning."""
    script(tmp_path, monkeypatch, "import sys; print(*sys.argv[1:])")
    for count, rate in ((2, "4.0"), (400, "20.0")):
        many = Sending(sending.bootstrap, "tasks", "r", sending.acks, count, limit=count)
        with many.process() as process:
            process.wait(60)
        said = sending.acks.read_text(encoding="utf-8").split()
        assert said[said.index("--rate") + 1] == rate
        assert said[said.index("--limit") + 1] == str(count)


def test_scenes_know_the_calls(tmp_path: Path, sending: Sending) -> None:
    view: Any = View()
    field = Field(tmp_path, view, Log("", "ab"))
    entry = {"call": "1", "event": "began", "at": 1, "caller": "ours", "question": "q"}
    field.calls.write_text(json.dumps(entry), encoding="utf-8")
    field.race.run(sending, 60)
    assert view.scenes[-1].sides[0].calls.calls == 1
