"""The gate on instructions: what it reads, and when it says no."""

from __future__ import annotations

import json

import pytest
from instructions import MEASURE, collected, verdict


def test_what_callgrind_says_is_read() -> None:
    assert collected("==1== Events    : Ir\n==1== Collected : 4560491014\n==1==\n") == 4_560_491_014
    with pytest.raises(SystemExit, match="did not say"):
        collected("valgrind: command not found")


def test_five_percent_more_is_let_pass_and_six_are_not() -> None:
    assert verdict(10.0, 10.0) is None
    assert verdict(10.4, 10.0) is None
    assert "--write" in (verdict(10.6, 10.0) or "")


def test_the_measure_is_a_ratio_of_its_figures() -> None:
    for measure in json.loads(MEASURE.read_text(encoding="utf-8")).values():
        assert measure["ratio"] == pytest.approx(measure["noop"] / measure["bare"], abs=0.001)
