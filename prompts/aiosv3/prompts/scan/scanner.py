"""All detectors over a text or a prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from aiosv3.prompts.scan.finding import Detector, Finding
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

_LOG: Final = logging.getLogger(__name__)


def scan(text: str, detectors: Sequence[Detector] = DETECTORS) -> list[Finding]:
    """What stands in ``text``, from its beginning. About 10 ms for 100,000 characters: off the event loop when long."""
    found = [
        Finding(detector.kind, start, end, detector.clearance)
        for detector in detectors
        for start, end in detector.find(text)
    ]
    return sorted(found, key=lambda one: (one.start, one.end, one.kind))


def clearance_of(prompt: Prompt, detectors: Sequence[Detector] = DETECTORS) -> Clearance:
    """The least class that the messages of ``prompt`` allow. Never raises: a failed scan means the highest class."""
    try:
        return _clearance(prompt, detectors)
    except Exception as error:  # noqa: BLE001 -- fail closed, whatever a detector does
        _LOG.error("the scan of a prompt failed, so it counts as restricted: %s", type(error).__name__)
        return Clearance.RESTRICTED


def _clearance(prompt: Prompt, detectors: Sequence[Detector]) -> Clearance:
    texts = [text for message in prompt.messages for text in (message.content, message.tool_calls) if text]
    texts += [text for text in (prompt.tools, prompt.output_schema) if text]
    highest = Clearance.PUBLIC
    for detector in sorted(detectors, key=lambda one: -one.clearance):
        if detector.clearance <= highest:
            break  # the rest cannot raise it
        if any(next(detector.find(text), None) is not None for text in texts):
            highest = detector.clearance
    return highest
