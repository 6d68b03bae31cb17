"""Makes ``docs`` importable from the root of the checkout, as ``python -m docs.compare.run`` finds it there."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
