"""Digests: equal memories are equal numbers, in every view."""

from __future__ import annotations

from dataclasses import replace

from aiosv3.memory.views import Digest, Entry
from aiosv3.memory.views.digests import digest_of, digest_over, share

ENTRY = Entry("a", 1, "acme", "tenant", "fact", "tea", 0, 0, "hash")


def test_what_a_share_is_made_of() -> None:
    assert share(ENTRY) == share(replace(ENTRY, text="coffee", scope="agent:ada"))
    changed = [replace(ENTRY, id="b"), replace(ENTRY, version=2), replace(ENTRY, content_hash="other")]
    assert len({share(ENTRY), *map(share, changed)}) == 4
    assert share(replace(ENTRY, id="a:1", version=2)) != share(replace(ENTRY, id="a", version=12))


def test_a_digest_counts_and_knows_no_order() -> None:
    shares = [share(ENTRY), share(replace(ENTRY, id="b"))]
    assert digest_over(shares) == digest_over(reversed(shares)) == digest_of(2, shares[0] ^ shares[1])
    assert digest_over([]) == Digest(0, "0" * 32)
