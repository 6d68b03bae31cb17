"""Documents as memories: read into sections, cut into chunks that say under which headings they stand."""

from aiosv3.memory.documents.chunking import chunks
from aiosv3.memory.documents.errors import DocumentUnreadable
from aiosv3.memory.documents.reading import SUFFIXES, read, suffix_of
from aiosv3.memory.documents.sections import Section

__all__ = ["SUFFIXES", "DocumentUnreadable", "Section", "chunks", "read", "suffix_of"]
