"""What ``aiosv3 doctor`` looks at: each module of this package checks one thing."""

from typing import Final

from aiosv3.app.doctor import (
    broker,
    claims,
    clock,
    disk,
    group,
    localstack,
    models,
    prices,
    project,
    registry,
    sealing,
    topics,
    versions,
    workers,
)
from aiosv3.app.doctor.case import Case
from aiosv3.app.doctor.examination import Check, Examination, examine
from aiosv3.app.doctor.finding import Finding, Level

CHECKS: Final[dict[str, Check]] = {
    module.NAME: module.check
    for module in (
        versions,
        project,
        sealing,
        disk,
        localstack,
        claims,
        broker,
        group,
        topics,
        workers,
        clock,
        registry,
        models,
        prices,
    )
}
"""By name, in the order in which they are shown."""

__all__ = ["CHECKS", "Case", "Check", "Examination", "Finding", "Level", "examine"]
