"""Presidio as a second look at prompts: names and places, which have no form, by a language model of spaCy's.

It takes milliseconds to seconds, so it works in threads of its own, a few at a time, and has a time limit. Like the
first look it may only raise a class, and what it cannot say in time counts as the highest one.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from aiosv3.prompts.scan.finding import Verdict
from aiosv3.prompts.scan.scanner import texts_of, windows
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Prompt

FAILED: Final = Verdict(Clearance.RESTRICTED, ("failed-scan",))
ENTITIES: Final[Mapping[str, Clearance]] = {
    "PERSON": Clearance.INTERNAL,
    "LOCATION": Clearance.INTERNAL,
    "NRP": Clearance.CONFIDENTIAL,
    "MEDICAL_LICENSE": Clearance.CONFIDENTIAL,
}
"""Presidio's names for what is looked for; what has a form is found by the first look. NRP: nationality, religion,
politics."""
_LOG: Final = logging.getLogger(__name__)


class CannotLook(AiosError):
    """Presidio, or what it needs for its language, is not here; says what to install or to set."""


class Analyzer(Protocol):
    """What is used of ``presidio_analyzer.AnalyzerEngine``."""

    def analyze(self, text: str, language: str, *, entities: list[str], score_threshold: float) -> Iterable[Any]:
        """Results with an ``entity_type`` each; called from several threads."""
        ...


@dataclass(frozen=True, slots=True)
class PresidioPolicy:
    """``entities``: what is looked for, and the least class of a text with it. ``score``: 0..1, how sure it has to be.

    ``timeout``: seconds for one prompt, its waiting for a thread included. ``threads``: prompts at a time.
    """

    entities: Mapping[str, Clearance] = field(default_factory=lambda: dict(ENTITIES))
    language: str = "en"
    model: str = "en_core_web_sm"
    score: float = 0.4
    timeout: float = 2.0
    threads: int = 2


class Presidio:
    """Implements :class:`~aiosv3.prompts.scan.finding.SecondLook`. Belongs to one event loop."""

    def __init__(self, analyzer: Analyzer, policy: PresidioPolicy | None = None) -> None:
        self.policy = policy or PresidioPolicy()
        self.most = max(self.policy.entities.values(), default=Clearance.PUBLIC)
        self._analyzer = analyzer
        self._free = asyncio.Semaphore(self.policy.threads)

    async def judge(self, prompt: Prompt) -> Verdict:
        """The least class that the prompt allows by what Presidio finds. Never raises but ``CancelledError``."""
        try:
            async with asyncio.timeout(self.policy.timeout):
                return self._verdict(await self._in_thread(prompt))
        except TimeoutError:
            _LOG.error("Presidio did not look at a prompt within %g s: it counts as restricted", self.policy.timeout)
        except Exception as error:  # noqa: BLE001 -- fail closed, whatever its recognizers do
            _LOG.error("Presidio failed, so a prompt counts as restricted: %s", type(error).__name__)
        return FAILED

    def _verdict(self, found: Iterable[str]) -> Verdict:
        highest = max((self.policy.entities[kind] for kind in found), default=Clearance.PUBLIC)
        return Verdict(highest, tuple(sorted(_word(k) for k in found if self.policy.entities[k] is highest)))

    async def _in_thread(self, prompt: Prompt) -> set[str]:
        """A thread counts as busy until it is done, also where nobody waits for it any more."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[set[str]] = loop.create_future()

        def work() -> None:
            try:
                told: Callable[[], None] = _telling(done, self._found(prompt), None)
            except Exception as error:  # noqa: BLE001 -- handed over to whoever waits
                told = _telling(done, set(), error)
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._free.release)
                loop.call_soon_threadsafe(told)

        # Daemons: one that hangs must not keep the worker from ending.
        threading.Thread(target=work, name="presidio", daemon=True).start()
        return await done

    def _found(self, prompt: Prompt) -> set[str]:
        policy, wanted = self.policy, list(self.policy.entities)
        found: set[str] = set()
        for text in texts_of(prompt):
            for window in windows(text):
                seen = self._analyzer.analyze(window, policy.language, entities=wanted, score_threshold=policy.score)
                found.update(one.entity_type for one in seen)
        return found & set(wanted)


def _telling(done: asyncio.Future[set[str]], found: set[str], error: Exception | None) -> Callable[[], None]:
    def tell() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)

    return tell


def _word(entity: str) -> str:
    return entity.lower().replace("_", "-")


def open_presidio(policy: PresidioPolicy) -> Presidio:
    """Loads Presidio and its language model, which takes seconds. Raises :class:`CannotLook`; fetches nothing."""
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise CannotLook("Presidio is not installed here: pip install 'aiosv3[presidio]'")
    import spacy.util
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    if not spacy.util.is_package(policy.model) and not Path(policy.model).is_dir():
        # Presidio would download it while the worker starts.
        raise CannotLook(
            f"Presidio's language model {policy.model} is not here: python -m spacy download {policy.model}, or name "
            "another one, or a folder with one"
        )
    models = [{"lang_code": policy.language, "model_name": policy.model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    analyzer = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=[policy.language])
    known = set(analyzer.get_supported_entities(policy.language))
    if unknown := sorted(set(policy.entities) - known):
        raise CannotLook(
            f"Presidio finds no {', '.join(unknown)} in texts of language {policy.language!r}: it knows "
            f"{', '.join(sorted(known))}"
        )
    return Presidio(analyzer, policy)
