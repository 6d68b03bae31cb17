"""``task send --after|--cron`` and ``schedules list``: what is refused in words; and both on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aiosv3.app.commands.schedules import Later, Open, seconds_of
from aiosv3.app.schedules import PLACE, Schedule
from aiosv3.app.settings import SettingsError
from aiosv3.schemas.topics import TaskHandle

if TYPE_CHECKING:
    from tests.app.conftest import ProjectFolder, Said

Run = Callable[..., "Said"]
SEND = ("task", "send", "desk", "--json", '{"text": "hi"}', "--as", "zoe")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d12h", 129_600), ("2w", 1_209_600), ("0.5s", 0.5)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "two hours", "2h!"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(SettingsError, match="write 90s, 15m, 2h"):
        seconds_of(text)


def test_options_become_a_plan() -> None:
    assert not Later()
    plan = Later(after="2h").plan("desk", b'{"text": "hi"}', "k", "0.5")
    assert (plan.input, plan.after_seconds, plan.key, str(plan.cost_limit_usd)) == ({"text": "hi"}, 7_200, "k", "0.5")
    plan = Later(cron="0 7 * * 1-5", timezone="Europe/Berlin").plan("desk", b"1", None, None)
    assert (plan.cron, plan.timezone) == ("0 7 * * 1-5", "Europe/Berlin")


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (Later("2h", "* * * * *"), "either cron or after_seconds"),
        (Later(cron="daily"), "no cron expression"),
        (Later(cron="* * * * *", timezone="Atlantis"), "no time zone"),
    ],
)
def test_what_cannot_be_scheduled_is_said_before_anything_is_sent(later: Later, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        later.plan("desk", b"1", None, None)


def test_a_row() -> None:
    moment = datetime(2026, 11, 30, 6, tzinfo=UTC)
    plan = Schedule(agent="desk", input=1, after_seconds=5_400)
    one = Open(TaskHandle("schedule", 1, "x"), plan, moment, moment)
    assert one.when() == "once, after 1:30:00"
    assert one.row() == {
        "schedule": "schedule:1:x",
        "agent": "desk",
        "cron": None,
        "timezone": None,
        "after_seconds": 5_400,
        "key": None,
        "since": "2026-11-30T06:00:00+00:00",
        "next": "2026-11-30T06:00:00+00:00",
    }


@pytest.fixture(scope="module")
def keeper(desk: ProjectFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project ``desk`` with an agent more, the schedules, whose worker runs."""
    folder = tmp_path_factory.mktemp("keeper")
    text = desk.file.read_text(encoding="utf-8").replace('["letters_desk:desk"', f'["letters_desk:desk", "{PLACE}"')
    (folder / "aiosv3.toml").write_text(text, encoding="utf-8")
    (folder / "letters_desk.py").write_bytes((desk.folder / "letters_desk.py").read_bytes())
    other = type(desk)(folder, desk.bootstrap, desk.prefix, desk.endpoint_port)
    other.file.write_text(text, encoding="utf-8")
    other.wait_ready([other.start("agent", "schedule")])
    yield other.file
    assert set(other.stop().values()) == {0}, other.logs()


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
class TestReal:
    def test_where_nobody_keeps_schedules(self, idle: ProjectFolder, aiosv3: Run) -> None:
        for command in ((*SEND, "--after", "1s"), ("schedules", "list")):
            said = aiosv3(*command, "--project", str(idle.file))
            assert said.code == 2
            assert f'add "{PLACE}" to agents' in said.err

    def test_once(self, keeper: Path, desk: ProjectFolder, aiosv3: Run) -> None:
        here = ("--project", str(keeper))
        said = aiosv3(*SEND, "--after", "0.2s", "--key", "ann", *here)
        assert (said.code, said.out.partition(":")[0]) == (0, "schedule")
        got = aiosv3("task", "get", said.out.strip(), "--wait", "60", "--json", *here)
        started = json.loads(got.out)["output"]["started"]
        assert started.startswith("desk:")
        result = json.loads(aiosv3("task", "get", started, "--wait", "60", "--json", "--project", str(desk.file)).out)
        assert (result["outcome"], result["output"], result["task_key"]) == ("OK", {"text": "HI"}, "ann")

    def test_again_and_again_listed_and_ended(self, keeper: Path, aiosv3: Run) -> None:
        here = ("--project", str(keeper))
        when = ("--cron", "0 7 * * 1-5", "--timezone", "Europe/Berlin", "--id", "weekdays")
        handle = aiosv3(*SEND, *when, *here).out.strip()
        listed = aiosv3("schedules", "list", *here).out
        assert handle in listed
        assert "0 7 * * 1-5 (Europe/Berlin)" in listed
        (row,) = json.loads(aiosv3("schedules", "list", "--json", *here).out)
        assert (row["schedule"], row["agent"], row["timezone"]) == (handle, "desk", "Europe/Berlin")
        assert datetime.fromisoformat(row["next"]) > datetime.now(UTC)
        assert aiosv3("task", "cancel", handle, *here).code == 0
        assert aiosv3("task", "get", handle, "--wait", "60", *here).code == 1
        assert aiosv3("schedules", "list", *here).out == "no schedules\n"

    def test_an_agent_that_is_not_there(self, keeper: Path, aiosv3: Run) -> None:
        said = aiosv3("task", "send", "nobody", "--json", "1", "--after", "1s", "--project", str(keeper))
        assert said.code == 2
        assert "no agent 'nobody'" in said.err
