"""The faults, by name. Each is a function of a stage; whatever it decides, its seed decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.brokers import Relayed, SmallDisk, Three
from tests.chaos.clock import step_clock, wind_clock
from tests.chaos.outages import Registry, prepare_registry
from tests.chaos.peers import faust
from tests.chaos.poison import poison
from tests.chaos.stage import SESSION_S, Plan, Report, Stage
from tests.chaos.storm import storm

_PAUSE_S: Final = (SESSION_S * 1.3, SESSION_S * 2)
_SLOW_S: Final = 15.0


@dataclass(frozen=True)
class Scenario:
    """``strike`` does damage until ``stage.on()`` says no more."""

    name: str
    words: str
    strike: Callable[[Stage], None]
    plan: Plan = field(default_factory=Plan)
    seconds: float = 20.0
    peer: Callable[[int, Path], Report] | None = None
    """Somebody else's runtime instead."""


def _kill_once(stage: Stage) -> None:
    names = stage.workers.some(stage.rng, 2)
    stage.workers.kill(*names)
    stage.idle(0.0, 1.0)
    stage.workers.restart(*names)


def _kill(stage: Stage) -> None:
    while stage.on():
        stage.idle(1.0, 3.0)
        _kill_once(stage)


def _pause_once(stage: Stage) -> None:
    names = stage.workers.some(stage.rng, 2)
    stage.workers.pause(*names)
    stage.idle(*_PAUSE_S)
    stage.workers.resume(*names)


def _zombie(stage: Stage) -> None:
    while stage.on():
        stage.idle(0.5, 2.0)
        _pause_once(stage)


def _broker_once(stage: Stage) -> None:
    assert stage.brokers is not None
    server = stage.rng.choice(stage.brokers.servers)
    how = stage.rng.choice(("kill -9", "kill -9", "restart", "pause"))
    stage.fault(f"{how} of the broker in {server.folder.name}")
    if how == "pause":
        stage.freeze(server, stage.rng.uniform(2.0, SESSION_S * 1.5))
    else:
        server.kill9() if how == "kill -9" else server.stop()
        stage.idle(0.0, 4.0)
        server.start(180.0)


def _broker(stage: Stage) -> None:
    while stage.on():
        stage.idle(1.0, 4.0)
        _broker_once(stage)


def _network(stage: Stage) -> None:
    assert isinstance(stage.brokers, Relayed)
    relay, rng = stage.brokers.relay, stage.rng
    kinds: list[tuple[str, Callable[[], None]]] = [
        ("latency", lambda: relay.change(latency=rng.uniform(0.02, 0.4))),
        ("cut", relay.cut),
        ("refused", lambda: relay.change_and_cut(refused=True)),
        ("half-open", lambda: relay.change(silent=True)),
        ("half-open, then cut", lambda: relay.change(silent=True)),
        ("narrow", lambda: relay.change(rate=rng.randint(8_000, 60_000))),
        ("slow close", lambda: relay.change_and_cut(slow_close=5.0)),
    ]
    while stage.on():
        for name, fault in rng.sample(kinds, len(kinds)):
            if not stage.on():
                break
            stage.fault(name)
            fault()
            stage.idle(1.0, SESSION_S * 1.5)
            if name.endswith("then cut"):
                relay.cut()
            relay.heal()
            stage.idle(0.5, 3.0)


def _endpoint(stage: Stage) -> None:
    from tests.chaos.endpoint import FAULTS

    rng = stage.rng
    while stage.on():
        fault = rng.choice(FAULTS)
        share = rng.uniform(0.2, 0.8)
        stage.fault(f"endpoint: {fault} for {share:.0%} of the calls")
        stage.outside.choose = lambda _key, fault=fault, share=share: fault if rng.random() < share else None  # type: ignore[misc]
        stage.idle(2.0, 5.0)
        stage.outside.choose = lambda _key: None
        if rng.random() < 0.3:
            stage.fault("endpoint down")
            stage.outside.down = True
            stage.idle(1.0, 4.0)
            stage.outside.down = False
        stage.idle(0.5, 2.0)


def _registry(stage: Stage) -> None:
    """It is not there at the start, comes, and goes again while workers are killed."""
    registry: Registry = stage.kept["registry"]
    while stage.on():
        stage.idle(1.0, 3.0)
        stage.fault("registry killed")
        registry.kill()
        stage.idle(0.0, 2.0)
        _kill_once(stage)
        stage.idle(0.0, 2.0)
        registry.start()
        stage.idle(1.0, 3.0)
        _kill_once(stage)


def _disk(stage: Stage) -> None:
    """The broker's disk is full; later there is room again, and it is started again."""
    assert isinstance(stage.brokers, SmallDisk)
    while stage.on():
        stage.idle(1.0, 4.0)
        took = stage.brokers.fill()
        stage.fault(f"disk full after {took} bytes")
        stage.idle(4.0, 12.0)
        stage.brokers.heal()


def _mixed(stage: Stage) -> None:
    """Everything at once: whoever is left over from one fault meets the next."""
    assert isinstance(stage.brokers, Relayed)
    while stage.on():
        stage.idle(0.5, 2.0)
        stage.rng.choice((_kill_once, _kill_once, _pause_once, _broker_once, _cut_once))(stage)


def _cut_once(stage: Stage) -> None:
    assert isinstance(stage.brokers, Relayed)
    stage.fault("cut, then half-open")
    stage.brokers.relay.cut()
    stage.brokers.relay.change(silent=True)
    stage.idle(0.5, SESSION_S)
    stage.brokers.relay.heal()


def _slow(stage: Stage) -> None:
    storm(stage, _SLOW_S)


SCENARIOS: Final[dict[str, Scenario]] = {
    one.name: one
    for one in (
        Scenario("kill", "kill -9 of one or two random workers, again and again", _kill),
        Scenario("zombie", "SIGSTOP for longer than the session, then SIGCONT", _zombie, seconds=30),
        Scenario("storm", "members join and leave every two seconds, while calls of 15 s are in flight", _slow),
        Scenario("broker", "kill -9, restart and SIGSTOP of the only broker", _broker, seconds=30),
        Scenario("cluster", "the same with one of three, of which two must have a record", _broker, Plan(Three), 30),
        Scenario(
            "network", "latency, cuts, half-open and slow connections, through a relay", _network, Plan(Relayed), 40
        ),
        Scenario("registry", "no registry at the start, and none later", _registry, Plan(prepare=prepare_registry)),
        Scenario(
            "endpoint",
            "429, 500, 503, 529, cut streams, silence, no connection",
            _endpoint,
            Plan(timeout=4.0),
        ),
        Scenario("disk", "the broker's disk is full", _disk, Plan(SmallDisk), 30),
        Scenario("poison", "garbage as the first, a middle and the last record of every topic", poison),
        Scenario("clock", "the workers' wall clocks jump", step_clock, Plan(prepare=wind_clock)),
        Scenario("faust", "the same checker on Faust, which must be found to lose tasks", _kill, peer=faust),
        Scenario("mixed", "several of them at once", _mixed, Plan(Relayed), 40),
    )
}
