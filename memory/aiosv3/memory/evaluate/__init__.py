"""How well memories are found: the default configuration as an object, data sets, measures, a report."""

from aiosv3.memory.evaluate.datasets import Dataset, DataUnreadable, Question, datasets
from aiosv3.memory.evaluate.measures import Estimate
from aiosv3.memory.evaluate.report import VARIANTS, Row, evaluate
from aiosv3.memory.evaluate.retriever import Retriever, retriever

__all__ = [
    "VARIANTS",
    "DataUnreadable",
    "Dataset",
    "Estimate",
    "Question",
    "Retriever",
    "Row",
    "datasets",
    "evaluate",
    "retriever",
]
