from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind
from aiosv3.schemas.sealing import BadSeal, DataKey, KeyShredded, NoKey, open_sealed, seal
from aiosv3.streams.errors import KeysUnavailable
from aiosv3.streams.keys import KeyRing, KeyStore, MasterKeys, Owner, UnresolvedKey
from aiosv3.streams.keys.ring import StartedBefore, settled

Masters = Callable[[Clearance], MasterKeys]
Another = Callable[[], KeyStore]
OWNER = Owner("t", "s", Clearance.CONFIDENTIAL)


@pytest.fixture
def ring(another: Another, masters: Masters) -> Callable[..., KeyRing]:
    return lambda up_to=Clearance.RESTRICTED: KeyRing(another(), masters(up_to), lambda: 7)


async def test_two_that_make_a_key_at_once_use_the_same_one(ring: Callable[..., KeyRing]) -> None:
    rings = [ring() for _ in range(4)]
    keys = await asyncio.gather(*(one.obtain(OWNER) for one in rings))
    assert len(set(keys)) == 1
    made = await rings[0].keys()
    for record in made:  # those that came second open too: somebody may have sealed with one
        await rings[1].resolve([record.key_id])
        key = rings[1].get(record.key_id)
        assert open_sealed(key, "a", "1", seal(key, "a", "1", b"x")) == b"x"


async def test_each_owner_has_a_key_of_its_own(ring: Callable[..., KeyRing]) -> None:
    one = ring()
    owners = [OWNER, OWNER._replace(subject=None), OWNER._replace(tenant="u"), Owner("t", "s", Clearance.RESTRICTED)]
    assert len({(await one.obtain(owner)).id for owner in owners}) == 4


async def test_what_one_seals_another_opens_if_it_is_cleared(ring: Callable[..., KeyRing]) -> None:
    key = await ring().obtain(OWNER)
    body = seal(key, "answer", "t/1", b"secret")
    assert await ring().opened("answer", "t/1", body) == b"secret"
    assert await ring(Clearance.CONFIDENTIAL).opened("answer", "t/1", body) == b"secret"
    with pytest.raises(NoKey, match="confidential, and this process has no master key"):
        await ring(Clearance.INTERNAL).opened("answer", "t/1", body)
    with pytest.raises(BadSeal):
        await ring().opened("answer", "t/2", body)
    with pytest.raises(NoKey, match="no master key"):
        await ring(Clearance.INTERNAL).obtain(OWNER)


async def test_a_key_that_nobody_has_is_asked_for_once(ring: Callable[..., KeyRing]) -> None:
    one = ring()
    body = seal(DataKey.new("t"), "answer", "t/1", b"secret")
    with pytest.raises(UnresolvedKey) as unresolved:
        one.open("answer", "t/1", body)
    await unresolved.value.resolved()
    with pytest.raises(NoKey, match="sealed by another mesh"):
        one.open("answer", "t/1", body)


async def test_shredding_reaches_every_process_and_nothing_comes_back(ring: Callable[..., KeyRing]) -> None:
    one, other = ring(), ring()
    key = await one.obtain(OWNER)
    kept = await one.obtain(OWNER._replace(subject=None))
    body = seal(key, "answer", "t/1", b"secret")
    assert await other.opened("answer", "t/1", body) == b"secret"
    assert await one.shred("t", "s") == [key.id]
    await other.refresh()
    for each in (one, other, ring()):
        with pytest.raises(KeyShredded, match="by nobody"):
            await each.opened("answer", "t/1", body)
    later = await other.obtain(OWNER)
    assert later.id != key.id
    assert (await one.obtain(OWNER._replace(subject=None))).id == kept.id
    assert await one.shred("t", "s") == [later.id]
    assert await one.shred("t", "s") == []


async def test_what_was_started_before_a_shredding_gets_no_key(another: Another, masters: Masters) -> None:
    """Also where there was no key, and where that was said before."""
    clock = [100]
    one = KeyRing(another(), masters(Clearance.RESTRICTED), lambda: clock[0])
    heard: list[tuple[str, str | None]] = []
    one.heard.append(lambda tenant, subject, _at: heard.append((tenant, subject)))
    for _ in range(2):
        assert await one.shred("t", "s") == []
    assert set(heard) == {("t", "s")}
    (bound,) = await one.keys()
    assert (bound.kind, bound.wrapped) == (KeyKind.SHREDDED, None)
    at = bound.updated

    async def asked(started: int | None, subject: str = "s") -> int:
        keys = await settled(lambda: one.content_keys(Clearance.PUBLIC, "t", subject, Clearance.CONFIDENTIAL, started))
        return len(keys.keys)

    for started in (at - 1, at):
        with pytest.raises(StartedBefore, match="what is started now is new"):
            await asked(started)
    assert len(await one.keys()) == 1, "none was made for it"
    assert [await asked(at + 1), await asked(None), await asked(at, "another")] == [2, 2, 2]
    with pytest.raises(StartedBefore):
        await asked(at)
    clock[0] += 10_000
    assert len(await one.shred("t", "s")) == 2
    last = max(key.updated for key in await one.keys() if key.kind is KeyKind.SHREDDED)
    with pytest.raises(StartedBefore):
        await asked(last)
    assert await asked(last + 1) == 2


async def test_a_late_copy_of_a_shredded_key_is_shredded_again(another: Another, ring: Callable[..., KeyRing]) -> None:
    """Compaction would keep the copy, which is the last record of its id."""
    one, store = ring(), another()
    key = await one.obtain(OWNER)
    (record,) = await store.news()
    await one.shred("t", "s")
    await store.append([record])
    await one.refresh()
    with pytest.raises(KeyShredded):
        one.get(key.id)
    written = await another().news()
    assert [each.kind for each in written if each.key_id == key.id][-1] is KeyKind.SHREDDED
    await one.refresh()
    assert len(await another().news()) == len(written), "once is enough"


async def test_a_retired_key_opens_and_seals_no_more(ring: Callable[..., KeyRing]) -> None:
    one, other = ring(), ring()
    key = await one.obtain(OWNER)
    body = seal(key, "answer", "t/1", b"secret")
    assert await other.retire("t", "s") == [key.id]
    await one.refresh()
    assert (await one.obtain(OWNER)).id != key.id
    assert await ring().opened("answer", "t/1", body) == b"secret"
    assert len(await one.shred("t", "s")) == 2, "a retired key is shredded with the others"


async def test_a_task_gets_the_keys_of_every_class_that_it_may_rise_to(ring: Callable[..., KeyRing]) -> None:
    one = ring()
    with pytest.raises(UnresolvedKey) as unresolved:
        one.content_keys(Clearance.CONFIDENTIAL, "t", None, Clearance.PUBLIC)
    await unresolved.value.resolved()
    keys = one.content_keys(Clearance.CONFIDENTIAL, "t", None, Clearance.PUBLIC)
    assert sorted(keys.keys) == [Clearance.CONFIDENTIAL, Clearance.RESTRICTED]
    assert len(await one.keys()) == 2
    assert sorted(one.content_keys(Clearance.PUBLIC, "t", None, Clearance.RESTRICTED).keys) == [Clearance.RESTRICTED]


async def test_following_hears_of_a_shredded_key(ring: Callable[..., KeyRing]) -> None:
    one, other = ring(), ring()
    key = await one.obtain(OWNER)
    following = asyncio.create_task(one.follow(every=0.001))
    await other.shred("t", "s")
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0)
            try:
                one.get(key.id)
            except KeyShredded:
                break
    following.cancel()


@dataclass
class Service:
    """A key management service: keys never leave it, each use is a call, and it may be away."""

    masters: MasterKeys
    calls: list[str] = field(default_factory=list)
    away: bool = False

    def may(self, clearance: Clearance) -> bool:
        return self.masters.may(clearance)

    async def wrap(self, clearance: Clearance, secret: bytes, context: bytes) -> tuple[str, bytes]:
        self._called("wrap")
        _, wrapped = await self.masters.wrap(clearance, secret, context)
        return f"kms/{clearance.label}", wrapped

    async def unwrap(self, clearance: Clearance, master: str, wrapped: bytes, context: bytes) -> bytes:
        self._called("unwrap")
        assert master == f"kms/{clearance.label}"
        return await self.masters.unwrap(clearance, self.masters.names[clearance][0], wrapped, context)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.away:
            raise KeysUnavailable("the service does not answer")


async def test_a_key_management_service_wraps_and_is_asked_once_a_key(another: Another, masters: Masters) -> None:
    service = Service(masters(Clearance.RESTRICTED))
    ring = KeyRing(another(), service)
    key = await ring.obtain(OWNER)
    body = seal(key, "answer", "t/1", b"secret")
    for _ in range(3):
        assert await ring.opened("answer", "t/1", body) == b"secret"
    assert service.calls == ["wrap", "unwrap"]
    elsewhere = KeyRing(another(), service)
    service.away = True
    with pytest.raises(KeysUnavailable):
        await elsewhere.opened("answer", "t/1", body)
    service.away = False
    assert await elsewhere.opened("answer", "t/1", body) == b"secret"
    assert await ring.opened("answer", "t/1", body) == b"secret"


async def test_a_record_that_was_changed_does_not_unwrap(another: Another, ring: Callable[..., KeyRing]) -> None:
    """Class, tenant and subject are bound to the wrapped key: nobody lowers a class by writing another word."""
    from dataclasses import replace

    key = await ring().obtain(OWNER)
    store = another()
    (record,) = await store.news()
    forged = replace(record, key_id="f" * 32, clearance="public")
    await store.append([forged])
    one = ring()
    await one.resolve([forged.key_id, key.id])
    with pytest.raises(NoKey):
        one.get(forged.key_id)
    assert one.get(key.id) == key
