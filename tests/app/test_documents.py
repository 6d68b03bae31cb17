"""Where documents come from: files, folders, addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aiosv3.app import documents
from aiosv3.app.documents import Place, fetch, gone, places
from aiosv3.app.settings import SettingsError
from aiosv3.memory.documents import DocumentUnreadable


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/guide.md")
        elif self.path == "/guide.md":
            self.send_response(200)
            self.send_header("content-type", "text/plain; charset=utf-8")
        else:
            self.send_response(404)
        self.end_headers()
        self.wfile.write(b"# Guide\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as it is inherited
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("notes/b.md", "notes/deep/a.HTML", "notes/.git/c.md", "notes/.d.txt", "notes/e.png", "notesbook/f.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, encoding="utf-8")
    return tmp_path


def test_a_folder_is_all_its_documents_named_from_the_project(folder: Path) -> None:
    found = places(str(folder / "notes"), folder)
    assert [one.source for one in found] == ["notes/b.md", "notes/deep/a.HTML"]
    assert [one.source for one in places(str(folder / "notes"), folder / "notes")] == ["b.md", "deep/a.HTML"]
    outside = places(str(folder / "notes" / "b.md"), folder / "notesbook")
    assert [one.source for one in outside] == [(folder / "notes/b.md").resolve().as_posix()]
    assert [one.source for one in places(str(folder / "notes/e.png"), folder)] == ["notes/e.png"]


def test_what_is_gone_lay_below_the_folder(folder: Path) -> None:
    sources = ["notes/b.md", "notes/x.md", "notesbook/x.md", "https://example.org/notes/x.md", "/elsewhere/x.md"]
    assert gone(sources, str(folder / "notes"), folder) == ["notes/x.md"]
    assert gone(sources, str(folder), folder) == ["notes/x.md", "notesbook/x.md"]
    assert gone(sources, str(folder / "notes/b.md"), folder) == []
    assert gone(sources, "https://example.org", folder) == []


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("nowhere", "no file and no folder"),
        ("ftp://example.org/x", "http://"),
        ("https:///x", "http://"),
        ("https://ada:secret@example.org/x", "password"),
    ],
)
def test_what_is_no_place_is_said(named: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        places(named, tmp_path)


def test_a_folder_without_documents_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.md"):
        places(str(tmp_path), tmp_path)


async def test_an_address_is_read_and_cited_as_it_was_named(server: str, tmp_path: Path) -> None:
    (place,) = places(f"{server}/moved#part", tmp_path)
    assert place == Place(f"{server}/moved", None)
    assert await fetch(place) == (b"# Guide\n", ".md")
    with pytest.raises(DocumentUnreadable, match="404"):
        await fetch(Place(f"{server}/none", None))
    with pytest.raises(DocumentUnreadable, match="ConnectError"):
        await fetch(Place("http://127.0.0.1:9/x", None))


async def test_what_is_too_large_or_unreadable_is_left_out(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DocumentUnreadable, match="cannot be read"):
        await fetch(Place("x.md", folder / "x.md"))
    file = folder / "notes" / "b.md"
    assert await fetch(Place("b.md", file)) == (b"notes/b.md", ".md")
    monkeypatch.setattr(documents, "_LARGEST", 3)
    for place in (Place("b.md", file), Place(f"{server}/guide.md", None)):
        with pytest.raises(DocumentUnreadable, match="more than"):
            await fetch(place)
