"""``aiosv3 replay`` and ``task stuck|retry|fail|migrate`` on a real broker with a real worker."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents import Context, agent
from aiosv3.agents.opentasks import Tried, find_tasks, try_task
from aiosv3.agents.testing import NEVER, MeshTest
from aiosv3.app.commands.replay import _check_secret, _show, report
from aiosv3.app.settings import SettingsError


@agent
async def pair(ctx: Context, word: str) -> str:
    first = await ctx.generate(f"first {word}")
    return await ctx.generate(f"second {first} " + 200 * "x")


@pytest.fixture
def tried() -> Tried:
    """A task that waits for its second step."""
    mesh = MeshTest(pair)
    mesh.model(["said", NEVER])
    mesh.start(pair, "a")
    mesh._world.settle()
    log, setup = mesh._world.history.log("pair"), mesh._cast.setup(pair)
    return try_task(find_tasks(log, setup)[0], log, setup)


def test_a_task_is_told_step_by_step(tried: Tried, capsys: pytest.CaptureFixture[str]) -> None:
    _show("pair:0:pair-1", tried, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "   1 model    first a"
    assert lines[1].startswith('     OK @2 {"text": "said"')
    assert lines[2].startswith("   2 model    second said xxx")
    assert lines[2].endswith("…")
    assert lines[3] == "     no answer yet"
    assert lines[4].startswith("pair:0:pair-1 waits for step 2 (model: second said")


def test_what_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report([("pair:0:x", Tried("x", None, "no record of Pair"))], as_json=False)
    assert capsys.readouterr().out == "unreadable pair:0:x today's code cannot read it: no record of Pair\n"
    _show("pair:0:x", Tried("x", None, "no record of Pair"), as_json=True)
    assert json.loads(capsys.readouterr().out)["state"] == "unreadable"


def test_another_secret_is_noticed(tried: Tried) -> None:
    assert tried.replayed is not None
    _check_secret([tried])
    tried.replayed.forged = 1
    _check_secret([tried])
    for step in tried.replayed.steps:
        step.answer = None
    with pytest.raises(SettingsError, match="not that of production"):
        _check_secret([tried])


@pytest.mark.parametrize("arguments", [(), ("desk:0:x", "--open", "desk")])
def test_one_thing_is_named(aiosv3: Any, arguments: tuple[str, ...]) -> None:
    said = aiosv3("replay", *arguments)
    assert (said.code, "or an agent with --open" in said.err) == (2, True)


# -- on the broker ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed(desk: Any) -> Path:
    """The same project, with code that asks for something else."""
    module = (desk.folder / "letters_desk.py").read_text(encoding="utf-8")
    (desk.folder / "changed_desk.py").write_text(module.replace("'a question'", "'une question'"), encoding="utf-8")
    file: Path = desk.folder / "changed.toml"
    text = desk.file.read_text(encoding="utf-8").replace("letters_desk:desk", "changed_desk:desk")
    file.write_text(text, encoding="utf-8")
    return file


def waiting_task(desk: Any, aiosv3: Any) -> str:
    """The handle of a task whose model has answered, and that waits for a message."""
    sent = aiosv3("task", "send", "desk", "--json", '{"text": "both"}', "--id", uuid.uuid4().hex, "-p", str(desk.file))
    handle = str(sent.out.strip())
    deadline = time.monotonic() + 30
    while "receive: message note" not in aiosv3("replay", handle, "-p", str(desk.file)).out:
        assert time.monotonic() < deadline, desk.logs()
        threading.Event().wait(0.1)
    return handle


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
def test_open_tasks_are_tried_and_a_stuck_one_is_migrated(desk: Any, changed: Path, aiosv3: Any) -> None:
    handle, project = waiting_task(desk, aiosv3), str(desk.file)

    fits = aiosv3("replay", "--open", "desk", "-p", project)
    assert fits.code == 0, fits.out
    assert f"ok         {handle} waits for step 2 (receive: message note)" in fits.out
    assert fits.out.splitlines()[-1].endswith("go on with this code, 0 would be stuck")

    diverges = aiosv3("replay", "--open", "desk", "--json", "-p", str(changed))
    (mine,) = [one for one in json.loads(diverges.out) if one["task"] == handle]
    assert (diverges.code, mine["state"]) == (1, "diverged")
    assert mine["stuck"].startswith("step 1 asks for something else")

    listed = aiosv3("task", "stuck", "desk", "-p", str(changed))
    assert (listed.code, handle in listed.out) == (1, True)
    assert aiosv3("task", "migrate", handle, "-p", project).code == 1

    migrated = aiosv3("task", "migrate", handle, "-p", str(changed))
    assert (migrated.code, "asks anew from record" in migrated.out) == (0, True), migrated.err
    assert aiosv3("task", "retry", handle, "-p", project).code == 0
    assert aiosv3("task", "tell", handle, "note", '{"text": "done"}', "-p", project).code == 0
    got = aiosv3("task", "get", handle, "--wait", "30", "-p", project)
    assert (got.code, json.loads(got.out)) == (0, {"text": "an answer done"})
    told = aiosv3("replay", handle, "-p", project)
    assert (told.code, "1@1" in told.out, told.out.splitlines()[-1]) == (0, True, f"{handle} ended OK")


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
def test_a_task_is_failed_by_hand(desk: Any, aiosv3: Any) -> None:
    handle = waiting_task(desk, aiosv3)
    assert aiosv3("task", "fail", handle, "--reason", "wrong release", "-p", str(desk.file)).code == 0
    got = aiosv3("task", "get", handle, "--wait", "30", "-p", str(desk.file))
    assert (got.code, got.err) == (1, "FAILED: FailedByOperator: wrong release\n")
    unknown = aiosv3("replay", "desk:0:never-sent", "-p", str(desk.file))
    assert (unknown.code, unknown.err) == (3, "desk:0:never-sent: no record of it is left\n")
