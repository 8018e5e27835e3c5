"""A bundle is what stands in its folder, whole, or it is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.model.errors import ErrorKind, RemitError
from remit.pap.bundle import compile_bundle, from_document, to_document
from remit.pap.contents import SourceFile, digest_of
from remit.pap.problems import BundleError
from remit.pap.reading import files as files_module
from remit.pap.reading.files import read_files
from remit.pap.reading.folder import bundle_of, read_bundle
from remit.pap.validate import check
from tests.pap.bundles import SCENARIOS, SMALL, files, small, write


def refused(folder: Path) -> list[tuple[str, int, str]]:
    """File, line and code of everything that a folder is refused for."""
    with pytest.raises(BundleError) as caught:
        read_bundle(folder)
    assert caught.value.kind is ErrorKind.MALFORMED
    return [(problem.file, problem.line, problem.code) for problem in caught.value.problems]


def without(name: str) -> dict[str, str]:
    """The small bundle's files, but one."""
    return {path: text for path, text in SMALL.items() if path != name}


def test_a_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "README.md").write_text("words")
    (tmp_path / ".hidden.yaml").write_text("no: [")
    bundle = read_bundle(tmp_path)
    assert bundle == small()
    assert [tool.name for tool in bundle.contents.tools] == ["send", "look"]
    assert compile_bundle(bundle).tools["send"].types.closed


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(RemitError, match="there is no folder `.*missing`") as missing:
        read_bundle(tmp_path / "missing")
    assert missing.value.kind is ErrorKind.NOT_FOUND
    assert refused(tmp_path) == [("bundle.yaml", 1, "no-manifest"), ("bundle.yaml", 1, "no-policy")]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (without("bundle.yaml"), [("bundle.yaml", 1, "no-manifest")]),
        (without("policies/all.cedar"), [("bundle.yaml", 1, "no-policy")]),
        ({**SMALL, "policies/all.cedar": "// nothing\n"}, [("bundle.yaml", 1, "no-policy")]),
        ({**SMALL, "bundle.yaml": ""}, [("bundle.yaml", 1, "empty")]),
        ({**SMALL, "bundle.yaml": "name: ' '"}, [("bundle.yaml", 1, "no-name")]),
        ({**SMALL, "bundle.yaml": "nam: x"}, [("bundle.yaml", 1, "missing-field"), ("bundle.yaml", 1, "unknown-field")]),
        ({**SMALL, "bundle.yaml": "name: x\nmode: on"}, [("bundle.yaml", 2, "ambiguous")]),
        ({**SMALL, "bundle.yaml": "name: x\nmode: watch"}, [("bundle.yaml", 2, "shape")]),
        ({**SMALL, "tools.yaml": SMALL["tools.yaml"][:60]}, [("tools.yaml", 3, "yaml")]),
        ({**SMALL, "tools.yaml": SMALL["tools.yaml"][:182]}, [("tools.yaml", 1, "malformed")]),
        ({**SMALL, "tools.yaml": "- name: a\n  schema: {required: to}"}, [("tools.yaml", 1, "malformed")]),
        ({**SMALL, "tools.yaml": "- name: a\n  schema: {properties: {x: [1]}}"}, [("tools.yaml", 1, "malformed")]),
        ({**SMALL, "policies/all.cedar": SMALL["policies/all.cedar"][:40]}, [("policies/all.cedar", 1, "cedar")]),
        ({**SMALL, "schema.cedarschema": "entity Ledger {"}, [("schema.cedarschema", 1, "cedar")]),
        (
            {**SMALL, "policies/b.cedar": '\n@id("all") forbid (principal, action, resource);'},
            [("policies/b.cedar", 2, "duplicate-id")],
        ),
        (
            {**SMALL, "tool.yaml": "[]", "policy/x.cedar": "x", "policies/a.yml": "x", "cases/deep/x.json": "{}"},
            [(name, 1, "unknown-file") for name in ("cases/deep/x.json", "policies/a.yml", "policy/x.cedar", "tool.yaml")],
        ),
    ],
)
def test_what_is_missing_half_written_or_misplaced(
    tmp_path: Path, texts: dict[str, str], found: list[tuple[str, int, str]]
) -> None:
    assert refused(write(tmp_path, texts)) == found


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            **SMALL,
            "tools.yaml": "- name: send\n  anotations: {}\n- name: look\n  annotations: {effect: sends}\n",
            "task_types.yaml": "- name: t\n  seconds: 0\n- name: u\n  budgets: {amounts: {pay: 1}}\n",
            "links.yaml": "- {template: al, id: x}\n- {template: t, id: y, principal: Agent-a}\n",
            "entities.yaml": "- {type: Group, id: a, parents: [staff]}\n",
        },
    )
    assert refused(tmp_path) == [
        ("entities.yaml", 1, "malformed"),
        ("links.yaml", 1, "unknown-template"),
        ("links.yaml", 2, "malformed"),
        ("task_types.yaml", 1, "malformed"),
        ("task_types.yaml", 3, "malformed"),
        ("tools.yaml", 2, "unknown-field"),
        ("tools.yaml", 4, "shape"),
    ]
    with pytest.raises(BundleError) as caught:
        read_bundle(tmp_path)
    assert "did you mean `annotations`?" in caught.value.message
    assert "`effect` must be one of `read`, `write`, `delete`" in caught.value.message


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside.cedar"
    outside.write_text('@id("x") permit (principal, action, resource);')
    folder = write(tmp_path / "bundle")
    (folder / "policies/outside.cedar").symlink_to(outside)
    (folder / "cases").symlink_to(tmp_path)
    assert refused(folder) == [("cases", 1, "link"), ("policies/outside.cedar", 1, "link")]


def test_links_that_lead_to_themselves_or_nowhere(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "links.yaml").symlink_to("links.yaml")
    (folder / "policies/a.cedar").symlink_to("b.cedar")
    (folder / "policies/b.cedar").symlink_to("a.cedar")
    (folder / "resources.yaml").symlink_to("nowhere")
    assert refused(folder) == [
        ("links.yaml", 1, "link"),
        ("policies/a.cedar", 1, "link"),
        ("policies/b.cedar", 1, "link"),
        ("resources.yaml", 1, "unreadable"),
    ]


def test_a_forbid_is_not_left_out_for_how_its_file_is_called(tmp_path: Path) -> None:
    names = ["TOOLS.YAML", "policies/deny.CEDAR", "policies/more.Yaml"]
    assert refused(write(tmp_path, {**SMALL, **dict.fromkeys(names, "x")})) == [(name, 1, "unknown-file") for name in names]


def test_folders_without_end(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "/".join(["a"] * 100)).mkdir(parents=True)
    assert refused(folder) == [("/".join(["a"] * 65), 1, "depth")]


def test_text_that_reviewers_see_in_another_order_is_refused(tmp_path: Path) -> None:
    hidden = '// fine \u202e\n@id("x") permit (principal, action, resource);\n'
    folder = write(tmp_path, {**SMALL, "policies/x.cedar": hidden, "cases/x.yaml": "- 1\n- \u2066\n"})
    assert refused(folder) == [("cases/x.yaml", 2, "encoding"), ("policies/x.cedar", 1, "encoding")]


def test_a_whole_number_that_no_store_could_keep_is_refused(tmp_path: Path) -> None:
    large = {
        "task_types.yaml": f"- name: t\n  seconds: 1{'0' * 30}\n  budgets: {{calls: 1{'0' * 300}}}\n",
        "tools.yaml": f"- {{name: a, schema: {{maximum: 1{'0' * 30}}}}}",
    }
    assert refused(write(tmp_path, {**SMALL, **large})) == [("task_types.yaml", 2, "shape"), ("task_types.yaml", 3, "shape")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tools.yaml", "- {" + ",".join(f"a{number}" for number in range(60_000)) + "}"),
        ("tools.yaml", "- name: x\n  schema: {a: 1." + "0" * 4_000_000 + "}"),
        (
            "policies/many.cedar",
            "".join(f'@id("p{n}") permit (principal, action, resource == Tool::"t{n}");' for n in range(6000)),
        ),
        ("schema.cedarschema", "entity X { a: " + "Set<" * 20_000 + "Long" + ">" * 20_000 + " };"),
        ("schema.cedarschema", "entity X { a: " + "Set// <\n<" * 20_000 + "Long" + ">" * 20_000 + " };"),
        (
            "schema.cedarschema",
            "".join(f"type A{n} = {{x: A{n + 1}, y: A{n + 1}}};" for n in range(60)) + "type A60 = Long; entity X { a: A0 };",
        ),
        ("schema.cedarschema", "type A = B; type B = A; entity X { a: A };"),
    ],
    ids=["fields", "digits", "names", "sets", "sets behind comments", "doubling types", "circular types"],
)
def test_what_is_large_ends_in_words_and_in_time(tmp_path: Path, name: str, text: str) -> None:
    """None of these may kill the process, fill its memory, or take longer than a reviewer waits."""
    program = (
        "import sys; from remit.pap.validate import check_folder; print({p.severity.value for p in check_folder(sys.argv[1])})"
    )
    command = [sys.executable, "-c", program, str(write(tmp_path, {**SMALL, name: text}))]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=20, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert "error" in done.stdout, (done.returncode, done.stderr[-400:])


def test_references_that_double_are_cut(tmp_path: Path) -> None:
    """Each definition names the next one thirty times: spelled out, eight of them are more than any memory holds."""
    ties = [", ".join(f"x{i}: {{$ref: '#/$defs/d{n + 1}'}}" for i in range(30)) for n in range(8)]
    defs = ", ".join(f"d{n}: {{type: object, properties: {{{tie}}}}}" for n, tie in enumerate(ties))
    schema = f"{{properties: {{to: {{$ref: '#/$defs/d0'}}}}, $defs: {{{defs}, d8: {{type: string}}}}}}"
    tool = f"- name: send\n  annotations: {{effect: read, reach: internal}}\n  schema: {schema}\n"
    assert (
        compile_bundle(read_bundle(write(tmp_path, {**SMALL, "tools.yaml": tool}))).tools["send"].types.root.fields["to"].fields
    )


def test_links_within_the_folder_are_files(tmp_path: Path) -> None:
    folder = write(tmp_path, without("tools.yaml"))
    (folder / ".data").mkdir()
    (folder / ".data/tools.yaml").write_text(SMALL["tools.yaml"])
    (folder / "tools.yaml").symlink_to(folder / ".data/tools.yaml")
    assert read_bundle(folder) == small()


def test_what_is_no_text(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "tools.yaml").write_bytes(b"- name: a\n- name: \xff\n")
    (folder / "resources.yaml").write_bytes(b"\xef\xbb\xbf[]\n")
    os.mkfifo(folder / "links.yaml")
    (folder / "policies/caf\u00e9.cedar").write_text("")
    assert refused(folder) == [
        ("links.yaml", 1, "unreadable"),
        ("policies/caf\u00e9.cedar", 1, "file-name"),
        ("resources.yaml", 1, "encoding"),
        ("tools.yaml", 2, "encoding"),
    ]


def test_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path)
    monkeypatch.setattr(files_module, "MAX_FILE", 200)
    assert refused(folder) == [("tools.yaml", 1, "size")]
    monkeypatch.undo()
    monkeypatch.setattr(files_module, "MAX_BUNDLE", 100)
    assert refused(folder) == [("bundle.yaml", 1, "size")]


def test_the_digest_is_that_of_the_text_wherever_it_is_checked_out(tmp_path: Path) -> None:
    unix = write(tmp_path / "unix")
    other = tmp_path / "other"
    for path, text in SMALL.items():
        (other / path).parent.mkdir(parents=True, exist_ok=True)
        (other / path).write_bytes(text.replace("\n", "\r\n").encode())
    assert read_bundle(unix).digest == read_bundle(other).digest


def test_the_digest_names_every_byte_and_every_boundary() -> None:
    base = files()
    same = [SourceFile(file.path, file.text) for file in reversed(base)]
    assert digest_of(same) == digest_of(base)
    moved = [SourceFile("a", "bc"), SourceFile("d", "")]
    assert len({digest_of(moved), digest_of([SourceFile("ab", "c"), moved[1]]), digest_of([SourceFile("a", "bcd")])}) == 3
    changed = {digest_of(files(manifest="name: small\n\n")), digest_of(files(cases="[]")), digest_of(base)}
    assert len(changed) == 3


WHOLE = read_files(SCENARIOS)
PIECES = [
    "",
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "]",
    '"',
    "'",
    "permit",
    "forbid (principal, action, resource);",
    "@id",
    "null",
    "-1",
    "é",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(WHOLE) - 1), st.floats(0, 1), st.integers(0, 30), st.sampled_from(PIECES))
def test_a_damaged_bundle_is_refused_in_words_or_still_one(which: int, where: float, cut: int, piece: str) -> None:
    text = WHOLE[which].text
    place = int(len(text) * where)
    damaged = SourceFile(WHOLE[which].path, text[:place] + piece + text[place + cut :])
    try:
        bundle = bundle_of([*WHOLE[:which], damaged, *WHOLE[which + 1 :]])
    except BundleError as fault:
        assert fault.problems and all(problem.line >= 1 and problem.message for problem in fault.problems)
        return
    assert from_document(to_document(bundle)) == bundle
    compile_bundle(bundle)
    check(bundle)


def test_a_bundle_is_the_same_from_its_files() -> None:
    bundle = small()
    assert bundle_of(bundle.files) == bundle
