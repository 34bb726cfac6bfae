"""Two kinds of plot, as SVG that reads on light and dark pages: bars with a range, and lines; both axes named.

Both have logarithmic values: what is compared differs by orders of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 860
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 16px; font-weight: 600 }
  .soft { fill: #59636e } .grid { stroke: #d1d9e0; stroke-width: 1 } .range { stroke: #1f2328; stroke-width: 1.5 }
  .page { fill: #ffffff } .c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #bc4c00; stroke: #bc4c00 }
  .c2 { fill: #1a7f37; stroke: #1a7f37 } .c3 { fill: #8250df; stroke: #8250df } .line { fill: none; stroke-width: 2 }
  .name { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d } .range { stroke: #f0f6fc }
    .page { fill: #0d1117 } .c0 { fill: #4493f8; stroke: #4493f8 } .c1 { fill: #f0883e; stroke: #f0883e }
    .c2 { fill: #3fb950; stroke: #3fb950 } .c3 { fill: #ab7df8; stroke: #ab7df8 }
    .line { fill: none } .name { stroke: none }
  }
"""


@dataclass(frozen=True, kw_only=True)
class Bar:
    name: str
    value: float
    least: float
    most: float
    colour: int = 0
    """0 to 3."""


@dataclass(frozen=True)
class _Scale:
    """Logarithmic: a value's place on an axis."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]


def bars(title: str, axis: str, given: Sequence[Bar]) -> str:
    """Return horizontal bars; a thin line shows each one's least and most. Values are above 0."""
    left, row, top = 360, 28, 56
    bottom = top + row * len(given)
    scale = _scale([bar.least for bar in given] + [bar.most for bar in given], left, WIDTH - 80)
    parts = [_text((left + WIDTH - 80) / 2, bottom + 42, axis, "middle", "soft")]
    for decade in scale.decades():
        x = scale.at(decade)
        parts += [
            _line(x, top - 6, x, bottom, "grid"),
            _text(x, bottom + 18, f"{decade:,g}", "middle", "soft"),
        ]
    for number, bar in enumerate(given):
        y = top + row * number
        middle = y + row / 2 - 2
        width = round(scale.at(bar.value) - left, 1)
        parts += [
            _text(left - 10, middle + 5, bar.name, "end"),
            f'<rect class="c{bar.colour}" x="{left}" y="{y + 3}" width="{width}" height="{row - 10}" rx="2"/>',
            _line(scale.at(bar.least), middle, scale.at(bar.most), middle, "range"),
            _text(scale.at(bar.most) + 8, middle + 5, f"{bar.value:,.0f}"),
        ]
    return _svg(title, bottom + 56, parts)


def lines(title: str, across: str, up: str, given: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return one line for each named series of (across, up), with its name at its end. Values are above 0."""
    left, right, top, bottom = 80, WIDTH - 170, 60, 340
    x_scale = _scale([x for points in given.values() for x, _ in points], left, right)
    y_scale = _scale([y for points in given.values() for _, y in points], bottom, top)
    parts = [
        _text((left + right) / 2, bottom + 44, across, "middle", "soft"),
        f'<g transform="translate(24 {(top + bottom) / 2}) rotate(-90)">{_text(0, 0, up, "middle", "soft")}</g>',
    ]
    for decade in x_scale.decades():
        x = x_scale.at(decade)
        parts += [_line(x, top, x, bottom, "grid"), _text(x, bottom + 20, f"{decade:,g}", "middle", "soft")]
    for decade in y_scale.decades():
        y = y_scale.at(decade)
        parts += [_line(left, y, right, y, "grid"), _text(left - 8, y + 4, f"{decade:,g}", "end", "soft")]
    ends = _spread({name: y_scale.at(points[-1][1]) for name, points in given.items()}, 18)
    for number, (name, points) in enumerate(given.items()):
        places = [(x_scale.at(x), y_scale.at(y)) for x, y in points]
        joined = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline class="line c{number % 4}" points="{joined}"/>')
        parts += [f'<circle class="c{number % 4}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in places]
        parts.append(_text(places[-1][0] + 10, ends[name] + 4, name, "start", f"name c{number % 4}"))
    return _svg(title, bottom + 60, parts)


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low = 10.0 ** math.floor(math.log10(min(values)))
    high = 10.0 ** math.ceil(math.log10(max(values)))
    return _Scale(low, high if high > low else 10 * low, start, end)


def _spread(places: Mapping[str, float], apart: float) -> dict[str, float]:
    """Return the places, each moved down until none is nearer than `apart` to the one above."""
    spread: dict[str, float] = {}
    free = -math.inf
    for name in sorted(places, key=lambda name: places[name]):
        spread[name] = max(places[name], free)
        free = spread[name] + apart
    return spread


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}"/>\n'
        f"{_text(24, 30, title, 'start', 'title')}\n{body}\n</svg>\n"
    )
