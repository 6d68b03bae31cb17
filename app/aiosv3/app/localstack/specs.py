"""How a supervised process is run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.files import read_json, write_atomic

SPECS_FILE: Final = "specs.json"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a process that ended is started again: after ``first_s``, twice as long each time, up to ``max_s``.

    A run of ``stable_s`` seconds counts as a success: the next delay is ``first_s`` again. After ``limit`` unstable
    runs in a row it is left alone, and said to have failed. ``never`` leaves it at once.

    ``waiting`` are the exit codes by which a process says that something else is not there yet: such an end does not
    count towards the limit, and before it was ever ready it is started again too, ``first_tries`` times in all.
    """

    first_s: float = 0.5
    max_s: float = 30.0
    stable_s: float = 60.0
    never: bool = False
    limit: int = 10
    waiting: tuple[int, ...] = ()
    first_tries: int = 3

    def delay(self, failures: int) -> float:
        """Seconds before the start that follows this many unstable runs in a row (from 1)."""
        return float(min(self.max_s, self.first_s * 2 ** min(failures - 1, 30)))


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process. ``argv[0]`` is an absolute path; ``env`` is added to the environment of the supervisor.

    Stages start in ascending order, each once the one before is ready, and stop in descending order; processes of
    one stage start and stop together. ``ready`` is a probe (``aiosv3.app.localstack.readiness``); without one a
    process counts as ready when it runs. On stop it has ``stop_timeout_s`` seconds to drain after SIGTERM.

    It must be ready ``ready_timeout_s`` seconds after its start; with ``talks`` after it last wrote to its log: such a
    one says what it waits for, and gives up by itself.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    restart: RestartPolicy = RestartPolicy()
    stage: int = 2
    ready: str | None = None
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 30.0
    talks: bool = False


def save_specs(folder: Path, specs: Iterable[ProcessSpec], addresses: Mapping[str, str]) -> None:
    """Readable by the owner alone: environments hold keys."""
    entries = [{**asdict(spec), "log_path": str(spec.log_path)} for spec in specs]
    write_atomic(folder / SPECS_FILE, json.dumps({"v": 1, "specs": entries, "addresses": dict(addresses)}))


def load_specs(folder: Path) -> tuple[list[ProcessSpec], dict[str, str]]:
    """What ``save_specs`` wrote. Raises ``LocalStackError`` where there is none."""
    content = read_json(folder / SPECS_FILE)
    if not isinstance(content, dict) or content.get("v") != 1:
        raise LocalStackError(f"{folder / SPECS_FILE} holds no process specifications of this version")
    return [_spec(entry) for entry in content["specs"]], content["addresses"]


def _spec(entry: dict[str, object]) -> ProcessSpec:
    fields = dict(entry)
    policy, argv = fields.pop("restart"), fields.pop("argv")
    if not isinstance(policy, dict) or not isinstance(argv, list):
        raise LocalStackError(f"the specification of {fields.get('name')} is damaged")
    log_path = Path(str(fields.pop("log_path")))
    restart = RestartPolicy(**{**policy, "waiting": tuple(policy["waiting"])})
    return ProcessSpec(argv=tuple(argv), restart=restart, log_path=log_path, **fields)  # type: ignore[arg-type]
