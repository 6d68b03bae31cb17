"""Plots as small SVG files, readable on dark and on light pages: no background, middle greys, one colour for us."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
_LEFT, _RIGHT, _ROW, _TOP = 190, 110, 28, 44
_TEXT, _OTHER, _OURS, _RULE = "#7d8590", "#9aa4b0", "#3f83d6", "#7d859055"
_MIDDLE: Final = f'text-anchor="middle" fill="{_TEXT}"'
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="14"'


@dataclass(frozen=True, slots=True)
class Bar:
    """``words``: what stands at its end."""

    label: str
    value: float
    words: str
    ours: bool = False


def bars(title: str, rows: Sequence[Bar], *, logarithmic: bool = False) -> str:
    """Horizontal bars, from zero or, where values differ by powers of ten, from a tenth of the least."""
    height = _TOP + _ROW * len(rows) + 12
    parts = [_head(title, height)]
    known = [bar.value for bar in rows if bar.value > 0 and math.isfinite(bar.value)]
    for place, bar in enumerate(rows):
        y = _TOP + _ROW * place
        width = (WIDTH - _LEFT - _RIGHT) * _share(bar.value, known, logarithmic)
        colour = _OURS if bar.ours else _OTHER
        weight = ' font-weight="bold"' if bar.ours else ""
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 17}" text-anchor="end" fill="{_TEXT}"{weight}>{escape(bar.label)}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="19" rx="2" fill="{colour}"/>',
            f'<text x="{_LEFT + width + 8:.1f}" y="{y + 17}" fill="{_TEXT}"{weight}>{escape(bar.words)}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def _share(value: float, known: Sequence[float], logarithmic: bool) -> float:
    if not known or not math.isfinite(value) or value <= 0:
        return 0.0
    if not logarithmic:
        return value / max(known)
    floor = min(known) / 10
    return math.log(value / floor) / math.log(max(known) / floor)


def curve(title: str, points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    """One line over time or size; both axes from zero."""
    height, bottom, right = 300, 250, WIDTH - 30
    left = 80
    most_x, most_y = (max((point[axis] for point in points), default=1.0) or 1.0 for axis in (0, 1))
    most_y = nice(most_y)
    placed = [(left + (right - left) * x / most_x, bottom - (bottom - _TOP) * y / most_y) for x, y in points]
    parts = [_head(title, height)]
    for step in range(5):
        y = bottom - (bottom - _TOP) * step / 4
        parts += [
            f'<line x1="{left}" y1="{y:.0f}" x2="{right}" y2="{y:.0f}" stroke="{_RULE}"/>',
            f'<text x="{left - 8}" y="{y + 5:.0f}" text-anchor="end" fill="{_TEXT}">{most_y * step / 4:g}</text>',
        ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    parts += [
        f'<polyline points="{path}" fill="none" stroke="{_OURS}" stroke-width="2"/>',
        f'<text x="{left}" y="{bottom + 22}" fill="{_TEXT}">0</text>',
        f'<text x="{right}" y="{bottom + 22}" text-anchor="end" fill="{_TEXT}">{most_x:g}</text>',
        f'<text x="{(left + right) // 2}" y="{bottom + 40}" {_MIDDLE}>{escape(across)}</text>',
        f'<text x="{left}" y="{_TOP - 8}" fill="{_TEXT}">{escape(up)}</text>',
    ]
    return "\n".join([*parts, "</svg>\n"])


def nice(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of ten: the end of an axis of four parts."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * 0.999)


def _head(title: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {_FONT}>\n'
        f"<title>{escape(title)}</title>\n"
        f'<text x="{WIDTH // 2}" y="22" font-weight="bold" {_MIDDLE}>{escape(title)}</text>'
    )
