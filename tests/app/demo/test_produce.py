"""The plain script: what it reads, what it sends, and that it knows nothing of us."""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.demo import produce


def install(folder: Path, name: str, files: dict[str, str], direct_url: str | None = None) -> metadata.Distribution:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    for file, text in files.items():
        (info / file).parent.mkdir(parents=True, exist_ok=True)
        (info / file).write_text(text, encoding="utf-8")
    record = [f"{info.name}/{file},," for file in files] + ["thing/LICENSE,,", f"{info.name}/METADATA,,"]
    (info / "RECORD").write_text("\n".join(record), encoding="utf-8")
    if direct_url is not None:
        (info / "direct_url.json").write_text(json.dumps({"url": direct_url}), encoding="utf-8")
    return metadata.PathDistribution(info)


def test_it_imports_the_standard_library_and_confluent_kafka_alone() -> None:
    tree = ast.parse(Path(produce.__file__).read_text(encoding="utf-8"))
    modules = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    modules |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules - sys.stdlib_module_names == {"confluent_kafka"}


def test_all_licence_files_the_uppermost_first(tmp_path: Path) -> None:
    files = {"licenses/vendor/LICENSE": "inner", "licenses/LICENSE.txt": "outer", "licenses/AUTHORS": "nobody"}
    assert produce.licence_text(install(tmp_path, "thing", files)) == "outer\n\ninner"


def test_files_outside_the_metadata_are_not_read(tmp_path: Path) -> None:
    assert produce.licence_text(install(tmp_path, "thing", {})) == ""


def test_a_file_that_is_gone_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distribution = install(tmp_path, "thing", {"LICENSE": "x", "COPYING": "y"})
    (tmp_path / "thing-1.0.dist-info" / "COPYING").unlink()
    assert produce.licence_text(distribution) == "x"
    # From 3.12 on, importlib.metadata leaves out files that do not exist.
    assert sys.version_info >= (3, 12) or "COPYING cannot be read" in capsys.readouterr().err


def test_a_very_long_text_is_cut(tmp_path: Path) -> None:
    distribution = install(tmp_path, "thing", {"LICENSE": "x" * (produce.LONGEST_TEXT + 1)})
    assert len(produce.licence_text(distribution)) == produce.LONGEST_TEXT


@pytest.mark.parametrize(
    ("url", "local"),
    [(None, False), ("https://example.org/thing.whl", False), ("file:///somewhere/thing", True)],
)
def test_what_was_installed_from_a_folder_is_confidential(tmp_path: Path, url: str | None, local: bool) -> None:
    assert produce.is_local(install(tmp_path, "thing", {}, url)) is local
    sent = dict(produce.headers(produce.Event("thing", "1.0", "", local), "run.thing"))
    assert sent["ce_dataclassification"] == (b"confidential" if local else b"public")


def test_the_event() -> None:
    event = produce.Event("thing", "1.0", "text", local=False)
    sent = dict(produce.headers(event, "run.thing"))
    assert sent["ce_id"] == b"run.thing"
    assert sent["content-type"] == b"application/json"
    assert {name for name in sent if not name.startswith("ce_")} == {"content-type"}
    assert json.loads(produce.value(event)) == {"distribution": "thing", "version": "1.0", "text": "text"}


def test_each_name_once_in_order() -> None:
    found = [one.metadata["Name"].lower().replace("_", "-") for one in produce.installed()]
    assert found == sorted(set(found))
    assert "pytest" in found


def test_a_limit_spreads() -> None:
    everything = [one.metadata["Name"] for one in produce.chosen()]
    some = [one.metadata["Name"] for one in produce.chosen(5)]
    assert len(some) == 5
    assert some[0] == everything[0]
    assert everything.index(some[-1]) > len(everything) // 2
    assert [one.distribution for one in produce.events(2)] == [one.metadata["Name"] for one in produce.chosen(2)]


class FakeProducer:
    """Acknowledges or refuses everything at once."""

    error: Any = None
    sent: list[Any]

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        FakeProducer.sent = []

    def produce(self, topic: str, value: bytes, key: str, *, headers: Any, on_delivery: Any) -> None:
        FakeProducer.sent.append((topic, key, dict(headers)["ce_id"]))
        on_delivery(self.error, argparse.Namespace(key=key.encode, partition=lambda: 3, offset=lambda: 7))

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return 0


@pytest.mark.parametrize(("error", "failed"), [(None, 0), ("timed out", 2)])
def test_every_acknowledgement_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Any, failed: int
) -> None:
    monkeypatch.setattr(produce, "Producer", FakeProducer)
    monkeypatch.setattr(FakeProducer, "error", error)
    arguments = argparse.Namespace(bootstrap="x", topic="t", run="r1", limit=2, rate=0.0)
    assert produce.send(arguments) == failed
    first = produce.chosen(2)[0].metadata["Name"]
    assert FakeProducer.sent[0] == ("t", first, f"r1.{first}".encode())
    printed = capsys.readouterr().out.splitlines()
    assert printed[:1] == ([] if error else [f"r1.{first}\t3\t7"])
    assert len(printed) == 2 - failed


def test_an_acknowledgement_does_not_shorten_the_wait() -> None:
    """The stream came all at once where each acknowledgement ended a wait, and kills bunched up in it."""
    polls: list[float] = []

    class Eager:
        """Has an acknowledgement at each poll."""

        def poll(self, timeout: float) -> int:
            polls.append(timeout)
            return 1

    due = time.monotonic() + 0.05
    produce.wait(Eager(), due)
    assert time.monotonic() >= due
    assert len(polls) > 2
    polls.clear()
    produce.wait(Eager(), due)
    assert polls == [0], "one whose time has come is served all the same"


def test_main_ends_with_one_where_something_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(produce, "Producer", FakeProducer)
    monkeypatch.setattr(FakeProducer, "error", "timed out")
    monkeypatch.setattr(sys, "argv", ["produce", "--bootstrap", "x", "--run", "r1", "--limit", "1"])
    assert produce.main() == 1


def test_it_runs_as_a_script_of_its_own() -> None:
    done = subprocess.run([sys.executable, produce.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--bootstrap" in done.stdout
