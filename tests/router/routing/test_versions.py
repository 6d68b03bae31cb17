from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.router.pools import Pool
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.file import RoutingFile, parse_routing, version_of
from aiosv3.router.routing.versions import policy_of, pools_of, pools_version, routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.policies import PolicyKind, PolicyVersion
from aiosv3.schemas.store import SchemaStore

FILE = parse_routing("rules: [{name: r, not_pools: cloud}]")[0]
POOL = Pool("p", "vllm", "m", Clearance.INTERNAL, region="eu", data_terms=frozenset({"no_training"}))


def test_a_policy_survives_the_wire() -> None:
    codec = Codec(SchemaStore())
    version = routing_version(FILE, 7, "ada")
    read = codec.decode_as(PolicyVersion, codec.encode(version))
    assert read == version
    policy = policy_of(read)
    assert (policy.version, policy.rules[0].name) == (version.version, "r")
    assert version.key == f"routing/{version.version}"


def test_pools_survive_too_without_their_prices() -> None:
    version = pools_version([POOL], 7)
    assert pools_of(version) == (POOL,)
    assert version.key == f"pools/{version.version}"
    guessed = replace(POOL, priced=False)
    assert pools_of(pools_version([guessed], 7)) == (guessed,)
    assert "priced" not in version.content, "tables that were recorded before keep their versions"


def renamed(content: str, kind: PolicyKind = PolicyKind.ROUTING) -> PolicyVersion:
    return PolicyVersion(kind, version_of(content), content, 0)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (replace(routing_version(FILE, 0), content="{}"), "content was changed"),
        (renamed("{"), "not JSON"),
        (renamed('{"later": 1}'), "later"),
        (renamed('"text"'), "Input should be"),
        (renamed("[]", PolicyKind.POOLS), "is of POOLS"),
    ],
)
def test_what_is_no_policy(version: PolicyVersion, said: str) -> None:
    with pytest.raises(UnusableVersion, match=said):
        policy_of(version)


@pytest.mark.parametrize("content", ['[{"name": "x"}]', "[1]", '{"a": 1}', "7"])
def test_what_is_no_table_of_pools(content: str) -> None:
    with pytest.raises(UnusableVersion):
        pools_of(renamed(content, PolicyKind.POOLS))


def test_an_older_text_keeps_its_name() -> None:
    """The format grows by keys with defaults: what is on the log must stay in force after an upgrade."""
    older = renamed('{"rules":[{"name":"r"}]}')
    assert policy_of(older).version == older.version != version_of(RoutingFile().canonical())
