"""Where the labels of a picture stand: near their points, over nothing else."""

from collections.abc import Iterator, Sequence
from math import cos, hypot, pi, sin

import msgspec

CHARACTER, LINE = 6.9, 15.0
"""The room that a character takes, generously, and the height of a line (px)."""
_DISTANCES = (14, 24, 38, 54, 72, 92, 116, 144, 176, 212, 252)
_DIRECTIONS = 24


class Box(msgspec.Struct, frozen=True):
    """An upright rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two have a point in common."""
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: "Box") -> bool:
        """Whether the other lies inside."""
        return self.left <= other.left and self.top <= other.top and other.right <= self.right and other.bottom <= self.bottom


class Label(msgspec.Struct, frozen=True):
    """A text in its box, and the point that it names; `far` if a line has to lead there."""

    text: str
    box: Box
    x: float
    y: float
    far: bool


def around(x: float, y: float, reach: float) -> Box:
    """The square of that half side around a point."""
    return Box(x - reach, y - reach, x + reach, y + reach)


def place(points: Sequence[tuple[float, float, str]], frame: Box, reach: float) -> list[Label]:
    """A label for each point (x, y, text), the first choosing first: inside the frame, over no marker and no other label.

    Lines to labels cross nothing either, unless there is no other room; a point that finds none at all gets no label.
    """
    markers = [around(x, y, reach) for x, y, _ in points]
    placed: list[Label] = []
    for x, y, text in points:
        taken = markers + [label.box for label in placed]
        inside = [label for label in _candidates(x, y, text) if frame.holds(label.box) and not _covers(label, taken, placed)]
        clear = (label for label in inside if not _crosses(label, taken, placed))
        placed += filter(None, [next(clear, inside[0] if inside else None)])
    return placed


def _candidates(x: float, y: float, text: str) -> Iterator[Label]:
    width = len(text) * CHARACTER
    for distance in _DISTANCES:
        for turn in sorted(
            range(_DIRECTIONS), key=lambda step: abs(sin(2 * pi * step / _DIRECTIONS))
        ):  # beside rather than above
            way = 2 * pi * turn / _DIRECTIONS
            # The nearest edge of the box stands `distance` away, whatever its width.
            middle = x + cos(way) * distance + (cos(way) > 0.1) * width / 2 - (cos(way) < -0.1) * width / 2
            height = y + sin(way) * distance
            box = Box(middle - width / 2, height - LINE / 2, middle + width / 2, height + LINE / 2)
            yield Label(text, box, x, y, distance > _DISTANCES[0])


def _covers(label: Label, taken: Sequence[Box], placed: Sequence[Label]) -> bool:
    return any(label.box.meets(box) for box in (*taken, *_lines(placed)))


def _crosses(label: Label, taken: Sequence[Box], placed: Sequence[Label]) -> bool:
    others = [box for box in taken if not box.holds(around(label.x, label.y, 1))]
    return any(spot.meets(box) for spot in _lines([label], 0.5) for box in (*others, *_lines(placed)))


def _lines(labels: Sequence[Label], reach: float = 2.5) -> list[Box]:
    return [around(x, y, reach) for label in labels if label.far for x, y in leader(label)]


def leader(label: Label) -> list[tuple[float, float]]:
    """Points on the line from a marker to the nearest edge of its label, every few pixels."""
    to_x = min(max(label.x, label.box.left), label.box.right)
    to_y = min(max(label.y, label.box.top), label.box.bottom)
    steps = max(1, int(hypot(to_x - label.x, to_y - label.y) // 4))
    return [(label.x + (to_x - label.x) * n / steps, label.y + (to_y - label.y) * n / steps) for n in range(steps + 1)]
