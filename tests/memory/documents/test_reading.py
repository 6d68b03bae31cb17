"""Formats into sections."""

from __future__ import annotations

import io
import sys

import pytest

from aiosv3.memory.documents import DocumentUnreadable, Section, read, suffix_of

MARKDOWN = b"""\
---
title: not a heading
---
Before all.

Guide
=====
What it is.

## Install `it`

```sh
# no heading
run
```

> ## quoted, no heading either
"""
HTML = b"""\
<!doctype html><html><head><title>Page &amp; all</title><style>p {}</style></head><body>
<nav><p>menu</p></nav><!-- nothing -->
<main><h2>First <em>part</em></h2><p>One
 line<br>and more.</p><ul><li>a<p>b</p></li></ul><pre>x =
  1</pre><div>loose <b>words</b></div><script>never()</script>
<h3>Under</h3><table><tr><td>c</td><td>d</td></tr></table></main><footer>imprint</footer></body></html>
"""


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a line of text a page."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject({
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
    })  # fmt: skip
    for text in pages:
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    if title:
        writer.add_metadata({"/Title": title})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_markdown_is_cut_at_its_headings() -> None:
    assert read(MARKDOWN, ".md") == [
        Section((), "Before all."),
        Section(("Guide",), "What it is."),
        Section(("Guide", "Install `it`"), "```sh\n# no heading\nrun\n```\n\n> ## quoted, no heading either"),
    ]


def test_html_is_what_a_reader_sees() -> None:
    assert read(HTML, ".html") == [
        Section(("Page & all", "First part"), "One line and more.\n\na\n\nb\n\nx =\n  1\n\nloose words"),
        Section(("Page & all", "First part", "Under"), "c\n\nd"),
    ]
    assert read(b"just words", ".htm") == [Section((), "just words")]


def test_pdf_is_read_page_by_page() -> None:
    assert read(pdf("first words", "second words", title="Report"), ".pdf") == [
        Section(("Report", "page 1"), "first words"),
        Section(("Report", "page 2"), "second words"),
    ]


def test_text_is_text() -> None:
    assert read("\ufeffgrün\r\n\r\nblau".encode(), ".txt") == [Section((), "grün\n\nblau")]
    assert read(b"# x", ".conf") == [Section((), "# x")]


@pytest.mark.parametrize(
    ("content", "suffix", "words"),
    [(b"\xff\xfe", ".md", "UTF-8"), (b"no pdf", ".pdf", "no PDF"), (pdf(""), ".pdf", "no text")],
)
def test_what_cannot_be_read_says_why(content: bytes, suffix: str, words: str) -> None:
    with pytest.raises(DocumentUnreadable, match=words):
        read(content, suffix)


@pytest.mark.parametrize(("package", "suffix"), [("bs4", ".html"), ("pypdf", ".pdf")])
def test_a_library_that_is_missing_is_named(package: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DocumentUnreadable, match=r"pip install 'aiosv3\[documents\]'"):
        read(b"", suffix)


def test_the_format_follows_from_what_a_server_says() -> None:
    assert suffix_of("text/html; charset=utf-8", "/a/page") == ".html"
    assert suffix_of("application/pdf", "/x") == ".pdf"
    assert suffix_of("text/plain", "/README.md") == ".md"
    assert suffix_of("", "/notes.TXT") == ".txt"
    assert suffix_of("application/octet-stream", "/x") == ""
