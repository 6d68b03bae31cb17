"""Each check digit holds for numbers from its standard, and for no other last digit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.prompts.scan.checksums import cpf, dni, fiscale, luhn, mod11_10, mod97, nir, verhoeff, weighted


def bsn(digits: str) -> bool:
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11)


RIGHT: list[tuple[Callable[[str], bool], str]] = [
    (luhn, "79927398713"),
    (mod97, "GB82WEST12345698765432"),
    (mod11_10, "86095742719"),
    (bsn, "111222333"),
    (cpf, "52998224725"),
    (verhoeff, "234123412346"),
    (dni, "12345678Z"),
    (dni, "X1234567L"),
    (nir, "255081416802538"),
    (nir, "180012A00101250"),
    (fiscale, "RSSMRA85T10A562S"),
]


@pytest.mark.parametrize(("holds", "number"), RIGHT)
def test_a_right_number_holds_and_no_other_end_does(holds: Callable[[str], bool], number: str) -> None:
    assert holds(number)
    ends = "0123456789" if number[-1].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert [end for end in ends if holds(number[:-1] + end)] == [number[-1]] or holds is dni


@given(st.text("0123456789", min_size=12, max_size=18), st.integers(0, 17))
def test_luhn_finds_every_wrong_digit(digits: str, place: int) -> None:
    whole = next(digits + end for end in "0123456789" if luhn(digits + end))
    at = place % len(digits)
    wrong = whole[:at] + str((int(whole[at]) + 1) % 10) + whole[at + 1 :]
    assert not luhn(wrong)


@given(st.text("0123456789", min_size=11, max_size=11), st.integers(0, 9))
def test_verhoeff_finds_every_swap(digits: str, place: int) -> None:
    whole = next(digits + end for end in "0123456789" if verhoeff(digits + end))
    swapped = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    assert verhoeff(swapped) is (swapped == whole)
