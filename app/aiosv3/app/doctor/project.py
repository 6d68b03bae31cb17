"""The project: its file, its agents, and the secret that all workers of a mesh must share."""

from __future__ import annotations

from collections.abc import Sequence

from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.finding import Finding
from aiosv3.app.projects import check_pins
from aiosv3.app.settings import PROJECT_FILE

NAME = "project"


async def check(case: Case) -> Sequence[Finding]:
    """Loads the agents, as their workers do."""
    agents = await case.agents()
    where = str(case.project) if case.project is not None else f"no {PROJECT_FILE} here or above, so defaults"
    if not agents:
        action = 'list agents in the project file: agents = ["module:function"]'
        return [Finding.warning(NAME, f"{where}: no agents", action), *_secret(case)]
    check_pins(agents.values(), await case.pools())
    return [Finding.ok(NAME, f"{where}: agents {', '.join(sorted(agents))}"), *_secret(case)]


def _secret(case: Case) -> Sequence[Finding]:
    """A broker of one's own may have workers on many machines; that of ``aiosv3 up`` has them on this one."""
    if not case.given.kafka.bootstrap or case.given.mesh.secret.get_secret_value():
        return ()
    message = (
        "mesh.secret is not set: each state folder makes up its own, and workers with different ones ignore answers"
    )
    action = "set AIOSV3_MESH__SECRET to the same random text on every machine, unless all workers share this folder"
    return [Finding.warning(NAME, message, action)]
