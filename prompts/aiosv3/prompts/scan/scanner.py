"""All detectors over a text or a prompt."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from aiosv3.prompts.scan.finding import Detector, Finding, Verdict
from aiosv3.prompts.scan.money import cards, ibans
from aiosv3.prompts.scan.people import emails, identities, phones
from aiosv3.prompts.scan.secrets import tokens
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Prompt

DETECTORS: Final = (
    Detector("secret", Clearance.RESTRICTED, tokens),
    Detector("card", Clearance.CONFIDENTIAL, cards),
    Detector("iban", Clearance.CONFIDENTIAL, ibans),
    Detector("national-id", Clearance.CONFIDENTIAL, identities),
    Detector("email", Clearance.INTERNAL, emails),
    Detector("phone", Clearance.INTERNAL, phones),
)
"""Highest class first."""

_WINDOW: Final = 16_384
_OVERLAP: Final = 1_024
"""Nothing that is looked for is longer, but for tokens whose first part says enough."""
_LOG: Final = logging.getLogger(__name__)


def scan(text: str, detectors: Sequence[Detector] = DETECTORS) -> list[Finding]:
    """What stands in ``text``, from its beginning. 5 to 25 ms for 100,000 characters."""
    found = [
        Finding(detector.kind, start, end, detector.clearance)
        for detector in detectors
        for start, end in detector.find(text)
    ]
    return sorted(found, key=lambda one: (one.start, one.end, one.kind))


def judge(prompt: Prompt, detectors: Sequence[Detector] = DETECTORS) -> Verdict:
    """The least class that ``prompt`` allows, and why. Never raises: a scan that fails means the highest class."""
    judging = Judging(prompt, detectors)
    for _ in judging:
        pass
    return judging.verdict


class Judging:
    """:func:`judge` in pieces: iterate, and do something else between two of them; then there is a ``verdict``.

    A piece is one window of the text, a few milliseconds at most.
    """

    def __init__(self, prompt: Prompt, detectors: Sequence[Detector] = DETECTORS) -> None:
        self._prompt = prompt
        self._detectors = detectors
        self._found: dict[str, Clearance] = {}
        self._failed = False

    @property
    def verdict(self) -> Verdict:
        """What was found so far; of all of the text once the iteration has ended."""
        if self._failed:
            return Verdict(Clearance.RESTRICTED, ("failed-scan",))
        highest = max(self._found.values(), default=Clearance.PUBLIC)
        kinds = (one.kind for one in self._detectors if self._found.get(one.kind) == highest)
        return Verdict(highest, tuple(kinds))

    def __iter__(self) -> Iterator[None]:
        try:
            for text in texts_of(self._prompt):
                for window in windows(text):
                    self._look(window)
                    yield
        except Exception as error:  # noqa: BLE001 -- fail closed, whatever a detector does
            _LOG.error("the scan of a prompt failed, so it counts as restricted: %s", type(error).__name__)
            self._failed = True

    def _look(self, window: str) -> None:
        highest = max(self._found.values(), default=Clearance.PUBLIC)
        for detector in self._detectors:
            # What could not raise the class is not looked for.
            open_kind = detector.kind not in self._found and detector.clearance >= highest
            if open_kind and next(detector.find(window), None) is not None:
                self._found[detector.kind] = detector.clearance


def texts_of(prompt: Prompt) -> Iterator[str]:
    """All texts of a prompt that a model is shown."""
    for message in prompt.messages:
        yield from filter(None, (message.content, message.tool_calls))
    yield from filter(None, (prompt.tools, prompt.output_schema))


def windows(text: str) -> Iterator[str]:
    """A long text in pieces that overlap."""
    for start in range(0, max(1, len(text) - _OVERLAP), _WINDOW - _OVERLAP):
        yield text[start : start + _WINDOW]
