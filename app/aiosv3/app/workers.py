"""One foreground process each: an agent, a router, a model worker. Safe to kill -9 and to start many times."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from prometheus_client import start_http_server

from aiosv3.agents import Agent, AgentSetup, AgentTenure, Defaults, ParkingPolicy
from aiosv3.agents.worker.sealing import Seals
from aiosv3.app.cards import card_of, publish_card
from aiosv3.app.projects import agent_named, mesh_secret
from aiosv3.app.settings import AgentSettings, Settings, SettingsError
from aiosv3.app.topology import (
    agent_records,
    agent_topics,
    state_topic,
    zone_topics,
)
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import RegistryUnavailable
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.beside import Beside, Burial
from aiosv3.streams.claims import ClaimStore, open_claims
from aiosv3.streams.commit import Commit
from aiosv3.streams.effector import Effector, EffectorTenure
from aiosv3.streams.errors import BrokerUnavailable
from aiosv3.streams.kafka import (
    AuthenticationFailed,
    Connection,
    KafkaLog,
    KafkaMember,
    KafkaRefused,
    LogSettings,
    MemberSettings,
    TopicSpec,
    ensure_topics,
)
from aiosv3.streams.kafka.codes import FORBIDDEN
from aiosv3.streams.log import Committed
from aiosv3.streams.metrics import MetricsCatalogue
from aiosv3.streams.processor import OpenTenure, Processor
from aiosv3.streams.tenure import Wiring

if TYPE_CHECKING:
    from aiosv3.schemas.registry import RegistryClient

_LOG: Final = logging.getLogger(__name__)
_DRAIN_S: Final = 10.0
_FIRST_ANSWER_S: Final = 6.0
"""A broker that is not there is said within ten seconds of the command, start of the process included."""
_SETTLE_S: Final = 10.0
_COLLECT: Final = (100_000, 20, 10)
"""Net allocations before the youngest objects are looked at, and how many such rounds before older ones are.

Tasks, requests and calls that are over leave hardly a cycle behind (an exception in a ``TaskGroup`` does): what grows
is what is at work, of which nothing can be freed, some seventy objects for a waiting task. A hundred thousand objects
are some 10 MB.
"""
_T = TypeVar("_T")


def clock() -> int:
    """Wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Mesh:
    """What every worker of a process shares."""

    settings: Settings
    connection: Connection
    topics: Topics
    log: KafkaLog
    store: SchemaStore
    codec: Codec
    metrics: MetricsCatalogue
    claims: ClaimStore


def connect(settings: Settings, client: str) -> Connection:
    """How to reach the broker of these settings. Raises :class:`SettingsError` when none is named and none is up."""
    if not settings.kafka.bootstrap:
        raise SettingsError(
            "no broker: start the local stack with 'aiosv3 up', or set [kafka] bootstrap in aiosv3.toml"
        )
    security = {name: value.get_secret_value() for name, value in settings.kafka.properties.items()}
    return Connection(settings.kafka.bootstrap, client_id=client, security=security)


def open_store(settings: Settings) -> SchemaStore:
    """The schema store: the project's lock file, and the registry if one is configured."""
    return SchemaStore(settings.state_folder / "schemas.lock.json", open_registry(settings))


def open_registry(settings: Settings, timeout: float = 10.0) -> RegistryClient | None:
    """A client of the configured registry, None without one; ``timeout`` is in seconds, for each request."""
    given = settings.registry
    if not given.url:
        return None
    from aiosv3.schemas.registry import RegistryAccess, RegistryClient

    access = RegistryAccess(
        username=given.username or None,
        password=given.password.get_secret_value() or None,
        token=given.token.get_secret_value() or None,
        ca=_trusted(settings.folder / given.ca) if given.ca else None,
        timeout=timeout,
    )
    return RegistryClient(given.url, access)


def _trusted(path: Path) -> Path:
    if not path.is_file():
        raise SettingsError(f"registry.ca: there is no file {path}")
    return path


@asynccontextmanager
async def open_mesh(settings: Settings, client: str) -> AsyncIterator[Mesh]:
    """Connects; closes the log at the end.

    Raises :class:`SettingsError` and, after at most six seconds, ``BrokerUnavailable``.
    """
    connection = connect(settings, client)
    topics = Topics(settings.kafka.prefix)
    store = open_store(settings)
    claims = open_claims(settings.claims_url)
    log = KafkaLog(connection, LogSettings(fleeting=frozenset({topics.deltas()})))
    try:
        await log.start(_FIRST_ANSWER_S)
        yield Mesh(settings, connection, topics, log, store, Codec(store), MetricsCatalogue(), claims)
    finally:
        await log.close()


async def serve(mesh: Mesh, processor: Processor, beside: Sequence[Callable[[], Awaitable[None]]] = ()) -> None:
    """Runs a processor until SIGTERM or SIGINT, then drains. An unexpected error ends the process (exit code 70).

    The metrics port opens once the worker has joined its group: whoever gets an answer there knows that it is ready.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    broken: list[dict[str, Any]] = []

    def unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _LOG.critical("unexpected: %s", context.get("message"), exc_info=context.get("exception"))
        broken.append(context)
        stop.set()

    loop.set_exception_handler(unexpected)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await processor.start()
    spare_collector()  # the group is joined meanwhile
    helpers = [_helper(helper) for helper in beside]
    _open_metrics(mesh)
    await stop.wait()
    await processor.drain(0.0 if broken else _DRAIN_S)
    for helper in helpers:
        helper.cancel()
    if broken:
        raise SystemExit(70)


def spare_collector() -> None:
    """Has Python look for garbage in cycles less often, and never again in what was loaded at the start.

    A busy worker has thousands of requests at work. By default the collector walks over all that they hold again and
    again: a quarter of a router's processor time. Hardly anything here needs it; what does waits a little longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    gc.enable()


def _helper(helper: Callable[[], Awaitable[None]]) -> asyncio.Future[None]:
    """``helper`` beside the processor; an error that it did not expect is nobody's secret and ends the process."""

    def ended(future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            context = {"message": "a helper of this worker failed", "exception": error}
            future.get_loop().call_exception_handler(context)

    future = asyncio.ensure_future(helper())
    future.add_done_callback(ended)
    return future


def _open_metrics(mesh: Mesh) -> None:
    serving = mesh.settings.metrics
    if not serving.port:
        return
    try:
        start_http_server(serving.port, serving.host, mesh.metrics.registry)
    except OSError as error:
        # Work goes on: who looks at the numbers will miss them, who waits for a result will not.
        _LOG.error("no metrics: %s:%d cannot be opened: %s", serving.host, serving.port, error.strerror)


def wiring_of(mesh: Mesh, name: str, inputs: str, own: str, journal: str | None = None) -> Wiring:
    """What the tenures of the processor ``name`` share; its group is named like it, after the prefix."""
    group = f"{mesh.topics.prefix}{name}"
    member = KafkaMember(
        mesh.connection,
        group,
        inputs,
        journal,
        settings=MemberSettings(mesh.settings.kafka.session_ms, mesh.settings.kafka.instance or None),
    )
    return Wiring(group, inputs, own, journal, mesh.log, member, clock, mesh.metrics.processor(name))


async def ensure(mesh: Mesh, specs: Sequence[TopicSpec]) -> None:
    """The topics are there as they must be. Raises PartitionMismatch, KafkaRefused, BrokerUnavailable."""
    await settled(lambda: ensure_topics(mesh.connection, specs))


async def settled(ask: Callable[[], Awaitable[_T]], patience_s: float = _SETTLE_S, again_s: float = 0.1) -> _T:
    """What ``ask`` gives, asked again while no broker answers it: topics just created have no leader for a moment, and
    a cluster that has just lost a broker needs some.

    Raises the last error after ``patience_s`` seconds, and at once where a permission is missing or a password wrong.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while True:
        try:
            return await ask()
        except AuthenticationFailed:
            raise
        except (KafkaRefused, BrokerUnavailable) as error:
            if (isinstance(error, KafkaRefused) and error.code in FORBIDDEN) or loop.time() >= deadline:
                raise
            _LOG.info("asking again: %s", error)
        await asyncio.sleep(again_s)


async def register_released(mesh: Mesh, records: Mapping[str, str]) -> None:
    """Makes our own records known to the registry (topic -> record), so that every Kafka UI decodes these topics.

    Without an answer from it the released ids of the package serve: no worker of ours needs a registry to start.
    """
    released = {mesh.topics.subject(topic): mesh.store.released_schema(name) for topic, name in records.items()}
    try:
        await asyncio.gather(*(mesh.store.register(subject, schema) for subject, schema in released.items()))
    except RegistryUnavailable as error:
        _LOG.warning("going on with released schema ids: %s", error)


async def run_agent(settings: Settings, name: str) -> None:
    """The agent worker of ``name``."""
    agent = agent_named(settings, name)
    async with open_mesh(settings, f"aiosv3-agent-{name}") as mesh:
        from aiosv3.app.sealing import following, open_seals

        seals = await open_seals(mesh)
        processor = await agent_processor(mesh, agent, seals=seals)
        schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, mesh.topics, agent.state_type)
        card = card_of(agent, schemas, mesh.topics, settings.kafka.partitions, clock())
        telling = [lambda: publish_card(mesh.log, mesh.codec, mesh.topics, card)]
        await serve(mesh, processor, [*telling, *following(seals.ring)])


async def agent_processor(
    mesh: Mesh,
    agent: Agent[Any, Any],
    live_limit: int = 10_000,
    parking: ParkingPolicy | None = None,
    seals: Seals | None = None,
) -> Processor:
    """The processor of an agent, its topics and schemas ready. ``seals`` None: as the settings say."""
    from aiosv3.app.policies import default_classes
    from aiosv3.app.sealing import open_seals
    from aiosv3.app.secondlook import second_look

    settings, topics = mesh.settings, mesh.topics
    kept = [] if agent.state_type is None else [state_topic(settings, topics, agent.name)]
    asked = [spec for zone in settings.tools for spec in zone_topics(settings, topics, zone)]
    setup = agent_setup(mesh, agent)
    _, _, _, look, classes = await asyncio.gather(  # none of them needs another one's answer
        ensure(mesh, [*agent_topics(settings, topics, agent.name), *kept, *asked]),
        setup.schemas.register(mesh.store),
        register_released(mesh, agent_records(topics, agent.name)),
        second_look(settings),
        default_classes(mesh),
    )
    defaults = replace(setup.defaults, tenants=classes)
    setup = replace(
        setup, live_limit=live_limit, second_look=look, defaults=defaults, seals=seals or await open_seals(mesh)
    )
    if parking is not None:
        setup = replace(setup, parking=parking)
    name = agent.name
    wiring = wiring_of(mesh, f"agent.{name}", topics.tasks(name), topics.results(name), topics.journal(name))

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> AgentTenure:
        return AgentTenure(wiring, partition, committed, start, setup=setup)

    return Processor(wiring, open_tenure)


def agent_setup(mesh: Mesh, agent: Agent[Any, Any]) -> AgentSetup:
    """What all partitions of an agent share, by these settings; its schemas are not registered."""
    settings, topics = mesh.settings, mesh.topics
    return AgentSetup(
        agent=agent,
        schemas=AgentSchemas(agent.name, agent.input_type, agent.output_type, topics, agent.state_type),
        codec=mesh.codec,
        store=mesh.store,
        topics=topics,
        secret=mesh_secret(settings),
        defaults=Defaults(settings.mesh.tenant, settings.mesh.clearance),
        parking=ParkingPolicy(after=settings.agent.get(agent.name, AgentSettings()).park_after),
        claims=mesh.claims,
        zones={name: zone.clearance for name, zone in settings.tools.items()},
        approvals=settings.kafka.partitions,
        deltas=settings.kafka.partitions,
    )


def effectors(
    wiring: Wiring,
    effector: Effector,
    limit: int,
    dead_letters: str,
    beside: Beside | None = None,
    burial: Burial | None = None,
) -> OpenTenure:
    """Opens tenures of ``effector``, each with at most ``limit`` requests in work."""

    def open_tenure(partition: int, committed: Committed | None, start: Commit) -> EffectorTenure:
        return EffectorTenure(
            wiring,
            partition,
            committed,
            start,
            effector=effector,
            limit=limit,
            dead_letters=dead_letters,
            beside=beside,
            burial=burial,
        )

    return open_tenure
