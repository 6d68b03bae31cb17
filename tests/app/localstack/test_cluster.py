"""What the nodes of a cluster are told; that two of them must have a record is shown by ``make chaos``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aiosv3.app.localstack.cluster import KafkaCluster
from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import LocalStackError
from aiosv3.app.localstack.java import Java


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would format a node's folder; none is run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1 if "refused" in command[-3] else 0)

    monkeypatch.setattr(KafkaDistribution, "class_path", lambda _: "classes")
    monkeypatch.setattr(KafkaDistribution, "java", lambda _: Java(Path("java"), 17))
    monkeypatch.setattr("aiosv3.app.localstack.cluster.subprocess.run", run)
    return commands


def settings_of(cluster: KafkaCluster) -> list[dict[str, str]]:
    """Of each node; of a name that stands there twice the later one counts, as Kafka has it."""
    texts = [(node.folder / "server.properties").read_text(encoding="utf-8") for node in cluster.nodes]
    lines = [[line for line in text.splitlines() if line and not line.startswith("#")] for text in texts]
    return [dict(line.split("=", 1) for line in each) for each in lines]


def test_three_nodes_know_each_other_and_two_must_have_a_record(tmp_path: Path, formats: list[list[str]]) -> None:
    cluster = KafkaCluster(tmp_path)
    for node in cluster.nodes:
        node.prepare()
    found = settings_of(cluster)
    assert [each["node.id"] for each in found] == ["1", "2", "3"]
    assert {each["default.replication.factor"] for each in found} == {"3"}
    assert {each["min.insync.replicas"] for each in found} == {"2"}
    seats = [node.seat for node in cluster.nodes]
    (voters,) = {each["controller.quorum.bootstrap.servers"] for each in found}
    assert voters == ",".join(f"127.0.0.1:{seat.controller}" for seat in seats)
    assert cluster.bootstrap == ",".join(f"127.0.0.1:{seat.client}" for seat in seats)
    whole = ",".join(f"{seat.id}@127.0.0.1:{seat.controller}:{seat.directory}" for seat in seats)
    assert [command[-1] for command in formats] == [whole] * 3


def test_a_folder_is_formatted_once(tmp_path: Path, formats: list[list[str]]) -> None:
    node = KafkaCluster(tmp_path).nodes[0]
    node.prepare()
    node.prepare()
    assert len(formats) == 1


def test_a_folder_that_cannot_be_formatted_is_said(tmp_path: Path, formats: list[list[str]]) -> None:
    node = KafkaCluster(tmp_path / "refused").nodes[0]
    with pytest.raises(LocalStackError, match=r"could not be formatted: exit code 1 \(log: .*format\.log\)"):
        node.prepare()
    assert not (node.folder / "cluster.id").exists()
