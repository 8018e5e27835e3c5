"""Segments of the size that the format says: a whole one, written and verified, which tests elsewhere make smaller."""

import json
from pathlib import Path

from remit.decision_log.archive import SEGMENT
from remit.decision_log.tiles import WIDTH
from remit.decision_log.verify import archive as verified
from tests.archive.building import MemoryLog, archived, checked
from tests.decision_log.building import NOON, leaf

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "log-format.md"


def test_a_segment_is_a_full_tile_of_level_one() -> None:
    assert SEGMENT == verified.SEGMENT == WIDTH * WIDTH
    assert f"each segment of {SEGMENT:,} entries" in DOCUMENT.read_text("utf-8")


def test_a_whole_segment_verifies(tmp_path: Path) -> None:
    lines, prev = [], "0" * 64
    for n in range(SEGMENT + 3):
        line = json.dumps({"kind": "note", "v": 1, "writer": "w", "seq": n, "time": NOON + n, "prev": prev}).encode()
        prev = leaf(line).hex()
        lines.append(line)
    done = archived(tmp_path / "home", tmp_path / "archive", MemoryLog(lines))
    assert (done.segments, done.entries, done.size) == (1, SEGMENT, SEGMENT + 3)
    report = checked(tmp_path / "archive")
    assert report.verified and (report.segments, report.size, report.signed) == (1, SEGMENT, SEGMENT + 3)
