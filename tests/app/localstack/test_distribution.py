from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from aiosv3.app.localstack import distribution
from aiosv3.app.localstack.distribution import (
    KAFKA_VERSION,
    KafkaDistribution,
    default_cache,
    released_checksums,
)
from aiosv3.app.localstack.errors import ArtifactsUnavailable
from aiosv3.app.localstack.progress import Advance, Silent


class _Seen(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def download(self, what: str, total: int) -> AbstractContextManager[Advance]:
        return nullcontext(lambda more: self.lines.append(f"{more} bytes"))


class _Fake(KafkaDistribution):
    """Resolves to two small files; counts how often."""

    resolved = 0
    content = b"jar"

    def _resolve(self, repository: Path, advance: Advance) -> list[Path]:
        self.resolved += 1
        advance(len(self.content))
        repository.mkdir(parents=True, exist_ok=True)
        paths = [repository / name for name in ("a.jar", "b.jar")]
        for path in paths:
            path.write_bytes(self.content)
        return paths


def test_the_second_start_resolves_nothing(tmp_path: Path) -> None:
    seen = _Seen()
    first = _Fake(tmp_path, progress=seen)
    assert first.class_path() == str(tmp_path / f"kafka-{KAFKA_VERSION}" / "*")
    assert first.damaged() == []
    assert seen.lines == [f"Fetching Apache Kafka {KAFKA_VERSION} (once on this machine, 46 MB).", "3 bytes"]
    second = _Fake(tmp_path)
    second.class_path()
    assert (first.resolved, second.resolved) == (1, 0)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("damage", ["missing", "short", "changed", "no manifest", "torn manifest"])
def test_a_damaged_folder_is_fetched_again(tmp_path: Path, damage: str) -> None:
    fake = _Fake(tmp_path)
    fake.class_path()
    if damage == "missing":
        (fake.folder / "a.jar").unlink()
    elif damage == "short":
        (fake.folder / "a.jar").write_bytes(b"j")
    elif damage == "changed":
        (fake.folder / "b.jar").write_bytes(b"jax")
    elif damage == "no manifest":
        (fake.folder / "manifest.json").unlink()
    else:
        (fake.folder / "manifest.json").write_text('{"version"')
    assert fake.is_complete() == (damage == "changed")
    fake.class_path()
    assert fake.resolved == 2
    assert fake.is_complete()
    assert fake.damaged() == []


def test_a_changed_file_of_the_same_size_is_damaged(tmp_path: Path) -> None:
    fake = _Fake(tmp_path)
    fake.class_path()
    (fake.folder / "b.jar").write_bytes(b"jax")
    assert fake.is_complete()
    assert fake.damaged() == ["b.jar"]


def test_a_download_that_was_cut_off_leaves_nothing_usable(tmp_path: Path) -> None:
    class Cut(_Fake):
        def _resolve(self, repository: Path, advance: Advance) -> list[Path]:
            super()._resolve(repository, advance)
            raise ArtifactsUnavailable("the line went dead")

    cut = Cut(tmp_path)
    with pytest.raises(ArtifactsUnavailable):
        cut.class_path()
    assert not cut.is_complete()
    _Fake(tmp_path).class_path()
    assert cut.is_complete()


def test_the_next_download_goes_on_with_what_came_whole_and_never_with_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hashlib.sha256(b"jar").hexdigest()
    monkeypatch.setattr(distribution, "released_checksums", lambda: {"a.jar": whole, "b.jar": whole})
    found: list[list[str]] = []

    class Cut(_Fake):
        def _resolve(self, repository: Path, advance: Advance) -> list[Path]:
            found.append(sorted(path.name for path in repository.glob("*")))
            paths = super()._resolve(repository, advance)
            (repository / "b.pom").write_bytes(b"<proj")
            if len(found) == 1:
                paths[1].write_bytes(b"ja")
                raise ArtifactsUnavailable("the line went dead")
            return paths

    with pytest.raises(ArtifactsUnavailable):
        Cut(tmp_path).class_path()
    Cut(tmp_path).class_path()
    assert found == [[], ["a.jar"]]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "there is no room for Apache Kafka"), (errno.EACCES, "cannot be written")]
)
def test_a_disk_that_does_not_take_it_is_said_in_words(tmp_path: Path, number: int, words: str) -> None:
    class Full(_Fake):
        def _resolve(self, repository: Path, advance: Advance) -> list[Path]:
            raise OSError(number, os.strerror(number), str(repository))

    with pytest.raises(ArtifactsUnavailable, match=f"{words}.*XDG_CACHE_HOME"):
        Full(tmp_path).class_path()
    assert not Full(tmp_path).is_complete()


def test_a_cache_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ArtifactsUnavailable, match="cannot be written"):
        _Fake(tmp_path / "cache").class_path()


def test_what_differs_from_the_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "released_checksums", lambda: {"a.jar": "0" * 64})
    fake = _Fake(tmp_path)
    with pytest.raises(ArtifactsUnavailable, match=r"a\.jar differ from the released checksums"):
        fake.class_path()
    assert not fake.is_complete()


def test_checksums_are_shipped() -> None:
    released = released_checksums()
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in released
    assert all(len(digest) == 64 for digest in released.values())


@pytest.mark.kafka
def test_the_files_on_this_machine_are_the_released_ones(kafka_distribution: KafkaDistribution) -> None:
    assert kafka_distribution.damaged() == []
    assert sorted(path.name for path in kafka_distribution.folder.glob("*.jar")) == sorted(released_checksums())


def test_the_cache_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "aiosv3"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    assert default_cache() == Path.home() / ".cache" / "aiosv3"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_cache() == Path.home() / "Library" / "Caches" / "aiosv3"


@pytest.mark.kafka
@pytest.mark.process
def test_without_a_network_what_was_fetched_is_enough_and_what_was_not_is_said(
    kafka_distribution: KafkaDistribution, tmp_path: Path
) -> None:
    alone = ["unshare", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("NO NETWORK NAMESPACES for this user, so nothing is proven without a network here")
    code = "import sys; from pathlib import Path; from aiosv3.app.localstack.distribution import KafkaDistribution; "
    code += "KafkaDistribution(Path(sys.argv[1])).class_path()"
    for cache, word in ((kafka_distribution.folder.parent, ""), (tmp_path, "could not be fetched (ConnectionError")):
        command = [*alone, sys.executable, "-c", code, str(cache)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode == 0) == (word == ""), done.stderr
        assert word in done.stderr
