"""Kills fall after results, one at a time, on processes that run."""

from __future__ import annotations

import signal

from aiosv3.app.demo.kills import Kill, Killer, for_naive, plan
from aiosv3.app.demo.stack import Process

PROCESSES: tuple[Process, ...] = (
    Process("kafka", 1, "running"),
    Process("router-1", 2, "running"),
    Process("pool-local-1", 3, "running"),
    Process("agent-licences-1", 4, "running"),
    Process("agent-licences-2", None, "backoff"),
)


class Scene:
    """What is killed, on processes that the test can change."""

    def __init__(self, *kills: Kill) -> None:
        self.processes = PROCESSES
        self.sent: list[tuple[int, int]] = []
        self.told: list[Kill] = []
        self.killer = Killer(list(kills), lambda: self.processes, self.told.append, send=self._send)

    def _send(self, pid: int, number: int) -> None:
        if pid not in {process.pid for process in self.processes}:
            raise ProcessLookupError
        self.sent.append((pid, number))


def test_a_plan_is_the_same_for_its_seed_and_in_order() -> None:
    for seed in range(50):
        kills = plan(seed, 80)
        assert kills == plan(seed, 80)
        assert [kill.kind for kill in kills] == ["agent worker", "router", "model worker"]
        assert 0 < kills[0].after < kills[1].after < kills[2].after < 80
    assert len({kills[0].after for kills in (plan(seed, 80) for seed in range(50))}) > 3


def test_nothing_before_its_moment() -> None:
    scene = Scene(Kill("agent worker", 5))
    scene.killer.due(4)
    assert scene.sent == []
    scene.killer.due(5)
    assert scene.sent == [(4, signal.SIGKILL)]
    assert scene.told == [Kill("agent worker", 5, "agent-licences-1", 4, 5)]


def test_one_kill_at_a_time_and_the_run_goes_on_in_between() -> None:
    scene = Scene(Kill("agent worker", 5), Kill("router", 6), Kill("model worker", 7))
    for seen in (40, 40, 41, 42, 42, 44, 44):
        scene.killer.due(seen)
    assert [(kill.kind, kill.seen) for kill in scene.told] == [
        ("agent worker", 40),
        ("router", 42),
        ("model worker", 44),
    ]
    assert all(kill.done for kill in scene.killer.kills)


def test_a_process_that_does_not_run_is_killed_later() -> None:
    scene = Scene(Kill("router", 1))
    scene.processes = (Process("router-1", None, "backoff"),)
    scene.killer.due(1)
    assert not scene.killer.kills[0].done
    scene.processes = PROCESSES
    scene.killer.due(3)
    assert scene.killer.kills[0].seen == 3


def test_a_process_that_is_gone_is_no_kill() -> None:
    scene = Scene(Kill("router", 1))
    killer = Killer(
        [Kill("router", 1)], lambda: (Process("router-1", 99, "running"),), scene.told.append, send=scene._send
    )
    killer.due(1)
    assert not killer.kills[0].done
    assert scene.told == []


def test_looking_back_finds_what_came_up_again() -> None:
    scene = Scene(Kill("router", 1), Kill("model worker", 99))
    scene.killer.due(1)
    scene.processes = (Process("router-1", 77, "running"),)
    router, model = scene.killer.look_back()
    assert (router.pid, router.back) == (2, 77)
    assert model == Kill("model worker", 99)


def test_the_kills_are_spread_over_the_run() -> None:
    """They bunched up once: the last one came right behind the second."""
    for seed in range(50):
        first, second, third = (kill.after for kill in plan(seed, 100))
        assert first >= 15
        assert second - first >= 10
        assert third - second >= 20


def test_the_twin_is_killed_at_the_same_counts() -> None:
    kills = plan(3, 80)
    twins = for_naive(kills)
    assert [kill.after for kill in twins] == [kill.after for kill in kills]
    assert {kill.kind for kill in twins} == {"naive loop"}


def test_a_kill_by_hand() -> None:
    scene = Scene(Kill("router", 99))
    assert scene.killer.strike(PROCESSES[0], 7)
    assert scene.sent == [(1, signal.SIGKILL)]
    assert scene.told == [Kill("kafka", 7, "kafka", 1, 7)]
    planned, by_hand = scene.killer.look_back()
    assert not planned.done
    assert by_hand.name == "kafka"


def test_by_hand_what_does_not_run_is_no_kill() -> None:
    scene = Scene()
    assert not scene.killer.strike(PROCESSES[4], 1)
    assert not scene.killer.strike(Process("router-1", 99, "running"), 1)
    assert (scene.told, scene.killer.by_hand) == ([], [])


def test_a_process_that_is_still_in_the_status_is_not_back() -> None:
    scene = Scene(Kill("router", 1))
    scene.killer.due(1)
    assert scene.killer.look_back()[0].back is None
