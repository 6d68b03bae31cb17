from __future__ import annotations

from aiosv3.schemas.money import overruled_id, return_id, return_number, tree_budget, tree_of


def test_the_budget_of_a_tree_names_its_root() -> None:
    assert tree_budget("order/7") == "tree/order/7"
    assert tree_of("tree/order/7") == "order/7"


def test_other_budgets_are_of_no_tree() -> None:
    assert tree_of("tenant/acme") is None


def test_a_refusal_at_its_place_has_an_id_of_its_own() -> None:
    assert overruled_id("order-7/2~3") == "order-7/2~3!over"


def test_a_return_has_a_number_in_its_id() -> None:
    assert return_number(return_id("tenant@2026-11-30/acme", 12)) == 12
    assert return_number("order-7/2") == return_number("order-7/2!over") == return_number("x!return") == 0
