"""Rules against licence texts: the beginnings of each family, real files, and all that is installed here."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from aiosv3.app.demo import produce
from aiosv3.app.demo.declared import declared
from aiosv3.app.demo.families import LICENCES, UNKNOWN, Licence, families, names, normalise, sightings

ROOT = Path(__file__).resolve().parents[3]

MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, subject to the following conditions:

{condition}
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND."""
MIT_CONDITION = "The above copyright notice and this permission notice shall be included in all copies.\n"
BSD = """ * Redistributions of source code must retain the above copyright
   notice, this list of conditions and the following disclaimer.
 * Redistributions in binary form must reproduce the above copyright
   notice in the documentation.
{third}
THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS "AS IS". IN NO EVENT SHALL THEY BE LIABLE."""
THIRD = " * Neither the name of the author nor the names of contributors may be used to endorse products.\n"
ISC = (
    "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby "
    "granted{rest}"
)
KNOWN: dict[Licence, str] = {
    "MIT": MIT.format(condition=MIT_CONDITION),
    "MIT-0": MIT.format(condition=""),
    "BSD-2-Clause": BSD.format(third=""),
    "BSD-3-Clause": BSD.format(third=THIRD),
    "ISC": ISC.format(rest=", provided that the above copyright notice appears in all copies."),
    "0BSD": ISC.format(rest='.\n\nTHE SOFTWARE IS PROVIDED "AS IS".'),
    "HPND": "Permission to use, copy, modify and distribute this software and its documentation for any purpose and "
    "without fee is hereby granted, provided that the above copyright notice appear in all copies.",
    "Apache-2.0": "   Apache License\n   Version 2.0, January 2004\n",
    "MPL-2.0": "Mozilla Public License Version 2.0\n=====\n\n1. Definitions\n-----\n",
    "LGPL": "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007",
    "AGPL-3": "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007",
    "GPL-2": "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991",
    "GPL-3": "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007",
    "PSF-2.0": "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n-----",
    "Zlib": "This software is provided 'as-is', without any express or implied\nwarranty. In no event will the authors "
    "be held liable.",
    "Unlicense": "This is free and unencumbered software released into the public domain.",
    "CC0-1.0": "CC0 1.0 Universal",
    "BSL-1.0": "Boost Software License - Version 1.0 - August 17th, 2003",
    "EPL-2.0": "Eclipse Public License - v 2.0",
    "OpenSSL": '"This product includes software developed by the OpenSSL Project"',
}


@pytest.mark.parametrize("licence", KNOWN)
def test_each_family_is_known_and_no_other(licence: Licence) -> None:
    assert families(KNOWN[licence]) == (licence,)


def test_every_family_has_a_text_here() -> None:
    assert set(LICENCES) == {*KNOWN, UNKNOWN} == set(get_args(Licence))


@pytest.mark.parametrize("mark", ["# ", " * ", "// ", "> "])
def test_comment_marks_do_not_hide_a_text(mark: str) -> None:
    text = "\n".join(mark + line for line in KNOWN["MIT"].splitlines())
    assert families(text) == ("MIT",)


def test_several_families_come_in_the_order_of_the_text() -> None:
    assert families(KNOWN["Apache-2.0"] + KNOWN["BSD-3-Clause"] + KNOWN["MIT"]) == ("Apache-2.0", "BSD-3-Clause", "MIT")


def test_two_bsd_licences_in_one_text_are_told_apart() -> None:
    assert families(KNOWN["BSD-2-Clause"] + "\n\n" + KNOWN["BSD-3-Clause"]) == ("BSD-2-Clause", "BSD-3-Clause")


def test_pythons_own_file_is_one_licence() -> None:
    stack = "\n".join([KNOWN["PSF-2.0"], "BEOPEN.COM LICENSE AGREEMENT FOR PYTHON 2.0", KNOWN["HPND"], KNOWN["0BSD"]])
    assert families(stack) == ("PSF-2.0",)


@pytest.mark.parametrize(
    "text", ["", "All rights reserved.", "See the file COPYING.", "licensed under the MIT licence"]
)
def test_no_phrase_no_family(text: str) -> None:
    assert families(text) == ()


def test_our_own_licence() -> None:
    assert families((ROOT / "LICENSE").read_text(encoding="utf-8")) == ("Apache-2.0",)


def test_what_a_rule_decides_is_what_is_declared() -> None:
    """On the real texts of this environment; a metadata error of a package or two must not fail ours."""
    wrong, decided = [], 0
    for distribution in produce.installed():
        found = families(produce.licence_text(distribution))
        wanted = declared(distribution).families
        if len(found) == 1 and wanted:
            decided += 1
            if found[0] not in wanted:
                wrong.append((distribution.metadata["Name"], found, wanted))
    assert decided >= 20
    assert len(wrong) <= decided // 20, wrong


def test_sightings_say_where() -> None:
    text = normalise("Preface.\n\n" + KNOWN["CC0-1.0"])
    assert [text[one.start :] for one in sightings(text)] == ["cc0 1.0 universal"]


@pytest.mark.parametrize(
    ("licence", "quote", "shows"),
    [
        ("MIT", "All contributions are MIT licensed.", True),
        ("MIT", "Redistributions of source code must retain", False),
        ("BSD-3-Clause", "Redistributions of source code must retain", True),
        ("Apache-2.0", "found in LICENSE.APACHE or LICENSE.BSD", True),
        ("GPL-3", "GNU LESSER GENERAL PUBLIC LICENSE", False),
        ("LGPL", "GNU LESSER GENERAL PUBLIC LICENSE", True),
        ("unknown", "anything", False),
    ],
)
def test_a_quote_shows_its_licence(licence: Licence, quote: str, shows: bool) -> None:
    assert names(licence, quote) is shows
