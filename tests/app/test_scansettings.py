"""``[presidio]``: what is set is what the scan takes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aiosv3.app.scansettings import PresidioSettings
from aiosv3.prompts.scan.presidio import PresidioPolicy
from aiosv3.schemas.headers import Clearance


def test_by_default_it_is_off_and_as_the_scan_has_it() -> None:
    assert not PresidioSettings().enabled
    assert PresidioSettings().policy == PresidioPolicy()


def test_classes_are_named_by_their_words() -> None:
    set_ = PresidioSettings.model_validate({"entities": {"PERSON": "confidential"}, "language": "de", "timeout": 0.5})
    assert (set_.policy.entities, set_.policy.language) == ({"PERSON": Clearance.CONFIDENTIAL}, "de")
    assert set_.policy.timeout == 0.5


@pytest.mark.parametrize("wrong", [{"entities": {"PERSON": "secret"}}, {"threads": 0}, {"timeout": 0}, {"score": 2}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PresidioSettings.model_validate(wrong)
