"""``aiosv3 route``: without a broker what a policy would do; on a real one what it did, and a policy put in force."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.commands.route import _since
from aiosv3.app.settings import SettingsError

_PROJECT = """
[pools.own]
kind = "vllm"
base_url = "http://127.0.0.1:9/v1"
model = "llama"
clearance = "restricted"
region = "eu"
data_terms = ["no_training"]

[pools.cloud]
kind = "vllm"
base_url = "http://127.0.0.1:9/v1"
model = "large"
clearance = "confidential"
quality = 0.9
"""
_POLICY = """
classes:
  confidential: {regions: [eu], terms: [no_training]}
tenants:
  acme: {default_class: confidential}
"""
_WAIT_S = 30.0
real = [pytest.mark.kafka, pytest.mark.process, pytest.mark.xdist_group("app-desk")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "aiosv3.toml").write_text(_PROJECT, encoding="utf-8")
    (tmp_path / "routing.yaml").write_text(_POLICY, encoding="utf-8")
    return tmp_path


def test_a_request_that_there_is_not(project: Path, aiosv3: Any) -> None:
    hard = ("route", "explain", "--complexity", "0.9", "-p", str(project))
    said = aiosv3(*hard, "--tenant", "acme")
    assert said.code == 0
    assert "→ pool own (llama)" in said.out
    assert "the data may be in: eu" in said.out
    (found,) = json.loads(aiosv3(*hard, "--class", "public", "-r", "max_tokens=10", "-r", "tried=own", "--json").out)
    assert (found["pool"], found["policy_version"] != "1") == ("cloud", True)
    assert found["candidates"][1]["parts"]["quality"] > 0
    refused = aiosv3(*hard, "--class", "restricted", "-r", "regions=us")
    assert "→ refused with ClearanceDenied" in refused.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-r", "colour=red"), "write KEY=VALUE with one of agent"),
        (("-r", "max_tokens=many"), "this is not a number"),
        (("--class", "secret"), "--data-class: Input should be 'public'"),
        (("-f", "missing.yaml"), "there is no missing.yaml"),
    ],
)
def test_a_request_that_could_not_be(project: Path, aiosv3: Any, options: tuple[str, ...], said: str) -> None:
    got = aiosv3("route", "explain", "-p", str(project), *options)
    assert (got.code, said in got.err) == (2, True), got.err


def test_a_file_that_is_wrong_is_told_by_its_lines(project: Path, aiosv3: Any) -> None:
    (project / "routing.yaml").write_text("rules:\n  - name: r\n    pools: [owm]\n", encoding="utf-8")
    got = aiosv3("route", "explain", "-p", str(project))
    assert got.code == 2
    assert f"{project / 'routing.yaml'}:3: there is no pool 'owm'; did you mean own?" in got.err


def test_expectations(project: Path, aiosv3: Any) -> None:
    table = project / "expected.yaml"
    table.write_text(
        "cases:\n"
        "  - {name: private, request: {tenant: acme, complexity: 0.9}, expect: {pool: own}}\n"
        "  - {name: hard, request: {data_class: public, complexity: 0.9}, expect: {pool: own}}\n",
        encoding="utf-8",
    )
    got = aiosv3("route", "test", str(table), "-p", str(project))
    assert got.code == 1
    assert f"{table}:3: hard\n  - pool own\n  + pool cloud: best of" in got.out
    assert "1 of 2 expectations hold" in got.out
    said = json.loads(aiosv3("route", "test", str(table), "-p", str(project), "--json").out)
    assert (said["failed"], [case["holds"] for case in said["cases"]]) == (1, [True, False])
    table.write_text("cases:\n  - name: x\n    expect: {pol: own}\n", encoding="utf-8")
    assert ":3: cases.0.expect.pol" in aiosv3("route", "test", str(table), "-p", str(project)).err


def test_times() -> None:
    assert _since("") == 0
    assert _since("2026-01-31T12:00:00Z") == 1_769_860_800_000
    assert abs(_since("2h") - (time.time() - 7_200) * 1000) < 5_000
    for wrong in ("yesterday", "2026-01-31T12:00:00", "2w"):
        with pytest.raises(SettingsError):
            _since(wrong)


class TestOnABroker:
    pytestmark = real

    def test_from_a_push_to_a_replay(self, desk: Any, aiosv3: Any, answered: str, tmp_path: Path) -> None:
        """One stack, one story: workers follow a push; a bad file changes nothing; all decisions can be made again."""
        place = ("-p", str(desk.file))
        before = json.loads(aiosv3("route", "explain", "traced", "--json", *place).out)
        assert (before[0]["pool"], before[0]["policy_version"], before[0]["error"]) == ("small", "1", None)
        file = tmp_path / "policy.yaml"
        try:
            file.write_text("rules: [{name: desks, match: {workflow: desk}}]\n", encoding="utf-8")
            pushed = json.loads(aiosv3("route", "push", "-f", str(file), "--json", *place).out)
            assert (pushed["before"], pushed["changed"]) == (None, True)
            decided = self.until(aiosv3, desk, pushed["version"])
            assert (decided["pool"], decided["rules"]) == ("small", ["desks"])
            assert "is in force already" in aiosv3("route", "push", "-f", str(file), *place).out

            file.write_text("rules: [{name: desks, pools: [nowhere]}]\n", encoding="utf-8")
            wrong = aiosv3("route", "push", "-f", str(file), *place)
            assert (wrong.code, "policy.yaml:1: there is no pool 'nowhere'" in wrong.err) == (2, True)

            file.write_text("classes: {public: {regions: [mars]}}\n", encoding="utf-8")
            closed = json.loads(aiosv3("route", "push", "-f", str(file), "--json", *place).out)
            denied = self.until(aiosv3, desk, closed["version"])
            assert (denied["outcome"], denied["error"]["type"]) == ("refused", "ClearanceDenied")
        finally:
            file.write_text("", encoding="utf-8")
            back = json.loads(aiosv3("route", "push", "-f", str(file), "--json", *place).out)
        self.until(aiosv3, desk, back["version"])

        again = aiosv3("route", "replay", "--json", *place)
        made = json.loads(again.out)
        assert (again.code, made["different"], made["lost"]) == (0, 0, {}), made
        assert made["same"] >= 4
        file.write_text("rules: [{name: desks, not_pools: small}]\n", encoding="utf-8")
        forecast = aiosv3("route", "replay", "--policy", str(file), "--from", "1h", *place)
        assert forecast.code == 0
        assert "decisions would go elsewhere" in forecast.out
        assert "→ pool small (tiny)" in aiosv3("route", "explain", answered, *place).out
        assert aiosv3("route", "explain", "nobody", *place).code == 2
        assert "→ pool small" in aiosv3("route", "explain", "--live", *place).out

    @staticmethod
    def until(aiosv3: Any, desk: Any, version: str) -> dict[str, Any]:
        """Sends tasks until one is decided by a version; its decision."""
        place = ("-p", str(desk.file))
        deadline = time.monotonic() + _WAIT_S
        while True:
            task_id = f"route-{uuid.uuid4().hex[:8]}"
            sent = aiosv3("task", "send", "desk", "--json", '{"text": "ask"}', "--id", task_id, *place)
            aiosv3("task", "get", sent.out.strip(), "--wait", "30", *place)
            decisions: list[dict[str, Any]] = json.loads(aiosv3("route", "explain", task_id, "--json", *place).out)
            if decisions[-1]["policy_version"] == version:
                return decisions[-1]
            assert time.monotonic() < deadline, desk.logs()
