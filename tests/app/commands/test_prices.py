"""``aiosv3 prices``: what is shown, what is taken over, and calls on a real log under two tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.commands.prices import _show_lines
from aiosv3.app.pricediff import Line
from aiosv3.app.pricing import table_of
from aiosv3.app.settings import Settings
from aiosv3.router.prices import packaged_table

_POOLS = """
[pools.luna]
kind = "openai"
model = "gpt-6-luna"

[pools.mine]
kind = "openai"
model = "m"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project file with two pools in the cloud, one of them of unknown price."""
    path = tmp_path / "aiosv3.toml"
    path.write_text(_POOLS)
    return path


def table(path: Path, *prices: tuple[float, float], provider: str = "desk", host: str = "127.0.0.1") -> Path:
    entry = {"provider": provider, "model": "tiny", "effective_from": "2026-01-01", "source": "https://x"}
    content = {
        "format": 1,
        "checked": "2026-01-01",
        "providers": {provider: {"hosts": [host]}},
        "prices": [{**entry, "input": one, "output": other} for one, other in prices],
    }
    path.write_text(json.dumps(content))
    return path


def test_pools_first_then_the_table(project: Path, aiosv3: Any) -> None:
    said = aiosv3("prices", "show", "-p", str(project))
    assert said.code == 0
    assert said.out.startswith("pool luna: 0.10/0.50 USD per million tokens in/out since 2026-09-22")
    assert "nobody knows what pool mine" in said.out
    assert "claude-haiku-5-5" in said.out
    assert f"version {packaged_table().version}" in said.out
    found = json.loads(aiosv3("prices", "show", "--json", "-p", str(project)).out)
    assert set(found) == {"version", "checked", "pools", "prices"}
    assert [(one["pool"], one["says"]) for one in found["pools"]] == [("luna", "table"), ("mine", "nobody")]
    models = [one["model"] for one in found["prices"]]
    assert len(set(models)) == len(models), "one price a model: that of now"


def test_one_model_with_all_its_prices(project: Path, aiosv3: Any) -> None:
    found = json.loads(aiosv3("prices", "show", "gemini-4-argon", "--json", "-p", str(project)).out)
    assert [one["effective_from"] for one in found["prices"]] == ["2026-10-13", "2026-12-01"]
    assert found["pools"] == []
    said = aiosv3("prices", "show", "nobodys", "-p", str(project))
    assert (said.code, "aiosv3 prices update nobodys" in said.err) == (2, True)


def test_a_table_that_is_wrong_is_said_in_words(project: Path, aiosv3: Any) -> None:
    (project.parent / "prices.json").write_text('{"format": 2}')
    said = aiosv3("prices", "show", "-p", str(project))
    assert said.code == 2
    assert "prices.json: " in said.err


def test_newer_prices_go_into_the_projects_own_table(project: Path, aiosv3: Any) -> None:
    pytest.importorskip("genai_prices")
    own = project.parent / "prices.json"
    first = aiosv3("prices", "update", "openai/gpt-5-nano", "gpt-6-luna", "-p", str(project))
    assert first.code == 0, first.err
    assert first.out.startswith(f"{own}: 2 prices, 1 of them other than before")
    settings = Settings(folder=project.parent)
    assert table_of(settings).find("openai", "gpt-5-nano", 0) is not None
    assert table_of(settings).find("openai", "gpt-6.2-sol", 0) is not None, "the packaged table is there all the same"
    before = own.read_text()
    again = json.loads(aiosv3("prices", "update", "openai/gpt-5-nano", "--json", "-p", str(project)).out)
    assert (again["changed"], again["version"]) == ([], table_of(settings).version)
    assert own.read_text() == before or json.loads(own.read_text()).keys() == json.loads(before).keys()
    assert "gpt-6-luna" in own.read_text(), "what was there stays"
    everything = aiosv3("prices", "update", "-p", str(project))
    assert (everything.code, list(project.parent.glob("*.new"))) == (0, [])


@pytest.mark.parametrize(
    ("asked", "words"),
    [("nobodys", "Write PROVIDER/nobodys"), ("openai/nobodys", "genai-prices knows none of these models")],
)
def test_what_cannot_be_updated(project: Path, aiosv3: Any, asked: str, words: str) -> None:
    pytest.importorskip("genai_prices")
    said = aiosv3("prices", "update", asked, "-p", str(project))
    assert (said.code, words in said.err) == (2, True), said.err
    assert not (project.parent / "prices.json").exists()


def test_without_a_project_there_is_nowhere_to_keep_prices(
    tmp_path: Path, aiosv3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("genai_prices")
    monkeypatch.chdir(tmp_path)
    said = aiosv3("prices", "update", "openai/gpt-5-nano")
    assert (said.code, "no project here" in said.err) == (2, True)


def test_a_comparison_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    _show_lines([], Line("", ""))
    assert "No calls" in capsys.readouterr().out
    known = Line("a", "m", 1, 10, 0, 5, 14, 14, 38)
    _show_lines([known, Line("b", "n", 1, 1, 0, 1, 2, None, None)], known)
    said = capsys.readouterr().out
    assert "no price" in said
    assert "+0.000024" in said


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
@pytest.mark.usefixtures("answered")
def test_recorded_calls_under_two_tables(desk: Any, aiosv3: Any, tmp_path: Path) -> None:
    old, new = table(tmp_path / "old.json", (1, 2)), table(tmp_path / "new.json", (3, 4))
    place = ("-p", str(desk.file))
    found = json.loads(aiosv3("prices", "diff", str(old), str(new), "--json", *place).out)
    (line,) = found["lines"]
    calls = line["calls"]
    assert calls >= 1
    assert (line["pool"], line["model"]) == ("small", "tiny")
    assert line["recorded_usd_micros"] == line["old_usd_micros"] == 14 * calls, "10 tokens in, 2 out"
    assert (line["new_usd_micros"], line["delta_usd_micros"]) == (38 * calls, 24 * calls)
    assert found["total"] == {name: value for name, value in line.items() if name not in {"pool", "model"}}
    assert found["old"] != found["new"]
    unknown = json.loads(aiosv3("prices", "diff", "packaged", "project", "--json", *place).out)
    assert (unknown["lines"][0]["old_usd_micros"], unknown["total"]["calls"]) == (None, 0)
    none = json.loads(aiosv3("prices", "diff", str(old), str(new), "--since", "0s", "--json", *place).out)
    assert none["lines"] == []
    assert "that both tables know" in aiosv3("prices", "diff", str(old), str(new), *place).out
