from __future__ import annotations

import pytest

from aiosv3.schemas.records import Outcome, attempt_request_id, base_request_id


@pytest.mark.parametrize(
    ("base", "attempt", "full"), [("r", 1, "r"), ("r", 2, "r~2"), ("a~b", 1, "a~b"), ("a~b", 3, "a~b~3")]
)
def test_attempts_are_part_of_the_id(base: str, attempt: int, full: str) -> None:
    assert attempt_request_id(base, attempt) == full
    assert base_request_id(full) == base


def test_symbols_print_as_themselves() -> None:
    assert f"{Outcome.OK}" == "OK"
