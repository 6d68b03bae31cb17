"""Wall clocks that jump. The broker's is the machine's and stays: to step it, the machine's own would have to be."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from tests.chaos.stage import Stage
from tests.chaos.workers import ROOT

_STEPS_S: Final = (-600, -90, -5, 5, 90, 600)
"""Below the hour that a task has by default: a clock that jumps past its deadline ends it, as it should."""


def wind_clock(stage: Stage) -> None:
    """Workers started from now on have a clock that can be stepped."""
    place = _place(stage)
    _set(place, 0)
    here = Path(__file__).parent / "stepped"
    path = os.pathsep.join(filter(None, (str(here), str(ROOT), os.environ.get("PYTHONPATH"))))
    stage.workers.environment = {"PYTHONPATH": path, "CHAOS_CLOCK": str(place)}


def step_clock(stage: Stage) -> None:
    """Forwards and backwards, for all workers at once; some of them are killed on the way."""
    while stage.on():
        seconds = stage.rng.choice(_STEPS_S)
        stage.fault(f"the clocks are {seconds} s off")
        _set(_place(stage), seconds)
        stage.idle(1.0, 3.0)
        if stage.rng.random() < 0.3:
            names = stage.workers.some(stage.rng, 2)
            stage.workers.kill(*names)
            stage.workers.restart(*names)
    _set(_place(stage), 0)


def _place(stage: Stage) -> Path:
    return stage.folder / "clock"


def _set(place: Path, seconds: int) -> None:
    with place.open("r+b" if place.exists() else "wb") as file:
        file.write(struct.pack("<q", seconds * 10**9))
