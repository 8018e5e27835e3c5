"""Bundles with policies in Rego, made from files in memory."""

import json
from pathlib import Path

import pytest

from remit.model.errors import RemitError
from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.files import read_files
from remit.pap.reading.folder import bundle_of
from remit.pdp.rego.engine import load_regopy

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS, ACCOUNTS = ROOT / "tests/cases", ROOT / "tests/rego/accounts.rego"
HEAD = "package remit\n\nimport rego.v1\n\n"
ALL = HEAD + 'permit contains {"id": "all"} if true\n\nforbid := set()\n'


def regopy() -> None:
    """Skip the test where Rego cannot be evaluated in this process."""
    try:
        load_regopy()
    except RemitError:
        pytest.skip("no regopy for this machine")


def made(policies: str | dict[str, str], data: str = "", **manifest: object) -> Bundle:
    """A bundle of Rego policies: the text of one module below `HEAD`, or modules by path."""
    modules = {"policies/main.rego": HEAD + policies} if isinstance(policies, str) else policies
    files = [SourceFile(path, text) for path, text in modules.items()]
    files.append(SourceFile("bundle.yaml", json.dumps({"name": "made", **manifest})))
    return bundle_of([*files, SourceFile("data.json", data)] if data else files)


def accounts(**manifest: object) -> Bundle:
    """The bundle of the scenario tests with its policies in Rego instead of Cedar."""
    files = {file.path: file.text for file in read_files(SCENARIOS)}
    kept = {path: text for path, text in files.items() if not path.endswith(".cedar") and path != "links.yaml"}
    kept["policies/accounts.rego"] = ACCOUNTS.read_text("utf-8")
    if manifest:
        kept["bundle.yaml"] += "".join(f"{name}: {json.dumps(value)}\n" for name, value in manifest.items())
    return bundle_of([SourceFile(path, text) for path, text in kept.items()])
