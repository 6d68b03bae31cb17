"""The second look: by a double of Presidio's analyzer, and by the real one where it is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aiosv3.prompts.scan import Verdict
from aiosv3.prompts.scan.presidio import ENTITIES, FAILED, CannotLook, Presidio, PresidioPolicy, open_presidio
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Message, Prompt, Role

POLICY = PresidioPolicy(timeout=30.0)
NAME = "Ada Lovelace"


def prompt(*texts: str, **fields: Any) -> Prompt:
    return Prompt(tuple(Message(Role.USER, text) for text in texts), None, 10, **fields)


class Analyzer:
    """Finds what it is told to; notes who asked what."""

    def __init__(self, **words: str) -> None:
        self.words = words
        self.calls: list[tuple[str, str, list[str], float]] = []
        self.threads: set[int] = set()

    def analyze(self, text: str, language: str, *, entities: list[str], score_threshold: float) -> list[Any]:
        self.calls.append((text, language, entities, score_threshold))
        self.threads.add(threading.get_ident())
        return [SimpleNamespace(entity_type=kind) for kind, word in self.words.items() if word in text]


class Stuck(Analyzer):
    """Works until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def analyze(self, text: str, language: str, *, entities: list[str], score_threshold: float) -> list[Any]:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.go.wait(60)
        with self._lock:
            self.at_once -= 1
        return super().analyze(text, language, entities=entities, score_threshold=score_threshold)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    made = Stuck()
    yield made
    made.go.set()


async def test_what_it_finds_raises_the_class_by_the_highest_kind() -> None:
    analyzer = Analyzer(PERSON=NAME, NRP="Catholic", MEDICAL_LICENSE="nowhere", URL="x.org")
    look = Presidio(analyzer, POLICY)
    assert look.most is Clearance.CONFIDENTIAL
    assert await look.judge(prompt("hello")) == Verdict(Clearance.PUBLIC)
    assert await look.judge(prompt("hello", f"I am {NAME}")) == Verdict(Clearance.INTERNAL, ("person",))
    both = await look.judge(prompt(f"{NAME}, a Catholic, at x.org"))
    assert both == Verdict(Clearance.CONFIDENTIAL, ("nrp",))
    assert {(language, tuple(kinds), score) for _, language, kinds, score in analyzer.calls} == {
        ("en", tuple(ENTITIES), 0.4)
    }


async def test_all_that_a_model_is_shown_is_looked_at_in_pieces() -> None:
    analyzer = Analyzer(PERSON=NAME)
    look = Presidio(analyzer, POLICY)
    said = Message(Role.ASSISTANT, "", tool_calls=f'[{{"to": "{NAME}"}}]')
    assert (await look.judge(Prompt((said,), None, 10))).kinds == ("person",)
    assert (await look.judge(prompt("hi", tools=f'[{{"description": "{NAME}"}}]'))).kinds == ("person",)
    assert (await look.judge(prompt("word " * 20_000 + NAME))).kinds == ("person",)
    assert max(len(text) for text, *_ in analyzer.calls) < 20_000


async def test_it_works_off_the_loop() -> None:
    analyzer = Analyzer()
    await Presidio(analyzer, POLICY).judge(prompt("hello"))
    assert threading.get_ident() not in analyzer.threads


async def test_what_fails_counts_as_the_highest_class(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Analyzer):
        def analyze(self, text: str, language: str, **_: Any) -> list[Any]:
            raise RuntimeError(f"cannot read {text}")

    look = Presidio(Broken(), replace(POLICY, threads=1))
    for _ in range(2):
        assert await look.judge(prompt(NAME)) == FAILED == Verdict(Clearance.RESTRICTED, ("failed-scan",))
    assert "RuntimeError" in caplog.text
    assert NAME not in caplog.text, "what was looked at is in no log"


async def test_what_takes_too_long_counts_as_the_highest_class(stuck: Stuck) -> None:
    assert await Presidio(stuck, replace(POLICY, timeout=0.05)).judge(prompt("hello")) == FAILED


async def test_no_more_threads_work_than_there_may_be_and_who_waits_too_long_is_told(stuck: Stuck) -> None:
    """A thread whose asker has gone still counts: else a slow model would be asked by ever more of them."""
    look = Presidio(stuck, replace(POLICY, timeout=0.05, threads=2))
    first = await asyncio.gather(*(look.judge(prompt("hello")) for _ in range(6)))
    assert first == [FAILED] * 6
    assert stuck.most == 2
    stuck.go.set()
    later = Presidio(stuck, POLICY)
    later._free = look._free
    assert await later.judge(prompt("hello")) == Verdict(Clearance.PUBLIC), "they are free again"


async def test_who_is_cancelled_leaves_no_thread_taken(stuck: Stuck) -> None:
    look = Presidio(stuck, replace(POLICY, threads=1))
    asking = asyncio.create_task(look.judge(prompt("hello")))
    waiting = asyncio.create_task(look.judge(prompt("hello")))
    while not stuck.at_once:
        await asyncio.sleep(0)
    for task in (asking, waiting):
        task.cancel()
    assert all(
        isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(asking, waiting, return_exceptions=True)
    )
    stuck.go.set()
    assert await look.judge(prompt("hello")) == Verdict(Clearance.PUBLIC)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Modules with the names that are used of Presidio and spaCy; returns what they were given."""
    given: dict[str, Any] = {}

    class Provider:
        def __init__(self, *, nlp_configuration: dict[str, Any]) -> None:
            given["nlp"] = nlp_configuration

        def create_engine(self) -> str:
            return "engine"

    class Engine(Analyzer):
        def __init__(self, *, nlp_engine: str, supported_languages: list[str]) -> None:
            super().__init__(PERSON=NAME)
            given["engine"] = (nlp_engine, supported_languages)

        def get_supported_entities(self, language: str) -> list[str]:
            return [*ENTITIES, "EMAIL_ADDRESS"] if language == "en" else []

    def module(name: str, **content: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(content)
        made.__spec__ = importlib.util.spec_from_loader(name, None)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    module("presidio_analyzer", AnalyzerEngine=Engine)
    module("presidio_analyzer.nlp_engine", NlpEngineProvider=Provider)
    module("spacy", util=module("spacy.util", is_package=lambda name: name == "en_core_web_sm"))
    return given


async def test_it_is_opened_by_presidios_own_names(installed: dict[str, Any]) -> None:
    look = open_presidio(POLICY)
    assert installed == {
        "nlp": {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": "en_core_web_sm"}]},
        "engine": ("engine", ["en"]),
    }
    assert (await look.judge(prompt(NAME))).kinds == ("person",)


@pytest.mark.usefixtures("installed")
def test_what_is_missing_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="python -m spacy download en_core_web_lg"):
        open_presidio(replace(POLICY, model="en_core_web_lg"))
    with pytest.raises(CannotLook, match="Presidio finds no SHOE_SIZE in texts of language 'en': it knows EMAIL_ADDR"):
        open_presidio(replace(POLICY, entities={"SHOE_SIZE": Clearance.INTERNAL}))
    with pytest.raises(CannotLook, match="finds no LOCATION"):
        open_presidio(replace(POLICY, model=str(tmp_path), language="de"))


def test_without_presidio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CannotLook, match=r"pip install 'aiosv3\[presidio\]'"):
        open_presidio(POLICY)


async def test_the_real_one_finds_what_needs_no_trained_model(tmp_path: Path) -> None:
    """With an empty model of spaCy's only Presidio's patterns find anything; names need one that was trained."""
    pytest.importorskip(
        "presidio_analyzer", reason="NO PRESIDIO, only its double was tried: pip install aiosv3[presidio]"
    )
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    policy = replace(POLICY, model=str(tmp_path / "blank"), entities={"IP_ADDRESS": Clearance.INTERNAL})
    look = open_presidio(policy)
    assert await look.judge(prompt("the host is 10.1.2.3")) == Verdict(Clearance.INTERNAL, ("ip-address",))
    assert await look.judge(prompt("the host is down")) == Verdict(Clearance.PUBLIC)
    with pytest.raises(CannotLook, match="SHOE_SIZE"):
        open_presidio(replace(policy, entities={"SHOE_SIZE": Clearance.INTERNAL}))
