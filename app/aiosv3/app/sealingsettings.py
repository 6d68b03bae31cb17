"""Settings of sealing: ``[sealing]``."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aiosv3.app.poolsettings import parse_clearance
from aiosv3.schemas.headers import Clearance

TOPIC: Final = "topic"
_FILE: Final = "file:"
_VARIABLE: Final = "env:"


class SealingSettings(BaseModel):
    """Content of this class and above is sealed on the log: only processes with the key of its class read it. Each
    process needs the master keys of the classes that it may see (``aiosv3 keys new``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: Clearance | None = Field(default=None, alias="from")
    """``internal``, ``confidential`` or another class; none: nothing is sealed."""
    keys: str = TOPIC
    """Where data keys are kept: ``topic``, or ``file:PATH`` beside the project file, for processes of one machine."""
    master: str = ""
    """Where the master keys are: a file, beside the project file where relative, or ``env:NAME`` for a variable that
    holds what would be in it. Empty: ``master-keys`` in the state folder."""

    _parse = field_validator("since", mode="before")(parse_clearance)

    @field_validator("keys")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != TOPIC and not value.removeprefix(_FILE).strip():
            raise ValueError('name a file: keys = "file:PATH"')
        if value != TOPIC and not value.startswith(_FILE):
            raise ValueError('keys are kept in "topic" or in "file:PATH"')
        return value

    @field_validator("master")
    @classmethod
    def _variable(cls, value: str) -> str:
        if value == _VARIABLE:
            raise ValueError('name a variable: master = "env:NAME"')
        return value

    @property
    def file(self) -> str | None:
        """The file of the data keys; None where they are on a topic."""
        return None if self.keys == TOPIC else self.keys.removeprefix(_FILE)

    @property
    def variable(self) -> str | None:
        """The variable that holds the master keys; None where a file does."""
        return self.master.removeprefix(_VARIABLE) if self.master.startswith(_VARIABLE) else None
