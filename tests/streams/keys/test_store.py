"""What all key stores promise (``streams.keys.store``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aiosv3.schemas.keys import KeyKind, KeyRecord
from aiosv3.streams.keys import KeyStore

ONE = KeyRecord("1" * 32, KeyKind.DATA, "t", "s", "public", 1, "m", b"\0wrapped\xff")
TWO = KeyRecord("2" * 32, KeyKind.DATA, "t", None, "restricted", 2, "m", b"two")


async def test_all_see_the_same_order_once(another: Callable[[], KeyStore]) -> None:
    first, second = another(), another()
    assert list(await first.news()) == []
    await first.append([ONE, TWO])
    await second.append([replace(ONE, key_id="3" * 32)])
    assert list(await first.news()) == list(await second.news()) == [ONE, TWO, replace(ONE, key_id="3" * 32)]
    assert list(await first.news()) == []
    await first.append([])
    await first.append([replace(TWO, key_id="4" * 32)])
    assert [key.key_id[0] for key in await second.news()] == ["4"]


async def test_what_ends_a_key_is_news_to_everybody(another: Callable[[], KeyStore]) -> None:
    first, second = another(), another()
    await first.append([ONE, TWO])
    await second.news()
    gone = replace(ONE, kind=KeyKind.SHREDDED, master=None, wrapped=None)
    await first.append([gone])
    heard = {key.key_id: key for key in await second.news()}[ONE.key_id]
    assert replace(heard, updated=gone.updated) == gone, "when it was shredded may be told by the store's own clock"
    assert {key.key_id: key for key in await another().news()} == {ONE.key_id: heard, TWO.key_id: TWO}
