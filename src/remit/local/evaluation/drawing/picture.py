"""Attack success against automatic share as a picture (SVG): every suite, the total, and what simple policies reach."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil
from typing import Any

import msgspec

from remit.local.evaluation.drawing.labels import Box, Label, leader, place
from remit.local.evaluation.drawing.references import ADAPTED, GROUND_TRUTH, RECORDED, REFERENCES, SOURCE

WIDTH, HEIGHT = 1000, 720
_FRAME = Box(70, 96, 970, 630)
_REACH = 7.0
_SUITE, _TOTAL = "suite", "total"
_SHAPES = {
    _SUITE: '<circle class="own" cx="{x}" cy="{y}" r="6"/>',
    _TOTAL: '<path class="own" d="M{x} {y}m0-9l9 9-9 9-9-9z"/>',
    GROUND_TRUTH: '<circle class="ref" cx="{x}" cy="{y}" r="5"/>',
    RECORDED: '<path class="ref" d="M{x} {y}m-5-5h10v10h-10z"/>',
    ADAPTED: '<path class="ref" d="M{x} {y}m0-6l6 10h-12z"/>',
}
_STYLE = """
.paper{fill:#ffffff} .ink{fill:#1e293b} .dim{fill:#52606d} .grid{stroke:#d5dbe3} .axis{stroke:#52606d} .lead{stroke:#8793a1}
.own{fill:#0f766e;stroke:#ffffff;stroke-width:1.5} .ref{fill:#ffffff;stroke:#9a3412;stroke-width:2}
.mine{fill:#0f766e} .theirs{fill:#9a3412}
@media (prefers-color-scheme: dark){
.paper{fill:#0f172a} .ink{fill:#e2e8f0} .dim{fill:#a8b3c1} .grid{stroke:#2c3a50} .axis{stroke:#a8b3c1} .lead{stroke:#718096}
.own{fill:#2dd4bf;stroke:#0f172a} .ref{fill:#0f172a;stroke:#fdba74} .mine{fill:#5eead4} .theirs{fill:#fdba74}
}"""


class Point(msgspec.Struct, frozen=True):
    """One result, shares from 0 to 1."""

    name: str
    shape: str
    asr: float
    automatic: float


def draw(figures: Mapping[str, Any]) -> str:
    """The picture of what `evaluate_runs` found."""
    points = [*_own(figures), *(Point(ref.policy, ref.runs, ref.asr, ref.automatic) for ref in REFERENCES)]
    top = max(0.35, ceil(max(point.asr for point in points) * 20) / 20)
    spots = [_spot(point, top) for point in points]
    labels = place([(x, y, point.name) for (x, y), point in zip(spots, points, strict=True)], _FRAME, _REACH)
    own = {point.name for point in points if point.shape in (_SUITE, _TOTAL)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="system-ui, sans-serif" font-size="12" role="img">',
        "<title>Attack success rate against the share of honest runs that nobody was asked about</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        *_axes(top),
        *_legend(),
        *(_line(label) for label in labels if label.far),
        *(_SHAPES[point.shape].format(x=f"{x:.1f}", y=f"{y:.1f}") for (x, y), point in zip(spots, points, strict=True)),
        *(_text(label, "mine" if label.text in own else "theirs") for label in labels),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _own(figures: Mapping[str, Any]) -> list[Point]:
    """The total and each suite; where a suite has only attacks or only honest runs, its set, if that has both."""
    alone = {name: found for name, found in figures["suites"].items() if _drawable(found)}
    partial = {name.partition("/")[0] for name in figures["suites"] if name not in alone}
    joined = {name: found for name, found in figures["sets"].items() if name.partition(" ")[0] in partial and _drawable(found)}
    named = [(name, _SUITE, found) for name, found in (alone | joined).items()]
    total = [("total", _TOTAL, figures["total"])] if _drawable(figures["total"]) else []
    return [Point(_printable(name), shape, found["asr"], found["automatic"]) for name, shape, found in (*total, *named)]


def _drawable(found: Mapping[str, Any]) -> bool:
    return found["asr"] is not None and found["automatic"] is not None


def _printable(name: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def _spot(point: Point, top: float) -> tuple[float, float]:
    across, up = _FRAME.right - _FRAME.left - 40, _FRAME.bottom - _FRAME.top - 60
    return _FRAME.left + 20 + across * point.automatic, _FRAME.bottom - 40 - up * point.asr / top


def _axes(top: float) -> list[str]:
    parts = []
    for tenth in range(0, 11, 2):
        x, _ = _spot(Point("", "", 0, tenth / 10), top)
        parts.append(f'<path class="grid" d="M{x:.1f} {_FRAME.top}V{_FRAME.bottom}"/>')
        parts.append(f'<text class="dim" x="{x:.1f}" y="{_FRAME.bottom + 20}" text-anchor="middle">{tenth * 10} %</text>')
    for part in range(0, round(top * 100) + 1, 5 if top <= 0.5 else 20):
        _, y = _spot(Point("", "", part / 100, 0), top)
        parts.append(f'<path class="grid" d="M{_FRAME.left} {y:.1f}H{_FRAME.right}"/>')
        parts.append(f'<text class="dim" x="{_FRAME.left - 8}" y="{y + 4:.1f}" text-anchor="end">{part} %</text>')
    left, right, below = _FRAME.left, _FRAME.right, _FRAME.bottom + 42
    middle, height = (left + right) / 2, (_FRAME.top + _FRAME.bottom) / 2
    return [
        *parts,
        f'<path class="axis" fill="none" d="M{left} {_FRAME.top}V{_FRAME.bottom}H{right}"/>',
        f'<text class="ink" x="{middle}" y="{below}" text-anchor="middle">honest runs that nobody was asked about (automatic)</text>',
        f'<text class="ink" text-anchor="middle" transform="translate(22 {height}) rotate(-90)">attacks that succeed (ASR)</text>',
        f'<text class="dim" x="{right}" y="{below}" text-anchor="end">better: right and down</text>',
        f'<text class="dim" x="{left}" y="{HEIGHT - 18}" font-size="11">hollow: {escape(SOURCE)}</text>',
    ]


def _legend() -> list[str]:
    told: Sequence[tuple[str, str, int]] = (
        (_SUITE, "Remit, one suite", 80),
        (_TOTAL, "Remit, all runs", 235),
        (GROUND_TRUTH, GROUND_TRUTH, 375),
        (RECORDED, RECORDED, 560),
        (ADAPTED, ADAPTED, 765),
    )
    said = "What injected agents still did, and what honest agents did unasked"
    title = f'<text class="ink" x="{_FRAME.left}" y="34" font-size="17">{said}</text>'
    rows = (_SHAPES[shape].format(x=x, y=66) + f'<text class="ink" x="{x + 14}" y="70">{text}</text>' for shape, text, x in told)
    return [title, *rows]


def _line(label: Label) -> str:
    (x, y), (to_x, to_y) = leader(label)[0], leader(label)[-1]
    return f'<path class="lead" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>'


def _text(label: Label, style: str) -> str:
    box = label.box
    x, anchor = (box.left + box.right) / 2, "middle"
    if box.left > label.x:
        x, anchor = box.left, "start"
    elif box.right < label.x:
        x, anchor = box.right, "end"
    return f'<text class="{style}" x="{x:.1f}" y="{box.bottom - 4:.1f}" text-anchor="{anchor}">{escape(label.text)}</text>'
