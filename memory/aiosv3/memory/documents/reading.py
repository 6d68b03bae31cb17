"""Markdown, HTML, PDF and plain text, read into sections by well-kept libraries (the extra ``documents``)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from aiosv3.memory.documents.errors import DocumentUnreadable
from aiosv3.memory.documents.sections import Piece, Section, sections

if TYPE_CHECKING:
    from bs4 import Tag

SUFFIXES: Final[Mapping[str, str]] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
}
"""Suffix of a file -> its format."""
_MEDIA: Final = {
    "text/markdown": ".md",
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
}
_FRONT_MATTER: Final = re.compile(r"\A---\r?\n.*?\r?\n(?:---|\.\.\.)\r?\n", re.DOTALL)
_NO_TEXT: Final = ["head", "title", "script", "style", "noscript", "template", "svg", "iframe"]
_AROUND: Final = ["nav", "footer", "aside", "form"]
_HEADING: Final = re.compile(r"h[1-6]")
_BLOCKS: Final = ["p", "li", "pre", "blockquote", "td", "th", "dt", "dd", "figcaption", "caption", "summary", "address"]
_EXTRA: Final = "pip install 'aiosv3[documents]'"


def suffix_of(media_type: str, name: str) -> str:
    """The suffix that stands for a format, by the media type that a server names, else by the name."""
    known = _MEDIA.get(media_type.partition(";")[0].strip().lower())
    last = name.rsplit("/", 1)[-1]
    own = f".{last.rsplit('.', 1)[-1].lower()}" if "." in last else ""
    # A server that serves Markdown as text/plain is common; one that serves text as Markdown is not.
    return own if known is None or (known == ".txt" and own in SUFFIXES) else known


def read(content: bytes, suffix: str) -> list[Section]:
    """The sections of a document. An unknown suffix is read as text. Raises DocumentUnreadable."""
    readers: Mapping[str, Callable[[bytes], Iterator[Piece]]] = {"markdown": _markdown, "html": _html, "pdf": _pdf}
    return list(sections(readers.get(SUFFIXES.get(suffix, "text"), _plain)(content)))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DocumentUnreadable(f"it is no text in UTF-8: {error.reason} at byte {error.start}") from None


def _plain(content: bytes) -> Iterator[Piece]:
    yield 0, _text(content)


def _markdown(content: bytes) -> Iterator[Piece]:
    """The source as it is, cut at its headings: code in fences and lines under ``---`` are told from headings."""
    from markdown_it import MarkdownIt

    text = _FRONT_MATTER.sub("", _text(content))
    lines, done = text.split("\n"), 0
    tokens = MarkdownIt("commonmark").parse(text)
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            yield 0, "\n".join(lines[done : token.map[0]])
            yield int(token.tag[1:]), inline.content
            done = token.map[1]
    yield 0, "\n".join(lines[done:])


def _html(content: bytes) -> Iterator[Piece]:
    try:
        from bs4 import BeautifulSoup
    except ImportError:
        raise DocumentUnreadable(f"HTML is read with beautifulsoup4: {_EXTRA}") from None
    soup = BeautifulSoup(content, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title is not None else ""
    for tag in soup.find_all(_NO_TEXT + _AROUND):
        tag.decompose()
    body = soup.find("main") or soup.find("article") or soup.body or soup
    if title and body.find("h1") is None:
        yield 1, title
    yield from _told(body)


def _told(body: Tag) -> Iterator[Piece]:
    """Headings and blocks in their order. A text node belongs to the nearest block around it, and to none other."""
    from bs4.element import Comment, Doctype, NavigableString, Tag

    around: Tag | None = None
    words: list[str] = []
    for node in body.descendants:
        if isinstance(node, Tag):
            if node.name == "br":
                words.append("\n")  # matters in <pre>
            continue
        if not isinstance(node, NavigableString) or isinstance(node, Comment | Doctype):
            continue
        block = node.find_parent([*_BLOCKS, "div", "section", "h1", "h2", "h3", "h4", "h5", "h6"])
        if block is not around:
            yield from _block(around, words)
            around, words = block, []
        words.append(str(node))
    yield from _block(around, words)


def _block(block: Tag | None, words: list[str]) -> Iterator[Piece]:
    text = "".join(words)
    if block is not None and block.name == "pre":
        yield 0, text
        return
    text = " ".join(text.split())
    if block is not None and _HEADING.fullmatch(block.name):
        yield int(block.name[1]), text
    elif text:
        yield 0, text


def _pdf(content: bytes) -> Iterator[Piece]:
    """Page by page: a page is what a reader can look up."""
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError:
        raise DocumentUnreadable(f"PDF is read with pypdf: {_EXTRA}") from None
    try:
        reader = PdfReader(io.BytesIO(content))
        title = (reader.metadata.title if reader.metadata is not None else None) or ""
        pages = [page.extract_text() for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DocumentUnreadable(f"it is no PDF that can be read: {error}") from None
    if not any(page.strip() for page in pages):
        raise DocumentUnreadable("its pages have no text: a scan has to be recognized first")
    if title:
        yield 1, title
    for number, page in enumerate(pages, start=1):
        yield 2, f"page {number}"
        yield 0, page
