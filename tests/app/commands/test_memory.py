"""``aiosv3 memory …`` on a real broker with a real memory worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from topic_reader import TopicReader

from aiosv3.app.commands.memory import search
from aiosv3.app.people import user_name
from aiosv3.app.settings import SettingsError

if TYPE_CHECKING:
    from tests.app.conftest import ProjectFolder, Said

pytestmark = [pytest.mark.kafka, pytest.mark.process]
LINES = [
    {"text": "ada likes tea", "subject_name": "ada", "kind": "preference"},
    {"text": "bob likes coffee", "subject_name": "bob", "scope": "team:support"},
    {"text": "tea is served at four", "kind": "procedure", "class": "public"},
]


@pytest.mark.parametrize(
    ("option", "words"), [("--kind", "--kind is one of episode"), ("--scope", "--scope is tenant")]
)
def test_a_search_for_what_there_cannot_be_is_refused(option: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        search("tea", **{option.removeprefix("--"): "moods"})  # type: ignore[arg-type]


@pytest.fixture
def shell(idle: ProjectFolder, aiosv3: Callable[..., Said]) -> Any:
    with idle.file.open("a", encoding="utf-8") as file:
        file.write('\n[memory]\nembedder = "none"\n\n[sealing]\nfrom = "internal"\n')
    assert aiosv3("keys", "new", "-p", str(idle.file)).code == 0
    idle.wait_ready([idle.start("memory")])
    yield lambda *words: aiosv3("memory", *words, "-p", str(idle.file)), idle
    assert set(idle.stop().values()) == {0}, idle.logs()


def documents(project: Callable[..., Said], folder: Path) -> None:
    """Documents that come, change, are distrusted and go."""
    guide = folder / "guide.md"
    folder.mkdir()
    guide.write_text("# Guide\n\nAll about boats.\n\n## Sails\n\nHoist them.\n\n## Oars\n\nRow.\n", encoding="utf-8")
    (folder / "page.html").write_text("<title>Page</title><p>Boats have harbours.</p>", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"no pdf")
    noted = folder.parent / "noted.jsonl"
    noted.write_text('{"text": "somebody noted this", "source": "notes/guide.md"}\n', encoding="utf-8")
    assert project("import", str(noted)).code == 0

    def ingested(*words: str) -> tuple[Any, ...]:
        told = json.loads(project("ingest", str(folder), "--json", *words).out)
        return tuple(told[name] for name in ("documents", "chunks", "sent", "unchanged", "ended"))

    def found(*words: str) -> list[Any]:
        return json.loads(project("search", *words, "--kind", "chunk", "--json").out)  # type: ignore[no-any-return]

    assert ingested() == (2, 4, 4, 0, 0)
    said = project("ingest", str(folder))
    assert (said.code, said.out) == (1, "2 documents, 4 chunks: 0 sent, 4 unchanged, 0 ended\n")
    assert "notes/broken.pdf is left out: it is no PDF" in said.err
    sails, *_neighbours = found("hoist")
    assert sails["citation"].endswith(f"memory.events/{sails['partition']}/{sails['offset']}")
    assert (sails["source"], sails["position"], sails["heading"]) == ("notes/guide.md", 1, "Guide > Sails")
    assert "Guide > Sails" in project("search", "hoist").out.replace("\n", "")

    then = f"{sails['partition']}:{max(one['offset'] for one in found()) + 1}"  # before anything changes
    guide.write_text("# Guide\n\nAll about boats.\n\n## Motors\n\nStart them.\n", encoding="utf-8")
    assert ingested() == (2, 3, 1, 2, 1)
    assert sorted(one["heading"] for one in found()) == ["Guide", "Guide > Motors", "Page"]
    assert {one["heading"] for one in found("--as-of", then)} == {"Guide", "Guide > Oars", "Guide > Sails", "Page"}

    told = json.loads(project("quarantine", "--source", "notes/guide.md", "--json").out)
    assert (told["quarantined"], len(told["memories"])) == (True, 3)
    assert [one["source"] for one in found("boats", "--min-trust", "1")] == ["notes/page.html"]
    assert {one["source"]: one["trust"] for one in found("boats")} == {"notes/guide.md": 0, "notes/page.html": 1}
    assert "[quarantine]" in project("search", "boats").out
    (distrusted,) = found("boats", "--source", "notes/guide.md", "-n", "1")
    (why,) = json.loads(project("show", distrusted["id"]).out)["quarantine"]
    assert (why["source"], why["by"]) == ("notes/guide.md", user_name())
    assert json.loads(project("show", distrusted["id"], "--as-of", then).out)["quarantine"] == []
    *_, last = project("history", distrusted["id"]).out.splitlines()
    assert "quarantine" in last
    assert last.endswith(f"all that came from source notes/guide.md  by {user_name()}")
    known = found("boats", "--min-trust", "1", "--as-of", then)
    assert {one["source"] for one in known} == {"notes/guide.md", "notes/page.html"}
    assert project("quarantine", "--source", "notes/guide.md", "--undo").out == "3 memories are out of quarantine\n"
    assert {one["source"] for one in found("boats", "--min-trust", "1")} == {"notes/guide.md", "notes/page.html"}
    assert json.loads(project("show", distrusted["id"]).out)["quarantine"] == []
    said = json.loads(project("history", distrusted["id"], "--json").out)
    assert [one["action"] for one in said[-2:]] == ["quarantine", "release"]

    guide.unlink()
    assert ingested() == (1, 1, 0, 1, 0)
    assert ingested("--prune") == (1, 1, 0, 1, 2)
    assert [one["source"] for one in found()] == ["notes/page.html"]
    assert "somebody noted this" in project("search", "noted").out  # no chunk of the document
    assert project("ingest", str(folder / "none")).code == 2
    assert project("quarantine").code == 2
    assert project("search", "x", "--as-of", "tuesday").code == 2


def raw(project: ProjectFolder) -> bytes:
    """Every value on the topics of memory."""
    reader = TopicReader(project.bootstrap, project.folder / "none")
    topics = [f"{project.prefix}memory.{name}" for name in ("queries", "events", "state")]
    return b"\0".join(message.value() or b"" for topic in topics for message in reader.messages(topic))


def check_stores(receipt: dict[str, Any]) -> None:
    """Every topic that the mesh has is in the receipt, with a date where it ends by time."""
    ends = {
        one["store"].removeprefix(receipt["stores"][0]["store"].partition("agents")[0]): one
        for one in receipt["stores"]
    }
    hows = {
        name: ends[name]["how"] for name in ("memory.events", "memory.state", "memory views", "keys", "deltas", "pools")
    }
    assert hows == {
        "memory.events": "shredded",
        "memory.state": "tombstone",
        "memory views": "purged",
        "keys": "shredded",
        "deltas": "nothing",
        "pools": "nothing",
    }
    week = 7 * 24 * 3600 * 1000
    asked = ends["memory.queries"]
    assert asked["how"] == "shredded"
    assert week < asked["by"] - time.time() * 1000 < 3 * week
    assert asked["by_date"].endswith("Z")
    assert {one["how"] for one in receipt["stores"] if one["kind"] in {"outside", "hot"}} == {"not reached"}


def test_memory_from_a_shell(
    shell: tuple[Callable[..., Said], ProjectFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, files = shell
    file = tmp_path / "memories.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    for _ in range(2):
        assert project("import", str(file)).out == "3 of 3 remembered\n"
    found = json.loads(project("search", "tea", "--json").out)
    assert sorted(one["text"] for one in found) == ["ada likes tea", "tea is served at four"]
    (ada,) = json.loads(project("search", "--subject", "ada", "--json").out)
    assert (ada["kind"], ada["scope"], ada["trust"]) == ("preference", "tenant", 1)
    assert "ada likes tea" in project("search", "tea", "--scope", "tenant").out
    shown = json.loads(project("show", ada["id"]).out)
    assert (shown["text"], shown["quarantine"], shown["agent"]) == ("ada likes tea", [], "@operator")
    assert [one["id"] for one in json.loads(project("search", "--task", shown["task"], "--json").out)] == [ada["id"]]
    assert json.loads(project("search", "tea", "--model", "some model", "--json").out) == []
    then = f"{ada['partition']}:{ada['offset']}"  # before it was remembered
    assert (project("show", ada["id"], "--as-of", then).code, project("show", ada["id"], "--as-of", "0:0").code) == (
        1,
        1,
    )
    assert json.loads(project("history", ada["id"], "--as-of", then, "--json").out) == []

    exported = tmp_path / "exported.jsonl"
    assert project("export", str(exported)).code == 0
    lines = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    assert {line["text"] for line in lines} == {line["text"] for line in LINES}
    assert {line["class"] for line in lines} == {"internal", "public"}
    rebuilt = json.loads(project("rebuild", "--json").out)
    assert [(one["count"], one["same"]) for one in rebuilt["tenants"].values()] == [(3, True)]
    live = json.loads(project("rebuild", "--live", "--json").out)
    assert [one["tenants"]["default"]["count"] for one in live] == [3] * len(live)
    assert "equals the one before: default: 3 (" in project("rebuild", "--live").out

    receipt = json.loads(project("forget", "--subject", "ada", "--json").out)
    assert (receipt["left_after_replay"], len(receipt["shredded"])) == ([], 1)
    check_stores(receipt)
    values = raw(files)
    assert b"tea is served at four" in values  # public
    assert b"ada likes" not in values
    assert b"bob likes" not in values
    assert [one["text"] for one in json.loads(project("search", "tea", "--json").out)] == ["tea is served at four"]
    told = json.loads(project("history", "--subject", "ada", "--json").out)
    assert [one["action"] for one in told] == ["remember", "remember", "forget"]
    assert "shredded" in told[0]["text"]
    assert told[2]["by"] == user_name()
    assert [one["action"] for one in json.loads(project("history", ada["id"], "--json").out)][-1] == "forget"
    assert "forget" in project("history", "--subject", "ada").out
    assert project("search", "tea", "--as-of", "2020-01-01").out == "Nothing like that is remembered.\n"

    (served,) = json.loads(project("search", "served", "--json").out)
    *_, last = json.loads(project("history", served["id"], "--json").out)
    undone = json.loads(project("forget", "--task", last["task"], "--json").out)
    assert undone == {"task": last["task"], "forgotten": [], "left_after_replay": []}
    first, *_ = json.loads(project("history", served["id"], "--json").out)
    undone = json.loads(project("forget", "--task", first["task"], "--json").out)
    assert (undone["forgotten"], undone["left_after_replay"]) == ([served["id"]], [])

    again = project("forget", "--subject", "ada")
    assert (again.code, "0 keys are shredded" in again.out) == (0, True)
    assert "A read of the whole log finds nothing of it." in again.out
    one = project("forget", served["id"]).out
    assert f"memory {served['id']} is forgotten" in one
    assert "memory.events: not reached (2 events about it hold their text in plain" in one  # public

    documents(project, files.folder / "notes")
    assert project("show", ada["id"]).code == 1
    assert project("forget").code == 2
    file.write_text('{"no": "text"}\n', encoding="utf-8")
    assert project("import", str(file)).code == 2
    file.write_text(json.dumps({"text": "x", "trust": 9}) + "\n", encoding="utf-8")
    said = project("import", str(file))
    assert (said.code, "trust 9" in said.err) == (1, True)
    monkeypatch.setattr("aiosv3.app.memoryasking.OPERATOR", "@another")  # as a later version may write it
    said = project("forget", "--subject", "ada", "--wait", "60")
    assert (
        said.code,
        "is a dead letter, no worker can read it: a request to memory comes from an agent" in said.err,
    ) == (1, True)
