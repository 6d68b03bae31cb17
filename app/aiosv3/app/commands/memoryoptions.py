"""Options that the verbs of ``aiosv3 memory`` share."""

from __future__ import annotations

from typing import Annotated

import typer

Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose memory (default: the project's tenant).")]
Subject = Annotated[str | None, typer.Option("--subject", help="Whom or what it is about.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is done.")]
