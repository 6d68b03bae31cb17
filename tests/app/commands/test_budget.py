"""``aiosv3 budget``: what is refused before anything is sent; the rest is shown by tests/process/test_money.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiosv3.app.commands.budget import _grantable, _of_trees, _print, _shared, app
from aiosv3.router.ledger import Booking, Books, Cap, Caps
from aiosv3.schemas.money import LedgerEntry, LedgerKind
from aiosv3.streams.partitioner import murmur2_partition

DAY = "tenant@2025-06-15/acme"
CAPS = Caps({"acme": Cap(100, "day"), "idle": Cap(7)}, {}, lambda: 1_750_000_000_000)


def books() -> Books:
    found = Books(0, 0)
    found.decided(Booking("r/1", "order-7", 60, 100))
    found.decided(Booking("s/1", "free", 5))
    return found


def test_a_line_says_what_a_budget_has() -> None:
    free, line = _of_trees({3: books()})
    assert (free["budget"], free["cap_usd_micros"]) == ("tree/free", None)
    assert (line["budget"], line["partition"], line["cap_usd_micros"]) == ("tree/order-7", 3, 100)
    assert (line["spent_usd_micros"], line["reserved_usd_micros"]) == (0, 60)


def test_people_read_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    _print(list(_of_trees({3: books()})))
    said = capsys.readouterr().out
    assert "0.000100" in said
    assert "none" in said
    _print([])
    assert "No budget" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("budget", "usd"), [("order-7", "1"), ("tenant/acme", "1"), ("tenant/", "1"), ("tree/order-7", "much")]
)
def test_what_is_no_budget_or_no_money_is_said(budget: str, usd: str) -> None:
    done = CliRunner().invoke(app, ["grant", budget, usd])
    assert done.exit_code == 2


def test_a_shared_budget_is_the_sum_of_what_all_partitions_have() -> None:
    home = murmur2_partition(DAY.encode(), 2)
    found = {partition: Books(0, 0) for partition in range(2)}
    for partition, one in found.items():
        request = LedgerEntry(
            LedgerKind.LEASE_REQUEST, "1", DAY, 30, partition=partition, number=1, need_usd_micros=30,
            limit_usd_micros=100,
        )  # fmt: skip
        (lease,) = found[home].told(partition, request)
        one.told(10, lease)
        one.decided(Booking(f"r/{partition}", "r", 20, None, (DAY,)))
        one.told(11, LedgerEntry(LedgerKind.SETTLEMENT, f"r/{partition}", "tree/r", 5 * partition, 1, 1))
    found[home].told(20, LedgerEntry(LedgerKind.GRANT, "g", DAY, 11))
    found[0].decided(Booking("r/more", "r", 9, None, (DAY,)))
    idle, acme = _shared(found, CAPS, 2)
    assert (acme["budget"], acme["cap_usd_micros"], acme["granted_usd_micros"]) == (DAY, 111, 11)
    assert (acme["spent_usd_micros"], acme["reserved_usd_micros"], acme["lent_usd_micros"]) == (5, 9, 60)
    assert acme["ends_at"] == 1_750_032_000_000
    assert (idle["budget"], idle["cap_usd_micros"], idle["spent_usd_micros"]) == ("tenant/idle", 7, 0)


def test_a_grant_goes_to_the_window_that_is_now() -> None:
    assert _grantable("tenant/acme", CAPS) == DAY
    assert _grantable("tenant@2999-06-14/acme", CAPS) == "tenant@2999-06-14/acme"
    assert _grantable("tree/x", CAPS) == "tree/x"


def test_who_has_no_cap_is_told_where_to_give_them_one(tmp_path: Path) -> None:
    (tmp_path / "aiosv3.toml").write_text("[budgets.tenant.other]\nusd = 1\n")
    done = CliRunner().invoke(app, ["grant", "tenant/acme", "1", "--project", str(tmp_path)])
    assert done.exit_code == 2
    assert "budgets.tenant.acme" in done.output.replace("\n", "")


@pytest.mark.parametrize(
    ("budget", "usd", "said"),
    [
        ("tenant/acme", "0", "a grant is more than nothing"),
        ("tenant@2025-06-14/acme", "1", "is over: nothing is taken"),
    ],
)
def test_a_grant_that_would_change_nothing_is_refused(tmp_path: Path, budget: str, usd: str, said: str) -> None:
    (tmp_path / "aiosv3.toml").write_text("[budgets.tenant.acme]\nusd = 1\nwindow = 'day'\n")
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["grant", budget, usd, "--project", str(tmp_path)])
    assert (done.exit_code, said in " ".join(done.output.split())) == (2, True)
