"""The checker of money is shown to fail: books that are right, and every way in which they can be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.books import Bill, Money, Settlement, check_money
from tests.chaos.checker import Act


@dataclass
class Story:
    """Two calls, one of which was made twice because its first caller died. Its parts can be changed."""

    calls: list[Act] = field(
        default_factory=lambda: [Act("a", 100, "one"), Act("b", 110, "one"), Act("b", 150, "two")],
    )
    bills: list[Bill] = field(default_factory=lambda: [Bill("a", 3, 20), Bill("b", 7, 20)])
    settlements: list[Settlement] = field(
        default_factory=lambda: [Settlement("a", 3, 20), Settlement("b", 7, 20), Settlement("b", 7, 20)]
    )
    spent: int = 40
    reserved: int = 0

    def kinds(self) -> list[str]:
        found = check_money(Money(self.calls, self.bills, self.settlements, self.spent, self.reserved))
        return sorted({violation.kind for violation in found})


def test_good_books_have_nothing_wrong() -> None:
    """A settlement that comes again changes nothing, and whoever died with an answer has booked nothing."""
    assert Story().kinds() == []


def test_two_paid_calls_are_two_costs() -> None:
    story = Story()
    story.bills.append(Bill("b", 5, 20))
    story.settlements.append(Settlement("b", 5, 20))
    assert story.kinds() == ["wrong"], "what is said to be spent is one of them"
    story.spent = 60
    assert story.kinds() == []


def test_a_call_without_a_settlement() -> None:
    story = Story()
    del story.settlements[0]
    story.spent = 20
    assert story.kinds() == ["lost"]


def test_a_call_that_was_answered_and_never_billed() -> None:
    """Nobody made it again, so nobody else has its answer."""
    story = Story()
    del story.bills[0]
    del story.settlements[0]
    story.spent = 20
    assert story.kinds() == ["lost"]
    story.calls[0] = story.calls[0]._replace(failed=True)
    assert story.kinds() == [], "a call that was cut off may cost nothing"


def test_more_bills_than_calls() -> None:
    story = Story()
    story.bills.append(Bill("a", 4, 20))
    story.settlements.append(Settlement("a", 4, 20))
    story.spent = 60
    assert story.kinds() == ["duplicated"]


def test_a_settlement_that_says_something_else_the_second_time() -> None:
    story = Story()
    story.settlements[2] = Settlement("b", 7, 25)
    assert story.kinds() == ["duplicated"]


def test_a_settlement_that_is_not_what_the_answer_cost() -> None:
    story = Story()
    story.settlements[0] = Settlement("a", 3, 25)
    story.spent = 45
    assert story.kinds() == ["wrong"]


def test_a_settlement_of_nothing() -> None:
    """What cost nothing, because it was refused, may be settled without an answer."""
    story = Story()
    story.settlements.append(Settlement("c", 1, 0))
    assert story.kinds() == []
    story.settlements.append(Settlement("d", 1, 5))
    story.spent = 45
    assert story.kinds() == ["wrong"]


def test_what_is_said_to_be_spent_counts_one_twice() -> None:
    story = Story()
    story.spent = 60
    assert story.kinds() == ["wrong"]


def test_money_that_stays_reserved() -> None:
    story = Story()
    story.reserved = 100
    assert story.kinds() == ["wrong"]
