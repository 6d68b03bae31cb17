"""What changed in a project since its stack was started: the stack itself does not look."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.files import read_json, write_atomic
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.status import StackStatus
from aiosv3.app.settings import Settings

_FILE: Final = "started.json"
_NOT_OURS: Final = frozenset({"kafka", "registry"})


def remember(settings: Settings) -> None:
    """Call before a stack with these settings is started."""
    write_atomic(settings.state_folder / _FILE, f'{{"settings": "{_digest(settings)}"}}')


def changes(found: StackStatus, settings: Settings, specs: Sequence[ProcessSpec]) -> list[str]:
    """In words, empty where there is nothing: processes, settings, and the files of the agents (which are loaded)."""
    running = {one.name for one in found.processes} - _NOT_OURS
    wanted = {spec.name for spec in specs}
    said = [f"{name} is new" for name in sorted(wanted - running)]
    said += [f"{name} is gone" for name in sorted(running - wanted)]
    started = read_json(settings.state_folder / _FILE)
    if not said and isinstance(started, dict) and started.get("settings") != _digest(settings):
        said.append("the settings are others")
    since = min((one.since for one in found.processes if one.name.startswith("agent-")), default=0.0)
    return said + [f"{path.name} was edited" for path in _sources(settings) if since and _changed(path) > since]


def _digest(settings: Settings) -> str:
    """Without the addresses, which a command line may give, and without secrets, which are written as stars."""
    content = settings.model_dump_json(exclude={"kafka": {"bootstrap"}, "registry": {"url"}})
    return hashlib.sha256(content.encode()).hexdigest()


def _sources(settings: Settings) -> list[Path]:
    modules = {place.partition(":")[0] for place in settings.agents}
    files = (getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules))
    return [Path(file) for file in files if file]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
