"""Where tables and trees are printed: a terminal's width where there is one, else as wide as they need."""

from __future__ import annotations

from typing import Final

from rich.console import Console

_PIPED: Final = 100_000


def console() -> Console:
    """On stdout. Colours on a terminal only, and not where ``NO_COLOR`` is set; text is never markup."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=_PIPED)
