"""Lines that a small model is shown."""

from __future__ import annotations

from aiosv3.app.demo import produce
from aiosv3.app.demo.excerpt import telling_lines
from aiosv3.app.demo.families import normalise

DUAL = """This software is made available under the terms of *either* of the licenses found in
LICENSE.APACHE or LICENSE.BSD.

Apache License
Version 2.0, January 2004

1. Definitions.

"License" shall mean the terms and conditions.

Redistributions of source code must retain the above copyright notice.
Redistributions in binary form must reproduce the above copyright notice.

THIS SOFTWARE IS PROVIDED "AS IS".
"""


def test_the_statement_at_the_top_and_the_first_line_of_each_family() -> None:
    lines = telling_lines(DUAL)
    assert lines[0].startswith("This software is made available under the terms of *either*")
    assert lines[1] == "Apache License Version 2.0, January 2004"
    assert lines[2].startswith("Redistributions of source code must retain")
    assert len(lines) == 3


def test_a_heading_that_stands_alone_belongs_to_the_phrase() -> None:
    assert telling_lines("x\n\nMozilla Public License Version 2.0\n\n1. Definitions\n\ny") == [
        "Mozilla Public License Version 2.0"
    ]


def test_a_text_without_any_of_it_shows_its_beginning() -> None:
    assert telling_lines("Do what you like.\n\nReally.") == ["Do what you like. Really."]


def test_every_line_occurs_in_its_text_and_is_short() -> None:
    for distribution in produce.installed():
        text = produce.licence_text(distribution)
        lines = telling_lines(text)
        assert len(lines) <= 6
        for line in lines:
            assert len(line) <= 110
            assert normalise(line) in normalise(text)
