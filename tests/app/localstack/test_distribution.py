from __future__ import annotations

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


class _Fake(KafkaDistribution):
    """Resolves to two small files; counts how often."""

    resolved = 0
    content = b"jar"

    def _resolve(self, repository: Path) -> list[Path]:
        self.resolved += 1
        repository.mkdir(parents=True)
        paths = [repository / name for name in ("a.jar", "b.jar")]
        for path in paths:
            path.write_bytes(self.content)
        return paths


def test_the_second_start_resolves_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    first = _Fake(tmp_path, progress=lines.append)
    assert first.class_path() == str(tmp_path / f"kafka-{KAFKA_VERSION}" / "*")
    assert first.damaged() == []
    assert KAFKA_VERSION in lines[0]
    second = _Fake(tmp_path)
    second.class_path()
    assert (first.resolved, second.resolved) == (1, 0)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("damage", ["missing", "short", "no manifest", "torn manifest"])
def test_a_damaged_folder_is_fetched_again(tmp_path: Path, damage: str) -> None:
    fake = _Fake(tmp_path)
    fake.class_path()
    if damage == "missing":
        (fake.folder / "a.jar").unlink()
    elif damage == "short":
        (fake.folder / "a.jar").write_bytes(b"j")
    elif damage == "no manifest":
        (fake.folder / "manifest.json").unlink()
    else:
        (fake.folder / "manifest.json").write_text('{"version"')
    assert not fake.is_complete()
    fake.class_path()
    assert fake.resolved == 2
    assert fake.is_complete()


def test_a_changed_file_of_the_same_size_is_damaged(tmp_path: Path) -> None:
    fake = _Fake(tmp_path)
    fake.class_path()
    (fake.folder / "b.jar").write_bytes(b"jax")
    assert fake.is_complete()
    assert fake.damaged() == ["b.jar"]


def test_a_download_that_was_cut_off_leaves_nothing_usable(tmp_path: Path) -> None:
    class Cut(_Fake):
        def _resolve(self, repository: Path) -> list[Path]:
            super()._resolve(repository)
            raise ArtifactsUnavailable("the line went dead")

    cut = Cut(tmp_path)
    with pytest.raises(ArtifactsUnavailable):
        cut.class_path()
    assert not cut.is_complete()
    _Fake(tmp_path).class_path()
    assert cut.is_complete()


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
