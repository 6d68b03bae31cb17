"""How a run is put together: who is asked for, what is left out and why, and places of programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from beside import places
from beside.command import Run, added, install, parsed, wanted
from beside.contenders import CONTENDERS, OURS
from beside.places import PROGRAMS, Place, Running, memory_mb, tree_seconds, until
from beside.stream import Bench, Sizes, merged
from beside.systems import SYSTEMS
from peers import NotHere


def run(until_: float = float("inf")) -> Run:
    return Run(Bench("", Path()), os.getpid(), "tiny", until_, "a command", lambda _: None)


def test_what_cannot_be_had_is_left_out_with_its_reason() -> None:
    def missing() -> dict[str, Any]:
        raise NotHere("it needs\n  what is not here")

    made = run()
    assert made.try_("Peer", "kill -9", missing) is None
    assert made.left_out == {"Peer, kill -9": "it needs what is not here"}


def test_what_could_not_be_installed_is_tried_once_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def installed(command: list[str], _folder: Path) -> None:
        tries.append(command)
        raise NotHere("there is no network")

    monkeypatch.setattr(places, "_installed", installed)
    monkeypatch.setattr(places, "_FAILED", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    install(["stream", "steps"], ["restate", "faust"])
    assert len(tries) == 2
    restate = next(each for each in SYSTEMS if each.name == "Restate")
    with pytest.raises(NotHere, match="there is no network"):
        restate.place.interpreter()
    assert len(tries) == 2


def test_a_run_ends_in_time() -> None:
    made = run(until_=time.monotonic() - 1)
    assert made.try_("Peer", "no-op", lambda: pytest.fail("measured after the end")) is None
    assert made.left_out == {"Peer, no-op": "the time of the run was over"}


def test_what_came_to_nothing_is_no_number() -> None:
    assert run().try_("Peer", "kill -9", lambda: {"recovery": float("nan"), "lost": 0}) == {"recovery": None, "lost": 0}


def test_a_section_is_stamped_with_what_was_true_of_the_machine() -> None:
    with run().section() as found:
        found["rows"]["one"] = {}
    assert found["told"]["command"] == "a command"
    assert found["told"]["cores"] == os.cpu_count()
    assert len(found["told"]["load"]) == 2


def test_rows_of_another_run_say_so_and_keep_the_rest() -> None:
    told = {"date": "2026-01-31", "load": [1.0, 2.0]}
    before = {
        "told": {},
        "rows": {"AIOSv3": {"note": "a"}, "Faust": {"note": "b"}},
        "left_out": {"Faust, kill -9": "x"},
    }
    new = {"told": told, "rows": {"Faust": {"note": "c"}}, "left_out": {}}
    found = added(before, new)
    assert list(found["rows"]) == ["AIOSv3", "Faust"]
    assert found["rows"]["AIOSv3"] == {"note": "a"}
    assert found["rows"]["Faust"]["note"] == "c; measured in a run of its own (2026-01-31, load 1.0 to 2.0)"
    assert (found["told"], found["left_out"]) == ({}, {})
    assert added(None, new) is new


def test_peers_are_asked_for_by_the_beginnings_of_their_names() -> None:
    assert [each.name for each in CONTENDERS if wanted(each.name, ["fa"])] == ["Faust", "FastStream"]
    assert all(wanted(each.name, None) for each in CONTENDERS)
    assert parsed(["--quick", "--only", "steps"]).kind == "quick"
    assert parsed([]).kind == "full"


def test_everybody_has_a_program_and_a_place_of_their_own() -> None:
    scripts = {each.script for each in CONTENDERS}
    assert len(scripts) == len(CONTENDERS)
    assert all((PROGRAMS / script).exists() for script in scripts)
    versions = {package for each in (*CONTENDERS, *SYSTEMS) for package in each.place.packages if "==" in package}
    assert versions, "peers are pinned"
    assert OURS.topics("p.", "wait") == ("p.tasks.waits", "p.results.waits")


@pytest.mark.parametrize("kind", ["full", "quick", "tiny"])
def test_a_kill_comes_while_there_is_work(kind: str) -> None:
    sizes = Sizes.of(kind)
    assert sizes.kill_s >= 4
    assert sizes.rounds >= 2


def test_rounds_are_merged_by_their_medians() -> None:
    assert merged([{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 4.0}, {"a": 2.0, "b": 9.0}]) == {"a": 2.0, "b": 5.0}


def test_a_process_greets_answers_and_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys\nprint('hello')\nprint('ready', flush=True)\n"
        "for line in sys.stdin: print(line.upper(), end='', flush=True)"
    )
    process = Running("echo", [sys.executable, "-c", code], {}, tmp_path).start()
    process.tell("one")
    assert process.line(30) == "ONE"
    assert process.process is not None
    assert memory_mb(process.process.pid) > 1
    process.kill()
    assert process.process.poll() == -9
    assert memory_mb(process.process.pid) == 0


def test_a_process_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    process = Running("ends", [sys.executable, "-c", "raise SystemExit('there is no broker')"], {}, tmp_path)
    with pytest.raises(NotHere, match="ends ended: there is no broker"):
        process.start()


def test_what_never_comes_true_is_given_up() -> None:
    assert not until(lambda: False, 0.05, 0.01)
    assert until(lambda: True, 0.0)


def test_the_processor_time_of_a_tree_is_seen() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(1, flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert tree_seconds(process.pid) >= 0.15
        process.kill()


def test_a_place_without_packages_is_this_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Place("").interpreter() == sys.executable
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="no 'npm' on this machine"):
        Place("peer-1", ("peer==1",), npm="peer").interpreter()
