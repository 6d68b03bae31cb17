"""The declaration in its three forms."""

from __future__ import annotations

from email.message import Message
from importlib import metadata
from typing import Any

import pytest

from aiosv3.app.demo.declared import declared, of_expression, of_field, of_words
from aiosv3.app.demo.families import Licence


class Installed(metadata.Distribution):
    """A distribution of nothing but metadata."""

    def __init__(self, *head: tuple[str, str]) -> None:
        self._head = head

    @property
    def metadata(self) -> Any:
        message = Message()
        for name, value in self._head:
            message[name] = value
        return message

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


MIT_CLASSIFIER = ("Classifier", "License :: OSI Approved :: MIT License")


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("MIT", {"MIT"}),
        ("Apache-2.0 OR BSD-2-Clause", {"Apache-2.0", "BSD-2-Clause"}),
        ("(MIT and ISC)", {"MIT", "ISC"}),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", {"GPL-2"}),
        ("LGPL-3.0-only", {"LGPL"}),
        ("GPL-3.0+", {"GPL-3"}),
        ("LicenseRef-Proprietary", set()),
    ],
)
def test_expressions(expression: str, wanted: set[Licence]) -> None:
    assert of_expression(expression) == wanted


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("Apache Software License", {"Apache-2.0"}),
        ("BSD License", {"BSD-2-Clause", "BSD-3-Clause"}),
        ("GNU Lesser General Public License v3 (LGPLv3)", {"LGPL"}),
        ("GNU General Public License v2 (GPLv2)", {"GPL-2"}),
        ("GNU General Public License v3 or later (GPLv3+)", {"GPL-3"}),
        ("GNU General Public License (GPL)", {"GPL-2", "GPL-3"}),
        ("Mozilla Public License 2.0 (MPL 2.0)", {"MPL-2.0"}),
        ("MIT No Attribution License (MIT-0)", {"MIT-0"}),
        ("ISC License (ISCL)", {"ISC"}),
        ("OSI Approved", set()),
    ],
)
def test_words(words: str, wanted: set[Licence]) -> None:
    assert of_words([words]) == wanted


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("Apache 2.0", {"Apache-2.0"}),
        ("BSD-3-Clause", {"BSD-3-Clause"}),
        ("New BSD", {"BSD-3-Clause"}),
        ("Apache License Version 2.0, January 2004 " + "x" * 300, {"Apache-2.0"}),
        ("MIT License " + "x" * 300, {"MIT"}),
        ("ask us", set()),
    ],
)
def test_the_old_field(field: str, wanted: set[Licence]) -> None:
    assert of_field(field) == wanted


def test_the_expression_comes_first() -> None:
    found = declared(Installed(("License-Expression", "ISC"), MIT_CLASSIFIER, ("License", "BSD")))
    assert (found.source, found.families) == ("License-Expression", frozenset({"ISC"}))


def test_then_the_classifiers() -> None:
    found = declared(Installed(MIT_CLASSIFIER, ("License", "BSD"), ("Classifier", "Topic :: Software")))
    assert (found.text, found.source, found.families) == ("MIT License", "Classifier", frozenset({"MIT"}))


def test_a_classifier_that_names_nothing_leaves_it_to_the_field() -> None:
    found = declared(Installed(("Classifier", "License :: OSI Approved"), ("License", "BSD-3-Clause")))
    assert (found.source, found.families) == ("License", frozenset({"BSD-3-Clause"}))


@pytest.mark.parametrize("head", [(), (("License", "UNKNOWN"),)])
def test_nothing_is_declared(head: tuple[tuple[str, str], ...]) -> None:
    found = declared(Installed(*head))
    assert (found.text, found.source, found.families) == ("", "nothing", frozenset())


def test_a_long_field_is_cut_for_the_list() -> None:
    found = declared(Installed(("License", "MIT License\n" + "words " * 100)))
    assert len(found.text) <= 61
    assert found.families == {"MIT"}
