"""Settings of what looks at prompts beside the scan of this package: ``[presidio]``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aiosv3.app.poolsettings import parse_clearance
from aiosv3.prompts.scan.presidio import ENTITIES, PresidioPolicy
from aiosv3.schemas.headers import Clearance

_USUAL = PresidioPolicy()


class PresidioSettings(BaseModel):
    """Presidio looks for names and places in prompts, with ``aiosv3[presidio]`` and a language model of spaCy's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    """Whether agent workers ask it. It takes a few milliseconds a prompt, and 0.2 to 1 GB of memory."""
    entities: dict[str, Clearance] = {}
    """What it looks for, by Presidio's names, and the least class of a prompt with it. Empty: names and places are
    internal; nationality, religion and politics, and medical licenses, are confidential."""
    language: Annotated[str, Field(min_length=1)] = _USUAL.language
    """Of the prompts: two letters."""
    model: Annotated[str, Field(min_length=1)] = _USUAL.model
    """The language model: a package of spaCy's that is installed, or a folder."""
    score: Annotated[float, Field(ge=0, le=1)] = _USUAL.score
    """How sure Presidio has to be."""
    timeout: Annotated[float, Field(gt=0)] = _USUAL.timeout
    """Seconds for one prompt; what takes longer counts as restricted."""
    threads: Annotated[int, Field(ge=1)] = _USUAL.threads
    """Prompts that are looked at together; others wait."""

    @field_validator("entities", mode="before")
    @classmethod
    def _classes(cls, value: Any) -> Any:
        return {name: parse_clearance(one) for name, one in value.items()} if isinstance(value, dict) else value

    @property
    def policy(self) -> PresidioPolicy:
        """As the scan takes it."""
        return PresidioPolicy(
            dict(self.entities or ENTITIES), self.language, self.model, self.score, self.timeout, self.threads
        )  # fmt: skip
