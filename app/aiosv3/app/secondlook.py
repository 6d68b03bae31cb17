"""Presidio for an agent worker, where the project wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiosv3.app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from aiosv3.prompts.scan import SecondLook


async def second_look(settings: Settings) -> SecondLook | None:
    """Loads it beside the event loop; None where it is not enabled. Raises :class:`SettingsError`."""
    if not settings.presidio.enabled:
        return None
    from aiosv3.prompts.scan.presidio import CannotLook, open_presidio

    try:
        return await asyncio.to_thread(open_presidio, settings.presidio.policy)
    except CannotLook as error:
        raise SettingsError(f"[presidio] is enabled, but {error}") from None
