from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiosv3.router.ledger import Cap, Caps
from aiosv3.router.ledger.caps import Capped, ends, kind_of, shared_budget


def ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


class Clock:
    now = ms(2026, 11, 30, 23, 59)

    def __call__(self) -> int:
        return self.now


CAPS = {"acme": Cap(50, "day"), "*": Cap(5)}


def test_a_request_is_paid_by_its_tenant_and_the_agent_that_asks() -> None:
    caps = Caps({"acme": Cap(50)}, {"triage": Cap(7, "month")}, Clock())
    assert caps.of("acme", "triage") == (Capped("tenant/acme", 50), Capped("agent@2026-11/triage", 7))
    assert caps.of("other", None) == ()
    assert caps


def test_whoever_has_no_cap_of_their_own_has_one_like_all_others() -> None:
    caps = Caps(CAPS, {}, Clock())
    assert caps.of("x", "a") == (Capped("tenant/x", 5),)
    assert caps.of("y", "a") == (Capped("tenant/y", 5),)
    assert not Caps({}, {}, Clock())


def test_a_new_window_is_a_new_budget() -> None:
    clock = Clock()
    caps = Caps(CAPS, {}, clock)
    assert caps.of("acme", None)[0].budget == "tenant@2026-11-30/acme"
    clock.now = ms(2026, 12, 1)
    assert caps.of("acme", None)[0].budget == "tenant@2026-12-01/acme"
    assert caps.current("tenant/acme") == "tenant@2026-12-01/acme"
    assert caps.current("tree/acme") == "tree/acme"
    assert caps.listed() == ["tenant@2026-12-01/acme"]
    assert (caps.limit("tenant@2026-11-30/acme"), caps.limit("agent/a")) == (50, None)


def test_no_name_looks_like_a_window() -> None:
    now = ms(2026, 11, 30)
    assert shared_budget("tenant", "acme@2026-11-30", None, now) == "tenant/acme@2026-11-30"
    assert ends("tenant/acme@2026-11-30") is None


@pytest.mark.parametrize(
    ("budget", "kind", "end"),
    [
        ("tree/x", "tree", None),
        ("tenant/x@y", "tenant", None),
        ("tenant@2026-11-30/x", "tenant", ms(2026, 12, 1)),
        ("agent@2026-12/x", "agent", ms(2027, 1, 1)),
        ("agent@never/x", "agent", None),
    ],
)
def test_a_budget_says_what_it_is_and_when_it_ends(budget: str, kind: str, end: int | None) -> None:
    assert (kind_of(budget), ends(budget)) == (kind, end)
