"""Texts and vectors on the log: plain, or sealed together and gone with their key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aiosv3.memory.contents import PlainContents, Said, SealedContents, packed, unpacked, vector_bytes, vector_of
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.keys import KeyKind
from aiosv3.schemas.memory import SEALED_QUERY
from aiosv3.schemas.sealing import ANSWER, KeyedHashes, KeyShredded, NoKey, open_sealed, seal
from aiosv3.streams.keys import FileKeys, KeyRing, MasterKeys, Owner, new_master_keys
from aiosv3.streams.keys.answers import HIDDEN

if TYPE_CHECKING:
    from tests.memory.conftest import HashEmbedder, Stage, Words

MASTERS = new_master_keys()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(FileKeys(tmp_path / "data.keys"), MasterKeys.parse(MASTERS))


@pytest.fixture
def sealed(ring: KeyRing, words: type[Words]) -> SealedContents:
    return SealedContents(ring, KeyedHashes(words.secret), Clearance.INTERNAL)


def test_text_and_vector_are_one_body() -> None:
    vector = np.array([0.5, -1.0, 3.25], dtype=np.float32)
    text, again = unpacked(packed(Said("grüße \U0001f600", vector)))
    assert text == "grüße \U0001f600"
    assert again is not None
    assert again.tolist() == vector.tolist()
    assert unpacked(packed(Said("", None))) == ("", None)
    assert vector_bytes(None) is None
    assert vector_of(None) is None


@pytest.mark.parametrize("body", [b"", b"\1\0", b"\xff\0\0\0text", b"\1\0\0\0abc"])
def test_what_is_no_body_is_said(body: bytes) -> None:
    with pytest.raises(MalformedValue):
        unpacked(body)


async def test_a_worker_without_keys_reads_nothing_sealed(words: type[Words]) -> None:
    query = replace(words.remember("x"), content=b"\1sealed")
    with pytest.raises(NoKey, match="no keys"):
        await PlainContents().text(query)
    assert await PlainContents().shred("acme", "s") == ()


async def test_what_is_remembered_is_sealed_and_gone_with_its_key(
    stage: Stage, words: type[Words], sealed: SealedContents, embedder: HashEmbedder
) -> None:
    async with stage.memory(embedder=embedder, contents=sealed) as memory:
        await stage.ask(words.remember("ada has debts", "ada"))
        await stage.ask(words.remember("bob has none", "bob"))
        await stage.ask(words.remember("rain on sunday"), clearance=Clearance.PUBLIC)
        found = await stage.ask(words.recall("debts none rain", k=5, positions=stage.known()))
        assert len(found["memories"]) == 3
        vector = embedder._vector("ada has debts")
        assert all(entry.vector is not None for entry in memory.view.entries.values())
        await words.until(lambda: b"rain on sunday" in stage.everything())
        assert sorted(type(event.content).__name__ for _, event in stage.events()) == ["bytes", "bytes", "str"]
        log = b"".join(record.value or b"" for record, _ in stage.events())
        assert b"debts" not in log
        assert vector.astype("<f4").tobytes() not in log
        answer = await stage.ask(words.forget("ada"))
        assert len(answer["receipt"]["shredded"]) == 1
        event = next(event for _, event in stage.events() if event.subject == words.about("ada"))
        with pytest.raises(KeyShredded):
            await sealed.read(event)
        await stage.ask(words.remember("ada is back", "ada"), sent=words.now + 1)
    async with stage.memory("again", contents=sealed) as memory:
        await words.until(lambda: len(memory.view.entries) == 3)
        texts = sorted(entry.text for entry in memory.view.entries.values())
        assert texts == ["ada is back", "bob has none", "rain on sunday"]


async def test_what_comes_too_late_is_not_sealed_anew(
    stage: Stage, words: type[Words], sealed: SealedContents, ring: KeyRing, embedder: HashEmbedder
) -> None:
    """Asked for before the forgetting and done after it, and its copy: under a new key it could be read for ever."""
    embedder.gate = asyncio.Event()
    async with stage.memory(embedder=embedder, contents=sealed) as memory:
        late = words.remember("ada has debts", "ada")
        first = stage.send(late, request_id="late")
        await words.until(lambda: len(embedder.calls) == 1)
        await stage.ask(words.forget("ada"))
        embedder.gate.set()
        said = await stage.answer(first)
        assert said.error is not None
        assert said.error.type == "MemoryRefused"
        assert "forgotten" in said.error.message
        await stage.ask(replace(late, task_id="copy"), sent=words.now - 1)
        about = [event for _, event in stage.events() if event.subject == words.about("ada")]
        assert [event.content for event in about] == [None, None, None]
        assert memory.view.entries == {}
        assert [key for key in await ring.keys() if key.kind is KeyKind.DATA] == []
        await stage.ask(words.remember("ada is back", "ada"), sent=words.now + 1)
    async with stage.memory("again", contents=sealed) as memory:
        await memory.feed.ready.wait()
        kind, _ = await stage.ask(replace(late, task_id="copy"), sent=words.now - 1)
        assert kind == "MemoryRefused"
        assert [key.subject for key in await ring.keys() if key.kind is KeyKind.DATA] == [words.about("ada")]
        assert await stage.texts(words.recall("ada", positions=stage.known())) == ["ada is back"]


async def test_the_answer_to_a_sealed_request_is_sealed_with_its_key(
    stage: Stage, words: type[Words], sealed: SealedContents, ring: KeyRing
) -> None:
    hashes = KeyedHashes(words.secret)
    key = await ring.obtain(Owner(hashes.tenant("acme"), None, Clearance.INTERNAL))

    def asked(request: str, text: str, scope: str | None = None) -> str:
        body = seal(key, SEALED_QUERY, request, text.encode())
        query = replace(words.recall("x", scope=scope), request_id=request, content=body, content_key_id=key.id)
        return stage.send(query, request_id=request)

    async with stage.memory(contents=sealed):
        await stage.ask(words.remember("bob has none", "bob"))
        await stage.ask(words.recall("none", positions=stage.known()))
        said = await stage.answer(asked("r1", "none"))
        assert isinstance(said.content, bytes)
        assert said.content_key_id == key.id
        assert b"bob has none" in open_sealed(key, ANSWER, "r1/1", said.content)
        refused = await stage.answer(asked("r2", "none", "agent:other"))
        assert refused.error is not None
        assert (refused.error.type, refused.error.message) == ("ClearanceDenied", HIDDEN)


async def test_a_class_that_the_worker_holds_no_key_of_is_refused(
    stage: Stage, words: type[Words], tmp_path: Path
) -> None:
    masters = MasterKeys.parse(MASTERS, Clearance.INTERNAL)
    narrow = SealedContents(
        KeyRing(FileKeys(tmp_path / "k"), masters), KeyedHashes(words.secret), Clearance.CONFIDENTIAL
    )
    async with stage.memory(contents=narrow):
        kind, why = await stage.ask(words.remember("x"), clearance=Clearance.RESTRICTED)
        assert (kind, "no master key" in why) == ("ClearanceDenied", True)
        assert (await stage.ask(words.remember("x")))["offset"] >= 0
