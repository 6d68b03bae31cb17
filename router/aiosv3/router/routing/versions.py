"""Versions of what is decided by: a routing file or a table of pools as a record of ``policies``, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from aiosv3.router.pools import Pool
from aiosv3.router.routing.compiling import compiled
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.file import RoutingFile, version_of
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.policies import PolicyKind, PolicyVersion


def routing_version(file: RoutingFile, now: int, by: str = "") -> PolicyVersion:
    """A routing file as a record; ``now`` is in milliseconds since the epoch."""
    content = file.canonical()
    return PolicyVersion(PolicyKind.ROUTING, version_of(content), content, now, by)


def pools_version(pools: Sequence[Pool], now: int, by: str = "") -> PolicyVersion:
    """A table of pools as a record. Prices are not in it: a decision holds what each pool would have cost."""
    content = json.dumps([_row(pool) for pool in pools], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return PolicyVersion(PolicyKind.POOLS, version_of(content), content, now, by)


def _row(pool: Pool) -> dict[str, object]:
    return {
        "name": pool.name,
        "kind": pool.kind,
        "model": pool.model,
        "clearance": pool.clearance.label,
        "context_window": pool.context_window,
        "quality": pool.quality,
        "capabilities": sorted(pool.capabilities),
        "region": pool.region,
        "data_terms": sorted(pool.data_terms),
        **({} if pool.priced else {"priced": False}),
    }


def policy_of(version: PolicyVersion) -> RoutingPolicy:
    """The policy of a record. Raises :class:`UnusableVersion`: it is not what it says it is, or of a later release.

    It keeps the record's name: the file format may have grown since, and what it does not say has its default.
    """
    try:
        policy = compiled(RoutingFile.model_validate(_checked(version, PolicyKind.ROUTING)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableVersion(f"routing policy {version.version}: {where}: {first['msg']}") from None
    return replace(policy, version=version.version)


def pools_of(version: PolicyVersion) -> tuple[Pool, ...]:
    """The pools of a record, without prices. Raises :class:`UnusableVersion`."""
    rows: Any = _checked(version, PolicyKind.POOLS)
    try:
        return tuple(
            Pool(
                name=row["name"],
                kind=row["kind"],
                model=row["model"],
                clearance=Clearance.parse(row["clearance"]),
                context_window=row["context_window"],
                quality=row["quality"],
                capabilities=frozenset(row["capabilities"]),
                region=row["region"],
                data_terms=frozenset(row["data_terms"]),
                priced=row.get("priced", True),
            )
            for row in rows
        )
    except (LookupError, TypeError, ValueError) as error:
        raise UnusableVersion(f"table of pools {version.version}: {type(error).__name__}: {error}") from None


def _checked(version: PolicyVersion, kind: PolicyKind) -> object:
    if version.kind is not kind:
        raise UnusableVersion(f"version {version.version} is of {version.kind}, not of {kind}")
    if version_of(version.content) != version.version:
        raise UnusableVersion(f"version {version.version} is not what its name says: its content was changed")
    try:
        return json.loads(version.content)
    except (ValueError, RecursionError) as error:
        raise UnusableVersion(f"version {version.version} is not JSON: {error}") from None
