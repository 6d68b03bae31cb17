"""``aiosv3 keys …``, and a sealed project from the command line to the broker's bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.reading import Reading
from aiosv3.app.settings import load_settings
from aiosv3.app.workers import open_mesh
from aiosv3.schemas.headers import Clearance
from aiosv3.streams.keys import MasterKeys

SECONDS = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "aiosv3.toml").write_text('[sealing]\nfrom = "confidential"\nkeys = "file:data.keys"\n')
    return tmp_path


def test_master_keys_are_private_and_never_written_over(aiosv3: Any, project: Path) -> None:
    place = ("-p", str(project))
    said = aiosv3("keys", "new", *place)
    path = project / ".aiosv3" / "master-keys"
    assert (said.code, path.stat().st_mode & 0o777) == (0, 0o600)
    assert "Keep a copy" in said.out
    before = path.read_text()
    again = aiosv3("keys", "new", *place)
    assert again.code == 2
    assert "not written over" in again.err
    assert path.read_text() == before
    assert list(MasterKeys.parse(before).names) == list(Clearance)
    assert not any(line.split('"')[1] in said.out for line in before.splitlines())


def test_another_machine_gets_the_classes_that_it_may_see(aiosv3: Any, project: Path, tmp_path: Path) -> None:
    place = ("-p", str(project))
    missing = aiosv3("keys", "copy", str(tmp_path / "p"), "--up-to", "internal", *place)
    assert missing.code == 2
    assert "'aiosv3 keys new' makes one" in missing.err
    aiosv3("keys", "new", *place)
    out = tmp_path / "for-the-pool"
    said = aiosv3("keys", "copy", str(out), "--up-to", "internal", *place, "--json")
    told = json.loads(said.out)
    assert list(told["master_keys"]) == ["public", "internal"]
    held = MasterKeys.parse(out.read_text())
    whole = MasterKeys.parse((project / ".aiosv3" / "master-keys").read_text())
    assert held.names == {c: n for c, n in whole.names.items() if c <= Clearance.INTERNAL}
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new", "--up-to", "secret"), "--up-to: 'secret' is no clearance"),
        (("shred", "--yes"), "say whose keys"),
        (("shred", "--subject", "ana", "--without-subject", "--yes"), "say whose keys"),
        (("renew",), "say whose keys"),
    ],
)
def test_what_cannot_be_meant(aiosv3: Any, project: Path, arguments: tuple[str, ...], words: str) -> None:
    said = aiosv3("keys", *arguments, "-p", str(project))
    assert said.code == 2
    assert words in said.err


def test_a_variable_holds_them_where_settings_say_so(
    aiosv3: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOSV3_SEALING__MASTER", "env:KEYS_OF_MINE")
    said = aiosv3("keys", "new", "-p", str(project))
    assert said.code == 2
    assert "name a file with --out" in said.err
    assert aiosv3("keys", "new", "--out", str(project / "new"), "-p", str(project)).code == 0


@pytest.fixture
def sealed(idle: Any, kafka: str, topic_prefix: str, model_port: int, aiosv3: Callable[..., Any]) -> Iterator[Any]:
    """A project that seals what is internal, its workers up."""
    made = type(idle)(idle.folder, kafka, topic_prefix, model_port)
    with made.file.open("a") as file:
        file.write('\n[sealing]\nfrom = "internal"\n')
    assert aiosv3("keys", "new", "-p", str(made.file)).code == 0
    try:
        workers = (("agent", "desk"), ("router",), ("pool", "small"), ("desk",))
        made.wait_ready([made.start(*worker) for worker in workers])
        yield made
        codes = made.stop()
        assert set(codes.values()) == {0}, f"{codes}\n{made.logs()}"
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


async def _raw(file: Path) -> dict[str, bytes]:
    """Every value and header of every topic."""
    found: dict[str, bytes] = {}
    settings = load_settings(file)
    async with open_mesh(settings, "test") as mesh:
        topics, reading = mesh.topics, Reading(mesh)
        names = [topics.prompts(), topics.pool_prompts("small"), topics.completions("small"), topics.approvals()]
        for topic in [*names, topics.journal("desk"), topics.results("desk"), topics.dead_letters(), topics.keys()]:
            for partition in range(await reading.partitions(topic)):
                async for record in reading.records(topic, partition, 0):
                    said = b"".join(value for _, value in record.headers)
                    found[topic] = found.get(topic, b"") + (record.value or b"") + said
    return found


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("app-sealing")
def test_a_sealed_project(sealed: Any, aiosv3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("-p", str(sealed.file))

    def sent(text: str, task: str, *more: str) -> str:
        letter = json.dumps({"text": text})
        said = aiosv3("task", "send", "desk", "--json", letter, "--id", task, *more, *place)
        assert said.code == 0, said.err
        return str(said.out.strip())

    def got(handle: str) -> Any:
        return aiosv3("task", "get", handle, "--wait", str(SECONDS), *place)

    asked = sent("ask", "asked", "--header", "ce_subject=ana")
    failed, told, person = sent("fail", "failed"), sent("a word", "told"), sent("approve", "person")
    assert json.loads(got(asked).out) == {"text": "an answer"}, sealed.logs()
    assert json.loads(got(told).out) == {"text": "A WORD"}
    assert "no [/such] letter" in got(failed).err
    question = "person/1"
    answer = ("approvals", "answer", question, "--approve", "--as", "ann", "--comment", "a private comment")
    said = aiosv3(*answer, "--wait", str(SECONDS), *place)
    assert said.code == 0, f"{said.err}\n{sealed.logs()}"
    assert json.loads(got(person).out) == {"text": "ann: a private comment"}

    raw = asyncio.run(_raw(sealed.file))
    secrets = (b"a question", b"an answer", b"Send it?", b"a private comment", b"A WORD", b"/such", b"ana")
    leaked = {topic: secret for topic, value in raw.items() for secret in secrets if secret in value}
    assert leaked == {}
    assert all(raw[topic] for topic in raw)
    assert aiosv3("replay", asked, *place).code == 0, "a replay needs no more than the keys"

    monkeypatch.setenv("AIOSV3_SEALING__MASTER", "env:NOT_THERE")
    blind = got(asked)
    assert blind.code == 1
    assert "this client has no keys" in blind.err
    monkeypatch.delenv("AIOSV3_SEALING__MASTER")

    shown = json.loads(aiosv3("keys", "show", *place, "--json").out)
    of_ana = [key for key in shown["keys"] if key["subject"] is not None]
    assert {key["class"] for key in of_ana} == {"internal", "confidential", "restricted"}
    assert "ana" not in json.dumps(shown)
    shredded = aiosv3("keys", "shred", "--subject", "ana", "--yes", *place, "--json")
    assert len(json.loads(shredded.out)["shredded"]) == 3
    assert aiosv3("keys", "shred", "--subject", "nobody", "--yes", *place).code == 1
    gone = got(asked)
    assert gone.code == 1
    assert "was shredded" in gone.err
    assert json.loads(got(told).out) == {"text": "A WORD"}, "only the keys of ana"
    assert aiosv3("keys", "renew", "--without-subject", *place).code == 0
    again = sent("ask", "again", "--header", "ce_subject=ana")
    assert json.loads(got(again).out) == {"text": "an answer"}, "who comes back has a new key"
    assert json.loads(got(told).out) == {"text": "A WORD"}, "a retired key opens"
