"""``aiosv3 budget``: what is refused before anything is sent; the rest is shown by tests/process/test_money.py."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from aiosv3.app.commands.budget import _of, _print, app
from aiosv3.router.ledger import Booking, Books


def books() -> Books:
    found = Books(0, 0)
    found.decided(Booking("r/1", "order-7", 60, 100))
    found.decided(Booking("s/1", "free", 5))
    return found


def test_a_line_says_what_a_budget_has() -> None:
    line = next(_of(books(), 3))
    assert (line["budget"], line["partition"], line["cap_usd_micros"]) == ("tree/order-7", 3, 100)
    assert (line["spent_usd_micros"], line["reserved_usd_micros"]) == (0, 60)


def test_people_read_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    _print(list(_of(books(), 3)))
    said = capsys.readouterr().out
    assert "0.000100" in said
    assert "none" in said
    _print([])
    assert "No budget" in capsys.readouterr().out


@pytest.mark.parametrize(("budget", "usd"), [("order-7", "1"), ("tenant/acme", "1"), ("tree/order-7", "much")])
def test_what_is_no_budget_or_no_money_is_said(budget: str, usd: str) -> None:
    done = CliRunner().invoke(app, ["grant", budget, usd])
    assert done.exit_code == 2
