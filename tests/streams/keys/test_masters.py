from __future__ import annotations

import base64

import pytest

from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.sealing import NoKey
from aiosv3.streams.keys import BadMasterKeys, MasterKeys, new_master_keys
from aiosv3.streams.keys.masters import name_of


async def test_a_wrapped_key_opens_with_its_master_in_its_place() -> None:
    keys = MasterKeys.parse(new_master_keys())
    master, wrapped = await keys.wrap(Clearance.CONFIDENTIAL, b"k" * 32, b"here")
    assert master == keys.names[Clearance.CONFIDENTIAL][0]
    assert await keys.unwrap(Clearance.CONFIDENTIAL, master, wrapped, b"here") == b"k" * 32
    with pytest.raises(NoKey, match="was changed"):
        await keys.unwrap(Clearance.CONFIDENTIAL, master, wrapped, b"there")
    with pytest.raises(NoKey, match="add the older one"):
        await keys.unwrap(Clearance.RESTRICTED, master, wrapped, b"here")


async def test_a_process_has_the_classes_that_it_is_cleared_for() -> None:
    text = new_master_keys()
    keys = MasterKeys.parse(text, Clearance.INTERNAL)
    assert [keys.may(clearance) for clearance in Clearance] == [True, True, False, False]
    assert list(keys.names) == [Clearance.PUBLIC, Clearance.INTERNAL]
    with pytest.raises(NoKey, match="not cleared"):
        await keys.wrap(Clearance.CONFIDENTIAL, b"k" * 32, b"")
    held = repr(vars(keys))
    for line in text.splitlines()[2:]:
        secret = base64.b64decode(line.split('"')[1])
        assert repr(secret) not in held, "a key above its clearance is not even in memory"


async def test_an_older_master_key_still_opens() -> None:
    old, new = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    before = MasterKeys.parse(f'public = "{old}"')
    master, wrapped = await before.wrap(Clearance.PUBLIC, b"k" * 32, b"")
    after = MasterKeys.parse(f'public = ["{new}", "{old}"]')
    assert await after.unwrap(Clearance.PUBLIC, master, wrapped, b"") == b"k" * 32
    assert (await after.wrap(Clearance.PUBLIC, b"k" * 32, b""))[0] == name_of(bytes([2]) * 32)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no toml", "not TOML"),
        ('secret = "x"', "'secret' is no clearance"),
        ('public = "abc"', "public master key is not 32 bytes"),
        ("public = 7", "public master key is not 32 bytes"),
        ('public = ["c2hvcnQ="]', "public master key is not 32 bytes"),
    ],
)
def test_what_is_no_master_key(text: str, said: str) -> None:
    with pytest.raises(BadMasterKeys, match=said):
        MasterKeys.parse(text)


def test_a_name_says_nothing_of_its_key_and_neither_does_repr() -> None:
    keys = MasterKeys.parse(new_master_keys([Clearance.PUBLIC]))
    assert repr(keys) == "MasterKeys(public)"
    assert name_of(b"a" * 32) != name_of(b"b" * 32)
