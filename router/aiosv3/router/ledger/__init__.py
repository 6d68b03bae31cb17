"""Money on the log: what may be spent, what is reserved for calls at work, what calls have cost (section 7)."""

from aiosv3.router.ledger.accounts import Short
from aiosv3.router.ledger.books import Books
from aiosv3.router.ledger.borrowing import Patience
from aiosv3.router.ledger.caps import Cap, Caps
from aiosv3.router.ledger.cashier import Cashier
from aiosv3.router.ledger.fold import Booking, Ledger
from aiosv3.router.ledger.reading import read_books
from aiosv3.router.ledger.settling import burial, entry_outgoing, settlement
from aiosv3.router.ledger.tally import expose_ledgers
from aiosv3.router.ledger.tenure import RouterTenure, keeping_books

__all__ = [
    "Booking",
    "Books",
    "Cap",
    "Caps",
    "Cashier",
    "Ledger",
    "Patience",
    "RouterTenure",
    "Short",
    "burial",
    "entry_outgoing",
    "expose_ledgers",
    "keeping_books",
    "read_books",
    "settlement",
]
