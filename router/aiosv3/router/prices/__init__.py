"""What calls cost: the dated price table, and the measured price of GPUs of one's own."""

from aiosv3.router.prices.errors import BadPrices
from aiosv3.router.prices.price import Price, Tier
from aiosv3.router.prices.table import Entry, PriceTable, packaged_table, parse_table, read_table, table_schema

__all__ = [
    "BadPrices",
    "Entry",
    "Price",
    "PriceTable",
    "Tier",
    "packaged_table",
    "parse_table",
    "read_table",
    "table_schema",
]
