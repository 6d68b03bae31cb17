"""What a prompt's text gives away: cards, accounts, identities, keys. It may raise a data class, never lower it.

Checksums decide where there are any, so that an order number is no card. Nothing that was found is kept: a finding
says what and where, not which.
"""

from aiosv3.prompts.scan.finding import Detector, Finding, SecondLook, Verdict
from aiosv3.prompts.scan.scanner import DETECTORS, Judging, judge, scan, texts_of

__all__ = ["DETECTORS", "Detector", "Finding", "Judging", "SecondLook", "Verdict", "judge", "scan", "texts_of"]
