"""Records of releases: their figures, what changed between two, and their files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiosv3.app.releases import Case, Release, compare, load_release, save_release
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.records import Usage

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def case(name: str, latency: int | None = 100, cost: int = 10, reason: str | None = None) -> Case:
    return Case(name, reason, latency, Usage(model_calls=1, cost_usd_micros=cost))


def release(*cases: Case) -> Release:
    return Release("desk", MADE, ("v1",), cases)


def test_the_figures_of_a_release() -> None:
    made = release(case("a", 300), case("b", 100, 5), case("c", None, 0, "not finished"), case("d", 200))
    assert (made.passed, made.pass_rate, made.cost_usd_micros) == (3, 0.75, 25)
    assert (made.latency_ms(0.5), made.latency_ms(0.99)) == (200, 300)


def test_percentiles_are_nearest_ranks() -> None:
    made = release(*(case(str(n), n) for n in range(1, 201)))
    assert (made.latency_ms(0.5), made.latency_ms(0.99), made.latency_ms(1.0)) == (100, 198, 200)
    assert release(case("a", 7)).latency_ms(0.5) == 7
    assert release(case("a", None)).latency_ms(0.5) is None


def test_what_changed_is_told_over_the_cases_that_both_have() -> None:
    still = case("still wrong", None, 0, "wrong")
    before = release(case("a", 100, 10), case("b", 200, 10, "wrong"), case("c", 100, 10), still, case("old", 900, 900))
    now = release(case("new", 500, 500), case("a", 150, 20, "wrong"), case("b", 300, 10), case("c", 150, 15), still)
    found = compare(before, now)
    assert (found.newly_failing, found.newly_passing) == (("a",), ("b",))
    assert (found.added, found.gone) == (("new",), ("old",))
    assert found.cost_change == pytest.approx(0.5)
    assert found.p50_change == pytest.approx(0.5)
    assert found.p99_change == pytest.approx(0.5)


def test_no_change_is_told_where_there_was_nothing() -> None:
    found = compare(release(case("a", None, 0)), release(case("a", 5, 3)))
    assert (found.cost_change, found.p50_change, found.p99_change) == (None, None, None)
    assert compare(release(case("a")), release(case("b"))).p50_change is None


def test_a_saved_release_is_read_again_and_no_half_is_left(tmp_path: Path) -> None:
    made = release(case("a", reason="wrong"), case("b", None))
    save_release(tmp_path / "release.json", made)
    assert load_release(tmp_path / "release.json", "desk") == made
    assert [path.name for path in tmp_path.iterdir()] == ["release.json"]


def test_a_file_that_is_no_release_of_this_agent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    with pytest.raises(SettingsError, match=r"No such file or directory; '--save .*' makes one"):
        load_release(path, "desk")
    path.write_text('{"agent": "desk"}', encoding="utf-8")
    with pytest.raises(SettingsError, match="is no release that was saved"):
        load_release(path, "desk")
    save_release(path, release(case("a")))
    with pytest.raises(SettingsError, match="is a release of agent 'desk', not of 'other'"):
        load_release(path, "other")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written: No such file or directory"):
        save_release(tmp_path / "nowhere" / "release.json", release(case("a")))
