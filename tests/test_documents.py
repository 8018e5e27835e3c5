"""Documents that fail the build when they lie."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import remit
from remit.cli import output, verbs
from remit.cli.main import app
from remit.local.config import Settings
from remit.model.decision import Deny, Reason
from remit.model.errors import ErrorKind
from remit.model.obligations import KNOWN_OBLIGATIONS

PYTHON = {
    "remit.guard": set(inspect.signature(remit.guard).parameters) - {"function"},
    "remit.task": set(inspect.signature(remit.task).parameters),
    "remit.declassify": set(inspect.signature(remit.declassify).parameters),
    "remit.Scope": set(remit.Scope.__struct_fields__),
    "remit.Budgets": set(remit.Budgets.__struct_fields__),
    "remit.Denied": set(Deny.__struct_fields__),
}
ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")])

verbs.register(app)


def _first_cells(document: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", (DOCS / document).read_text("utf-8"), re.MULTILINE)


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [(" ".join(path), command)]
    return [found for name, child in sorted(children.items()) for found in _commands(child, (*path, name))]


COMMANDS = _commands(typer.main.get_command(app))


BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def _written(text: str) -> Iterator[list[str]]:
    """Each call of the command line in a document, in blocks of a shell and in running text: the words behind `remit`."""
    shell = "\n".join(block for kind, block in BLOCK.findall(text) if kind in ("", "sh"))
    for part in re.split("&&|\n", re.sub(r"\s#.*", "", shell.replace("\\\n", " "))):
        if found := re.match(r" *(?:\$ )?(?:[A-Z_]+=\S* )*(?:\./run |\S*/bin/)?remit ([a-z].*)", part):
            yield shlex.split(found[1])
    for command in re.findall(r"(?<!`)`(?:\./run |/opt/remit/bin/)?remit ([a-z][^`\n]*)`", BLOCK.sub("", text)):
        yield shlex.split(command)


WRITTEN = [(path, words) for path in DOCUMENTS if path.name != "cli.md" for words in _written(path.read_text("utf-8"))]


def test_every_command_that_a_document_has_is_one() -> None:
    """Its verb and its options are there; `test_every_command_is_one` (tests/deploy) parses those of the operator's guide, with their values."""
    known = {path: {opt for p in command.params for opt in p.opts} for path, command in COMMANDS}
    groups = {path.partition(" ")[0] for path in known if " " in path}
    wrong = []
    for document, words in WRITTEN:
        verb = " ".join(words[: 2 if words[0] in groups else 1])
        options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help", "--json"}
        if verb in groups and not options:
            continue  # "`remit approval`": all of them
        if verb not in known or not options <= known[verb]:
            wrong.append((document.name, " ".join(words)))
    assert wrong == [] and len(WRITTEN) > 200


def test_every_reason_is_explained_and_no_other() -> None:
    assert sorted(_first_cells("reasons.md")) == sorted(reason.value for reason in Reason)


def test_every_error_kind_stands_with_its_exit_code() -> None:
    text = (DOCS / "errors.md").read_text("utf-8")
    stated = dict(re.findall(r"^\| `([^`]+)` \| (\d) \|", text, re.MULTILINE))
    assert stated == {kind.value: str(output.EXIT_CODES[kind]) for kind in ErrorKind}


def test_every_setting_stands_with_its_default() -> None:
    text = (DOCS / "configuration.md").read_text("utf-8")
    for field in Settings.__struct_fields__:
        default = getattr(Settings(), field)
        assert f"| `{field}` | {f'`{default}`' if default else 'empty'} |" in text


def test_every_obligation_is_in_the_policy_document() -> None:
    text = (DOCS / "policy.md").read_text("utf-8")
    assert [name for name in KNOWN_OBLIGATIONS if f"`{name}`" not in text] == []


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_verb_and_option_is_in_the_reference(path: str, command: Any) -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    section = re.search(rf"^### `remit {path}( [^`]*)?`$(.*?)(?=^### |^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/cli.md has no section for `remit {path}`"
    options = [opt for p in command.params if p.param_type_name == "option" for opt in p.opts if opt.startswith("--")]
    assert [option for option in options if option not in ("--help", "--json") and f"`{option}" not in section[2]] == []
    assert command.help, "a verb without help"


def test_the_reference_names_no_verb_that_is_not_there() -> None:
    stated = re.findall(r"^### `remit ([a-z -]+?)(?: [^a-z`][^`]*)?`$", (DOCS / "cli.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(stated) == sorted(path for path, _ in COMMANDS)


@pytest.mark.parametrize("name", PYTHON)
def test_every_parameter_and_field_is_in_the_python_reference_and_no_other(name: str) -> None:
    text = (DOCS / "python.md").read_text("utf-8")
    [section] = re.findall(rf"^## `{re.escape(name)}`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == sorted(PYTHON[name])


def test_everything_that_remit_offers_is_in_the_python_reference() -> None:
    text = (DOCS / "python.md").read_text("utf-8")
    assert [name for name in remit.__all__ if not name.startswith("_") and f"`remit.{name}`" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_project_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_that_documents_name_exist(document: Path) -> None:
    named = re.findall(
        r"`((?:src|tests|docs|benchmarks)/[\w./-]+|(?:pdp|pep|runtime|model|local|storage)/[\w/]+\.py)`",
        document.read_text("utf-8"),
    )
    missing = [name for name in named if not ((ROOT / name).exists() or (ROOT / "src" / "remit" / name).exists())]
    assert missing == []


def test_the_changelog_is_one_that_can_be_read() -> None:
    """Each kind of change once for a version, in the order of Keep a Changelog; no entry is a page."""
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1:]:
        used = re.findall(r"^### (.*)$", version, re.MULTILINE)
        assert used == [kind for kind in kinds if kind in used]
        entries = re.findall(r"^- (.*(?:\n  .*)*)", version, re.MULTILINE)
        assert entries and [entry for entry in entries if len(entry) > 500] == []


def test_readme_names_only_verbs_of_run_that_exist() -> None:
    run = (ROOT / "run").read_text("utf-8")
    for verb in set(re.findall(r"\./run ([a-z]+)", (ROOT / "README.md").read_text("utf-8"))):
        assert re.search(rf"^{verb}\)", run, re.MULTILINE), verb
