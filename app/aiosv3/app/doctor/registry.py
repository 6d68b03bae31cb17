"""The schema registry: reachable, guarding compatibility, and knowing our released schemas under our ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.topology import mesh_topics
from aiosv3.app.workers import open_registry
from aiosv3.schemas.errors import UnknownSchema
from aiosv3.schemas.fingerprints import fingerprint
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.released import Release, load_lock

NAME = "registry"


async def check(case: Case) -> Sequence[Finding]:
    """Three questions to it."""
    url = case.settings.registry.url
    client = open_registry(case.settings, case.patience)
    if client is None:
        return [Finding.ok(NAME, "none is configured: ids come from the package and the project's schemas.lock.json")]
    async with client:
        level = await client.compatibility()  # raises where it does not answer
        releases = load_lock()
        stands = list(zip(releases, await asyncio.gather(*(_stands(client, one) for one in releases)), strict=True))
        unknown = [release.name for release, known in stands if known is None]
        absent = await _unregistered(case, client, unknown)
    return [judged_level(url, level or ""), judged_ids(url, stands, absent)]


async def _stands(client: RegistryClient, release: Release) -> bool | None:
    """Whether the registry has this schema under its id; None: nothing has that id."""
    try:
        return fingerprint(await client.schema(release.id)) == fingerprint(release.schema)
    except UnknownSchema:
        return None


async def _unregistered(case: Case, client: RegistryClient, names: Sequence[str]) -> list[str]:
    """Subjects of the mesh whose record is under no id at all. Another registry gives ids of its own, which is fine."""
    newest = {release.name: release.schema for release in load_lock()}
    wanted = {topic: name for topic, name in mesh_topics(case.topics).items() if name in names}
    found = await asyncio.gather(
        *(client.lookup(case.topics.subject(topic), newest[name]) for topic, name in wanted.items())
    )
    return [topic for topic, registered in zip(wanted, found, strict=True) if registered is None]


def judged_level(url: str, level: str) -> Finding:
    """Without a rule, any producer can register what no worker can read."""
    if level.upper() == "NONE":
        action = f'PUT {url}/config {{"compatibility": "BACKWARD_TRANSITIVE"}}'
        return Finding.warning(NAME, f"{url} answers, but checks no compatibility (NONE)", action)
    return Finding.ok(NAME, f"{url} answers, compatibility {level}")


def judged_ids(url: str, stands: Sequence[tuple[Release, bool | None]], absent: Sequence[str]) -> Finding:
    """What the ids on our records mean to whoever asks this registry."""
    taken = sorted(release.id for release, known in stands if known is False)
    if taken:
        message = f"{url} has other schemas under ids {', '.join(map(str, taken))}: it shows our records as nonsense"
        return Finding.failed(NAME, message, "use a registry, or a context of it, in which these ids are free")
    if absent:
        message = f"it does not know the records of {', '.join(absent)} yet: other tools show bytes"
        return Finding.warning(NAME, message, "start the workers: they register what they write")
    known = sum(bool(known) for _, known in stands)
    rest = "" if known == len(stands) else ", what is in use of the rest under ids of its own"
    return Finding.ok(NAME, f"it knows {known} of our {len(stands)} released schemas by their ids{rest}")
