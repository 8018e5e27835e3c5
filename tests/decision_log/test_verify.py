"""The offline verifier: what was written verifies, every change of it does not, and the report says what happened."""

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.decision_log import verify
from remit.decision_log.encoding import encode_body, seal_line
from remit.decision_log.entry import EntryBody, OutcomeSeen, WriterOpened
from remit.decision_log.proofs import inclusion_text
from remit.decision_log.verify import Problem, Report, UnusableInput, verify_export
from remit.decision_log.verify.entries import KNOWN_KINDS, read_entry
from remit.decision_log.verify.report import MAX_FINDINGS
from tests.decision_log.building import (
    NOON,
    ORIGIN,
    Log,
    checkpoint_text,
    cosignature,
    export_bytes,
    leaf,
    naive_root,
    private_key,
    sample,
    signature,
    signed_note,
    vkey,
    write,
)

LINES = sample().lines
KEY = vkey(private_key())
EXPORT = export_bytes(LINES)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "log-format.md"

Check = Callable[..., Report]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Verifies bytes, or lines in a true export."""
    file = tmp_path_factory.mktemp("exports") / "log.export"

    def verify_bytes(content: bytes | list[bytes], key: str | None = None, **options: Any) -> Report:
        return verify_export(write(file, export_bytes(content) if isinstance(content, list) else content), key, **options)

    return verify_bytes


def problems(report: Report) -> list[str]:
    return [finding.problem for finding in report.findings]


def found(report: Report) -> list[tuple[int, str]]:
    return [(finding.line, finding.problem) for finding in report.findings]


# What was written verifies.


def test_the_untouched_export_verifies(check: Check) -> None:
    report = check(EXPORT, KEY)
    assert report.verified and not report.findings and report.finding_count == 0
    assert (report.origin, report.key, report.key_pinned) == (ORIGIN, KEY, True)
    assert (report.size, report.root) == (12, base64.b64encode(naive_root([leaf(line) for line in LINES])).decode())
    assert (report.writers, report.permits, report.denials, report.outcomes, report.open) == (2, 3, 1, 2, 1)
    assert (report.first_time, report.last_time) == (NOON, NOON + 11)
    assert report.kinds["outcome"] == 2 and sum(report.kinds.values()) == 12
    assert report.unwitnessed and report.witnesses == {}


def test_a_key_that_was_not_pinned_is_said_so(check: Check) -> None:
    report = check(EXPORT)
    assert report.verified and not report.key_pinned
    text = report.to_text()
    assert "2 writers, by a key that came with them" in text and f"key: {KEY}, taken from the export, not pinned" in text
    assert "whose: NOT SHOWN" in text and "--key" in text and "witness: unwitnessed" in text
    pinned = check(EXPORT, KEY).to_text()
    assert f"key: {KEY} (pinned)" in pinned and "whose" not in pinned and "came with them" not in pinned
    assert "whose" not in check(EXPORT[:-1]).to_text(), "of what is wrong, nobody asks whose it is"


def test_the_report_as_json_has_every_field(check: Check) -> None:
    report = check(EXPORT[:-1])
    read = json.loads(report.to_json())
    assert list(read) == list(Report.__dataclass_fields__)
    assert read["findings"][0] == {
        "line": report.findings[0].line,
        "problem": report.findings[0].problem,
        "message": report.findings[0].message,
    }


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.dictionaries(st.text(), st.integers() | st.text(), max_size=3))))
def test_any_log_verifies(check: Check, entries: list[tuple[str, dict[str, int | str]]]) -> None:
    log = Log()
    for writer, fields in entries:
        log.add("note", writer, fields=fields)
    report = check(log.lines, KEY)
    assert report.verified
    assert report.unknown_kinds == ({"note": len(entries)} if entries else {})


# Every byte is covered.


def cosigned() -> tuple[bytes, list[str]]:
    """The sample with two cosignatures, and the witnesses' keys."""
    text, one, two = checkpoint_text(LINES), private_key(2), private_key(3)
    lines = signature(private_key(), text) + cosignature(one, text, "a/w", 1_800_000_000) + cosignature(two, text, "b/w", 5)
    return export_bytes(LINES, f"{text}\n{lines}"), [vkey(one, "a/w", 4), vkey(two, "b/w", 4)]


def test_no_byte_can_be_flipped(check: Check) -> None:
    content, witnesses = cosigned()
    assert check(content, witnesses=witnesses).verified
    for place in range(len(content)):
        # One bit of each byte and, over the file, each bit in turn.
        for bit in {0, place % 8}:
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert not check(bytes(changed), witnesses=witnesses).verified, (place, bit)


def test_no_byte_can_be_deleted(check: Check) -> None:
    for place in range(len(EXPORT)):
        assert not check(EXPORT[:place] + EXPORT[place + 1 :]).verified, place


def test_no_byte_can_be_inserted(check: Check) -> None:
    for place in range(len(EXPORT) + 1):
        for inserted in {b"\n", EXPORT[place : place + 1] or b" "}:
            assert not check(EXPORT[:place] + inserted + EXPORT[place:]).verified, (place, inserted)


def test_it_cannot_be_truncated_anywhere(check: Check) -> None:
    for stop in range(len(EXPORT)):
        assert not check(EXPORT[:stop]).verified, stop


@settings(max_examples=300)
@given(st.integers(0, len(EXPORT)), st.integers(0, 40), st.binary(max_size=20))
def test_no_part_can_be_replaced(check: Check, start: int, length: int, by: bytes) -> None:
    changed = EXPORT[:start] + by + EXPORT[start + length :]
    assert check(changed, KEY).verified is (changed == EXPORT)


def test_no_line_can_be_dropped_repeated_or_swapped(check: Check) -> None:
    lines = EXPORT.splitlines(keepends=True)
    for place in range(len(lines)):
        assert not check(b"".join(lines[:place] + lines[place + 1 :])).verified, place
        assert not check(b"".join(lines[: place + 1] + lines[place:])).verified, place
        swapped = [*lines[:place], *reversed(lines[place : place + 2]), *lines[place + 2 :]]
        assert swapped == lines or not check(b"".join(swapped)).verified, place


# Who holds the log's key signs what he likes: then the chains and the joins speak.


def test_a_dropped_entry_breaks_its_chain_even_when_signed_again(check: Check) -> None:
    report = check(LINES[:3] + LINES[4:], KEY)
    assert found(report) == [(8, "missing")]
    assert "entry 2 of writer `w1`" in report.findings[0].message


def test_several_dropped_entries_are_named(check: Check) -> None:
    report = check([line for line in LINES if b'"writer":"w1"' not in line or b'"seq":0' in line or b'"d4"' in line], KEY)
    assert found(report)[-1] == (9, "missing")
    assert "entries 1 to 4 of writer `w1`" in report.findings[-1].message


def test_a_writer_without_its_beginning_is_noticed(check: Check) -> None:
    assert found(check(LINES[1:3], KEY))[0] == (3, "missing")


def test_a_changed_entry_breaks_its_chain_even_when_signed_again(check: Check) -> None:
    assert found(check([LINES[0], LINES[1].replace(b"permit", b"deny"), *LINES[2:]], KEY)) == [(6, "changed"), (6, "join")]


def test_swapped_entries_are_noticed_even_when_signed_again(check: Check) -> None:
    log = Log()
    for _ in range(4):
        log.add("note")
    report = check([log.lines[0], log.lines[2], log.lines[1], log.lines[3]], KEY)
    assert found(report) == [(4, "missing"), (5, "reordered")]
    assert "entry 1 of writer `w1` belongs before line 4" in report.findings[1].message


def test_a_repeated_entry_is_noticed_even_when_signed_again(check: Check) -> None:
    assert found(check([LINES[0], LINES[0], *LINES[1:]], KEY)) == [(4, "repeated")]
    assert (5, "repeated") in found(check([LINES[0], LINES[1], LINES[0], *LINES[2:]], KEY))


def test_an_entry_put_in_is_noticed_even_when_signed_again(check: Check) -> None:
    forged = LINES[1].replace(b'"d1"', b'"d9"')
    assert found(check([*LINES[:2], forged, *LINES[2:]], KEY)) == [(5, "repeated")]


def test_a_time_that_goes_back_is_noticed(check: Check) -> None:
    log = Log()
    log.add("note")
    log.add("note", "w2", NOON - 5)
    log.add("note", time=NOON - 1)
    log.add("note", time=NOON)
    assert found(check(log.lines, KEY)) == [(5, "time")]


def test_a_first_entry_builds_on_nothing(check: Check) -> None:
    line = LINES[0].replace(b'"prev":"0', b'"prev":"1')
    report = check([line], KEY)
    assert found(report) == [(3, "changed")]


# Checkpoints.


def test_a_checkpoint_of_another_key_is_refused(check: Check) -> None:
    other = private_key(2)
    forged = export_bytes(LINES, signed_note(LINES, other))
    assert problems(check(forged)) == ["signature"]
    whole = export_bytes(LINES, signed_note(LINES, other), vkey(other))
    assert check(whole).verified, "without a pinned key anybody can write a log"
    assert problems(check(whole, KEY)) == ["key", "signature"]


def test_a_signature_of_something_else_is_refused(check: Check) -> None:
    text = checkpoint_text(LINES)
    forged = export_bytes(LINES, f"{text}\n{signature(private_key(), text + 'x')}")
    assert problems(check(forged, KEY)) == ["signature"]


@pytest.mark.parametrize(("size", "says"), [(11, "entries were added"), (13, "entries at the end are gone")])
def test_another_size_is_noticed_even_when_signed(check: Check, size: int, says: str) -> None:
    text = checkpoint_text(LINES, size=size)
    report = check(export_bytes(LINES, f"{text}\n{signature(private_key(), text)}"), KEY)
    assert problems(report) == ["size"]
    assert says in report.findings[0].message


def test_another_root_is_noticed_even_when_signed(check: Check) -> None:
    text = checkpoint_text(LINES, root=b"r" * 32)
    assert problems(check(export_bytes(LINES, f"{text}\n{signature(private_key(), text)}"), KEY)) == ["root"]


def test_entries_cut_off_before_the_checkpoint_are_noticed(check: Check) -> None:
    assert found(check(export_bytes(LINES[:-1], signed_note(LINES)), KEY)) == [(16, "size")]


def test_origin_key_and_checkpoint_must_be_of_one_log(check: Check) -> None:
    assert problems(check(export_bytes(LINES, origin="example.com/other"))) == ["key", "checkpoint"]
    text = checkpoint_text(LINES, "example.com/other")
    assert problems(check(export_bytes(LINES, f"{text}\n{signature(private_key(), text)}"))) == ["checkpoint"]


def test_extension_lines_are_refused(check: Check) -> None:
    text = checkpoint_text(LINES) + "extension\n"
    assert problems(check(export_bytes(LINES, f"{text}\n{signature(private_key(), text)}"))) == ["checkpoint"]


# Witnesses.


def test_witnesses_are_named_with_their_times(check: Check) -> None:
    content, keys = cosigned()
    report = check(content, KEY, witnesses=keys)
    assert report.verified and not report.unwitnessed
    assert report.witnesses == {"a/w": 1_800_000_000, "b/w": 5}
    assert "witness: a/w at 2027-01-15 08:00:00Z, b/w at 1970-01-01 00:00:05Z" in report.to_text()


def test_a_signature_that_nobody_can_check_is_refused(check: Check) -> None:
    content, keys = cosigned()
    assert found(check(content, KEY)) == [(21, "signature"), (22, "signature")]
    assert found(check(content, KEY, witnesses=keys[:1])) == [(22, "signature")]


def test_a_wrong_cosignature_is_refused(check: Check) -> None:
    text, witness = checkpoint_text(LINES), private_key(2)
    note = f"{text}\n{signature(private_key(), text)}{cosignature(witness, text + 'x', 'a/w', 5)}"
    report = check(export_bytes(LINES, note), KEY, witnesses=[vkey(witness, "a/w", 4)])
    assert found(report) == [(21, "signature")] and report.unwitnessed


def test_witness_lines_have_one_order_and_no_repeats(check: Check) -> None:
    text, a, b = checkpoint_text(LINES), private_key(2), private_key(3)
    ours, one, two = signature(private_key(), text), cosignature(a, text, "a/w", 1), cosignature(b, text, "b/w", 2)
    keys = [vkey(a, "a/w", 4), vkey(b, "b/w", 4)]
    for disorder in (two + one, one + one, one + cosignature(a, text, "a/w", 9)):
        assert problems(check(export_bytes(LINES, f"{text}\n{ours}{disorder}"), KEY, witnesses=keys)) == ["signature"]
    assert "signature" in problems(check(export_bytes(LINES, f"{text}\n{one}{ours}"), KEY, witnesses=keys))


# A head kept from before.


@pytest.mark.parametrize("size", range(13))
def test_a_log_that_grew_from_the_known_head_verifies(check: Check, size: int) -> None:
    report = check(EXPORT, KEY, head=signed_note(LINES[:size]))
    assert (report.verified, report.head) == (True, size)


def test_a_log_cut_back_and_signed_again_is_noticed_by_who_knows_its_head(check: Check) -> None:
    shorter = LINES[:-1]
    assert check(shorter, KEY).verified
    report = check(shorter, KEY, head=signed_note(LINES))
    assert problems(report) == ["head"]
    assert "had 12 entries before, here are 11" in report.findings[0].message


def test_a_log_rewritten_and_signed_again_is_noticed_by_who_knows_its_head(check: Check) -> None:
    rewritten = Log()
    for _ in LINES:
        rewritten.add("note")
    assert check(rewritten.lines, KEY).verified
    assert problems(check(rewritten.lines, KEY, head=signed_note(LINES[:5]))) == ["head"]


def test_the_known_head_pins_the_key_too(check: Check) -> None:
    other = private_key(2)
    forged = export_bytes(LINES, signed_note(LINES, other), vkey(other))
    assert problems(check(forged, head=signed_note(LINES))) == ["head"]


# Joins.


def joined(check: Check, *entries: dict[str, Any]) -> list[tuple[int, str]]:
    log = Log()
    for entry in entries:
        log.add(**entry)
    return found(check(log.lines, KEY))


PERMIT = {"kind": "decision", "id": "d", "effect": "permit"}
DENY = {"kind": "decision", "id": "d", "effect": "deny"}
OUTCOME = {"kind": "outcome", "decision": "d"}
REQUEST = {"kind": "approval.requested", "id": "a", "decision": "d"}
GRANT = {"kind": "approval", "id": "a", "state": "approved"}
REFUSAL = {"kind": "approval", "id": "a", "state": "denied"}
SECOND = {"kind": "decision", "id": "e", "effect": "permit", "approval": "a"}
THIRD = {"kind": "decision", "id": "f", "effect": "permit", "approval": "a"}
OPENED = {"kind": "writer.opened", "writer": "r"}


def restored(size: Any, known: Any = 0) -> dict[str, Any]:
    return {"kind": "log.restored", "writer": "r", "size": size, "known": known}


@pytest.mark.parametrize(
    "entries",
    [
        [PERMIT, OUTCOME],
        [PERMIT],
        [DENY, REQUEST],
        [DENY, REQUEST, REFUSAL],
        [DENY, REQUEST, GRANT, SECOND],
        [{**PERMIT, "id": "a"}, {**DENY, "id": "d"}, REQUEST],
        [DENY, REQUEST, GRANT, SECOND, OPENED, restored(4)],
        [PERMIT, OPENED, restored(1), OUTCOME],
        [OPENED, restored(0), DENY, REQUEST, GRANT, SECOND, {**OPENED, "writer": "s"}, {**restored(6), "writer": "s"}],
    ],
)
def test_what_belongs_together_joins(check: Check, entries: list[dict[str, Any]]) -> None:
    assert joined(check, *entries) == []


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ([OUTCOME, PERMIT], 3),
        ([OUTCOME], 3),
        ([DENY, OUTCOME], 4),
        ([PERMIT, OUTCOME, OUTCOME], 5),
        ([PERMIT, PERMIT], 4),
        ([DENY, PERMIT], 4),
        ([PERMIT, {**DENY}], 4),
        ([PERMIT, REQUEST], 4),
        ([DENY, REQUEST, REQUEST], 5),
        ([GRANT], 3),
        ([DENY, REQUEST, GRANT, GRANT], 6),
        ([DENY, REQUEST, REFUSAL, GRANT], 6),
        ([DENY, REQUEST, SECOND], 5),
        ([DENY, REQUEST, REFUSAL, SECOND], 6),
        ([DENY, REQUEST, GRANT, SECOND, THIRD], 7),
        ([SECOND], 3),
        ([DENY, REQUEST, GRANT, OPENED, restored(3), SECOND], 8),
        ([DENY, REQUEST, OPENED, restored(2), GRANT], 7),
        ([PERMIT, OPENED, restored(0)], 5),
        ([PERMIT, OPENED, restored(2)], 5),
        ([PERMIT, OPENED, restored("1")], 5),
        ([PERMIT, OPENED, restored(1, None)], 5),
    ],
)
def test_what_does_not_belong_together_is_noticed(check: Check, entries: list[dict[str, Any]], line: int) -> None:
    assert joined(check, *entries) == [(line, "join")]


def test_a_restore_is_told_with_what_it_lost(check: Check) -> None:
    log = Log()
    for entry in (PERMIT, OUTCOME, OPENED, restored(2, 5)):
        log.add(**entry)
    report = check(log.lines, KEY)
    assert report.verified and [vars(one) for one in report.restored] == [{"index": 3, "size": 2, "known": 5}]
    words = "entry 3 says that the store was put back from a backup of 2 entries; 3 that a known head had are lost"
    assert f"restored: {words}" in report.to_text() and json.loads(report.to_json())["restored"][0]["known"] == 5
    kept = signed_note([*log.lines[:2], b"what was lost"])
    [finding] = check(log.lines, KEY, head=kept).findings
    assert finding.problem == "head" and finding.message.endswith(f"({words})")


@pytest.mark.parametrize(
    "entry",
    [
        {**PERMIT, "effect": "allow"},
        {"kind": "decision", "id": "d"},
        {"kind": "decision", "effect": "permit"},
        {**PERMIT, "id": 7},
        {**PERMIT, "id": ["d"]},
        {"kind": "outcome"},
        {**SECOND, "approval": 7},
        {**GRANT, "id": None},
    ],
)
def test_what_cannot_be_joined_is_no_entry(check: Check, entry: dict[str, Any]) -> None:
    assert joined(check, entry) == [(3, "entry")]


# Entries.


ENVELOPE = '{"kind":"note","v":1,"writer":"w","seq":0,"time":1,"prev":"' + "0" * 64 + '"'


@pytest.mark.parametrize(
    "line",
    [
        ENVELOPE + ',"a":1,"a":2}',
        ENVELOPE + ',"kind":"decision"}',
        ENVELOPE + ',"a":{"b":1,"b":2}}',
        ENVELOPE + ',"a":[{"b":1,"\\u0062":2}]}',
        ENVELOPE + ',"a":NaN}',
        ENVELOPE + ',"a":-Infinity}',
        ENVELOPE + ',"a":1e999}',
        ENVELOPE + ',"a":01}',
        ENVELOPE + ',"a":' + "9" * 5000 + "}",
        ENVELOPE + ',"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        ENVELOPE + ',"a":"\t"}',
        ENVELOPE + "} ",
        ENVELOPE + "}{}",
        " " + ENVELOPE + "}",
        ENVELOPE,
        f"[{ENVELOPE}}}]",
        "null",
        "7",
        '"kind"',
        ENVELOPE.replace('"v":1,', "") + "}",
        ENVELOPE.replace('"v":1', '"v":2') + "}",
        ENVELOPE.replace('"v":1', '"v":true') + "}",
        ENVELOPE.replace('"v":1', '"v":1.0') + "}",
        ENVELOPE.replace('"seq":0', '"seq":-1') + "}",
        ENVELOPE.replace('"seq":0', '"seq":false') + "}",
        ENVELOPE.replace('"seq":0', '"seq":9223372036854775808') + "}",
        ENVELOPE.replace('"time":1', '"time":"1"') + "}",
        ENVELOPE.replace('"time":1', '"time":253402300800000000') + "}",
        ENVELOPE.replace('"w"', "null") + "}",
        ENVELOPE.replace('"note"', "[]") + "}",
        ENVELOPE.replace('"note"', '"note') + "}",
    ],
    ids=range(31),
)
def test_a_line_that_can_be_read_in_two_ways_or_none_is_no_entry(check: Check, line: str) -> None:
    assert check([ENVELOPE.encode() + b"}"], KEY).verified
    report = check([line.encode()], KEY)
    assert found(report) == [(3, "entry")]
    assert report.size == 1


@pytest.mark.parametrize(
    "line", [b"\xff", b"\xef\xbb\xbf" + ENVELOPE.encode() + b"}", ENVELOPE.encode() + b',"a":"\xed\xa0\x80"}']
)
def test_a_line_that_is_no_text_is_no_entry(check: Check, line: bytes) -> None:
    assert found(check([line], KEY)) == [(3, "entry")]


def test_text_of_a_log_is_never_printed_raw(check: Check) -> None:
    log = Log()
    for hostile in ("\x1b[2J\u202e", "\udc80".encode("utf-8", "surrogatepass").decode("utf-8", "replace")):
        log.add("\x1b]0;x\x07", hostile)
        log.add("outcome", hostile, decision="\x1b[31m" + "x" * 500)
        log.add("decision", hostile, id="\x1b", effect="\x1b")
    log.lines[1:1] = [log.lines[0]]
    text = check(log.lines, KEY).to_text()
    assert text.isascii() and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    assert max(map(len, text.split("\n"))) < 700
    lone = LINES[1].replace(b'"d1"', b'"\\ud800"').replace(b'"w1"', b'"\\udfff"')
    assert check([lone], KEY).to_text().isascii()


def test_findings_are_bounded_and_counted(check: Check) -> None:
    report = check([b"{}"] * 500, KEY)
    assert (len(report.findings), report.finding_count) == (MAX_FINDINGS, 500)
    assert report.to_text().endswith("and 480 more findings")


def test_known_kinds_are_those_of_the_writer() -> None:
    tags = {info.tag for info in msgspec.inspect.type_info(EntryBody).types}  # type: ignore[attr-defined]
    assert tags == KNOWN_KINDS


def test_lines_of_the_real_writer_are_read_as_they_were_written() -> None:
    opened = WriterOpened(version="1", process=2)
    first = seal_line(encode_body(opened), "wrt_1", 0, NOON, "0" * 64)
    seen = OutcomeSeen("d", "succeeded", None, None, "public", ("a\n\"b'",), "", 0, "")
    second = seal_line(encode_body(seen), "wrt_1", 1, NOON + 1, leaf(first).hex())
    assert read_entry(first) == (("writer.opened", 1, "wrt_1", 0, NOON, "0" * 64), json.loads(first))
    assert read_entry(second)[1]["sources"] == ["a\n\"b'"]


# The file as such.


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"remit-log-export/2 x\n", b"remit-log-export/1 a b\n", b"\xff\n"])
def test_what_is_no_export_does_not_verify(check: Check, content: bytes) -> None:
    report = check(content)
    assert found(report) == [(1, "header")]
    assert "NOT VERIFIED" in report.to_text()


def test_an_origin_with_a_replacement_character_is_still_covered(check: Check) -> None:
    origin, text = "a\ufffdb", checkpoint_text(LINES, "a\ufffdb")
    content = export_bytes(LINES, f"{text}\n{signature(private_key(), text, origin)}", vkey(private_key(), origin), origin)
    assert check(content).verified
    assert not check(content.replace(b"\xef\xbf\xbdb", b"\xef\xbfb", 1)).verified


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"key": "nonsense"}, "no key of type 1"),
        ({"key": KEY[:-1] + ("a" if KEY[-1] != "a" else "b")}, "hash"),
        ({"witnesses": [KEY]}, "of type 4"),
        ({"head": "nonsense"}, "three lines"),
    ],
)
def test_arguments_that_cannot_be_used_are_no_verdict(check: Check, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableInput, match=says):
        check(EXPORT, **options)


def test_a_file_that_cannot_be_read_is_no_verdict(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UnusableInput, match="cannot be read"):
            verify_export(path)


def test_progress_ends_with_everything_read(check: Check) -> None:
    log = Log()
    for _ in range(20_000):
        log.add("note")
    seen: list[tuple[int, int]] = []
    assert check(log.lines, progress=lambda done, total: seen.append((done, total))).verified
    assert len(seen) == 3
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1]


# It stands alone.


def run_alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-m", "verify", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_copied_out_it_runs_alone(tmp_path: Path) -> None:
    source = Path(verify.__file__).parent
    shutil.copytree(source, tmp_path / "verify", ignore=shutil.ignore_patterns("__pycache__"))
    file, head = write(tmp_path / "log.export", EXPORT), tmp_path / "head"
    head.write_text(signed_note(LINES), "utf-8")
    true = run_alone(tmp_path, str(file), "--key", KEY, "--head", str(head), "--json")
    assert (true.returncode, true.stderr) == (0, "")
    assert json.loads(true.stdout)["verified"] is True
    write(file, EXPORT.replace(b'"d1"', b'"d9"'))
    false = run_alone(tmp_path, str(file), "--key", KEY)
    assert (false.returncode, false.stderr) == (1, "")
    assert false.stdout.startswith("NOT VERIFIED: 12 entries of 2 writers\n")
    for unusable in ([str(tmp_path / "none")], [str(file), "--key", "x"], [str(file), "--head", "none"], []):
        done = run_alone(tmp_path, *unusable)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    for file in Path(verify.__file__).parent.rglob("*.py"):
        parquet = {"pyarrow"} if file.name == "segments.py" else set()  # the one module that reads Parquet
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                names = [node.module or ""] if node.level == 0 else []
            else:
                continue
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | {"cryptography"} | parquet, file


# The document.


def test_every_problem_and_kind_stands_in_the_document() -> None:
    cells = re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert [cell for cell in cells if cell in get_args(Problem)] == list(get_args(Problem))
    assert {cell for cell in cells if cell in KNOWN_KINDS} == KNOWN_KINDS


def test_the_worked_example_is_true(check: Check) -> None:
    text = DOCUMENT.read_text("utf-8")
    example = re.search(r"^```text\n(remit-log-export/1 .*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert example is not None
    content = example[1].encode()
    lines = content.split(b"\n\n")[0].split(b"\n")[2:]
    assert content == export_bytes(lines)
    report = check(content, KEY)
    assert report.verified and report.size == 3
    stated = dict(re.findall(r"^\| (leaf \d|node|root) \| `([0-9a-f]{64})` \|", text, re.MULTILINE))
    leaves = [leaf(line) for line in lines]
    computed = {f"leaf {index}": one.hex() for index, one in enumerate(leaves)}
    assert stated == computed | {"node": naive_root(leaves[:2]).hex(), "root": naive_root(leaves).hex()}
    proof = re.search(r"^```text\n(c2sp.org/tlog-proof@v1\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert proof is not None and proof[1] == inclusion_text(lines[1], 1, [leaves[0], leaves[2]], signed_note(lines))
    assert f"`{private_key().private_bytes_raw().hex()}`" in text
