"""``aiosv3 doctor`` on a living mesh, and where nothing answers: sentences, in ten seconds."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from aiosv3.app.commands.doctor import show
from aiosv3.app.doctor import Examination, Finding

_DEADLINE_S = 10
_SLOW_MACHINE_S = 10
"""The start of Python itself depends on who else uses the machine."""


def test_findings_are_lines_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = Examination(
        (Finding.ok("disk", "room"), Finding.failed("broker", "[bold] gone", "start it")), overdue=False
    )
    show(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "disk", "room"]
    assert lines[1].split() == ["failed", "broker", "[bold]", "gone"]
    assert lines[2].strip() == "→ start it"
    assert lines[3] == "1 ok, 0 warning, 1 failed"


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
def test_a_living_mesh_is_found_well(desk: Any, aiosv3: Any) -> None:
    said = aiosv3("doctor", "--json", "-p", str(desk.file))
    found = json.loads(said.out)
    assert set(found) == {"level", "counts", "findings"}
    assert set(found["findings"][0]) == {"check", "level", "message", "action"}
    by_check = {one["check"]: one for one in found["findings"]}
    assert by_check["broker"]["message"].startswith(f"{desk.bootstrap} answers: Kafka 4.1 or newer")
    assert by_check["group protocol"]["message"].startswith("KIP-848 (consumer), a worker that is killed is noticed")
    assert by_check["topics"]["message"].endswith("with the right partitions and cleanup")
    assert by_check["clock"]["message"].endswith("of the broker's")
    assert {by_check[name]["level"] for name in ("broker", "group protocol", "topics", "clock")} == {"ok"}
    # The model of these tests answers no GET.
    assert [one["check"] for one in found["findings"] if one["level"] == "failed"] == ["pool small"]
    assert said.code == 4


@pytest.mark.kafka
def test_other_partition_counts_fail_before_a_worker_does(idle: Any, kafka_topics: Any, aiosv3: Any) -> None:
    kafka_topics.create("tasks.desk", 5, {"retention.ms": "1000"})
    producer = Producer({"bootstrap.servers": idle.bootstrap})
    producer.produce(kafka_topics.create("memory.queries", 2), b"who is there?")
    assert producer.flush(30) == 0
    said = aiosv3("doctor", "-p", str(idle.file))
    assert f"1 record waits on {idle.prefix}memory.queries, and nobody works on it" in said.out
    assert f"{idle.prefix}tasks.desk has 5, not 2" in said.out
    assert f"{idle.prefix}tasks.desk has retention.ms 1000" in said.out
    assert said.code == 4


_POOL = '[pools.p]\nkind = "openai"\nmodel = "m"\nbase_url = "http://{dead}/v1"\n'
_DEAD = '[kafka]\nbootstrap = "{broker}"\n{more}[registry]\nurl = "http://{dead}"\n' + _POOL
_LOGIN = (
    'properties = { "security.protocol" = "SASL_PLAINTEXT", "sasl.mechanism" = "PLAIN", "sasl.username" = "u", '
    '"sasl.password" = "pw-of-mine" }\n'
)


@pytest.mark.kafka
@pytest.mark.process
def test_where_nothing_answers_each_is_a_sentence_within_ten_seconds(
    tmp_path: Path, kafka: str, black_hole: int, aiosv3_process: Any
) -> None:
    """A closed port, one that swallows everything, and a broker that does not let us in: side by side, as they wait."""
    hole = f"127.0.0.1:{black_hole}"
    cases = {
        "closed": (_DEAD.format(broker="127.0.0.1:1", dead="127.0.0.1:1", more=""), "no Kafka broker answered at "),
        "hole": (_DEAD.format(broker=hole, dead=hole, more=""), "no Kafka broker answered at "),
        "login": (_DEAD.format(broker=kafka, dead=hole, more=_LOGIN), "does not let aiosv3-doctor in ("),
    }

    def run(name: str) -> tuple[Any, float]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "aiosv3.toml").write_text(cases[name][0], encoding="utf-8")
        began = time.monotonic()
        return aiosv3_process("doctor", cwd=tmp_path / name), time.monotonic() - began

    with ThreadPoolExecutor(3) as threads:
        found = dict(zip(cases, threads.map(run, cases), strict=True))
    for name, (said, took) in found.items():
        assert (said.code, said.err) == (4, ""), name
        assert took < _DEADLINE_S + _SLOW_MACHINE_S, name
        lines = said.out.splitlines()
        failed = [line for line in lines if line.startswith("failed")]
        assert [line.split()[1] for line in failed] == ["broker", "registry", "pool"], said.out
        assert cases[name][1] in failed[0]
        assert "does not answer" in failed[1]
        assert "Traceback" not in said.out
        assert "pw-of-mine" not in said.out
        assert lines[-1].endswith("3 failed")


@pytest.mark.process
def test_settings_that_are_wrong_end_with_2(tmp_path: Path, aiosv3: Any) -> None:
    (tmp_path / "aiosv3.toml").write_text("[kafka]\nbootstrap = 'http://x'", encoding="utf-8")
    assert aiosv3("doctor", "-p", str(tmp_path)).code == 2


_HANGS = """
import asyncio, threading
from aiosv3.app.doctor import CHECKS
for name in set(CHECKS) - {"project", "versions"}:
    del CHECKS[name]
CHECKS["pooled"] = lambda case: asyncio.to_thread(threading.Event().wait, 60)
from aiosv3.app.cli import main
main()
"""


@pytest.mark.process
def test_a_check_that_hangs_does_not_hold_the_command(tmp_path: Path) -> None:
    """Somebody's module that never ends to import, and a thread of a pool, which a process waits for when it ends."""
    (tmp_path / "slow.py").write_text("import threading\nthreading.Event().wait(60)\n", encoding="utf-8")
    (tmp_path / "aiosv3.toml").write_text('agents = ["slow:agent"]\n[pools.p]\nkind = "local"\n', encoding="utf-8")
    began = time.monotonic()
    command = [sys.executable, "-c", _HANGS, "doctor"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert time.monotonic() - began < _DEADLINE_S + _SLOW_MACHINE_S
    assert (said.returncode, said.stderr) == (4, "")
    failed = [line.split()[1] for line in said.stdout.splitlines() if "no answer within 6.5 s" in line]
    assert failed == ["project", "pooled"]
