"""Errors of memory views; see ``aiosv3.schemas.errors`` for the root.

AiosError
├── ViewUnavailable   the view did not answer: go on degraded, try again
└── VectorUnusable    a vector does not fit its embedder's others: a defect of whoever made it
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class ViewUnavailable(AiosError):
    """The view cannot answer now. Its content is safe: it can be built again from the log."""


class VectorUnusable(AiosError):
    """A vector has another length than the others of its embedder, or numbers that are none."""
