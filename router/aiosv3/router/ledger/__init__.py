"""Money on the log: what may be spent, what is reserved for calls at work, what calls have cost (section 7)."""

from aiosv3.router.ledger.books import Books
from aiosv3.router.ledger.cashier import Cashier
from aiosv3.router.ledger.fold import Booking, Ledger, Short
from aiosv3.router.ledger.reading import read_books
from aiosv3.router.ledger.settling import entry_outgoing, settlement
from aiosv3.router.ledger.tenure import RouterTenure, keeping_books

__all__ = [
    "Booking",
    "Books",
    "Cashier",
    "Ledger",
    "RouterTenure",
    "Short",
    "entry_outgoing",
    "keeping_books",
    "read_books",
    "settlement",
]
