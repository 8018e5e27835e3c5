"""What the command line says of input it cannot use: the option or file it is about, as it was typed, and what to do."""

from pathlib import Path

import pytest

from remit.model.errors import ErrorKind
from tests.cli.running import error, run
from tests.runtime.world import SMALL, World

pytestmark = pytest.mark.sqlite
MALFORMED, NOT_FOUND = ErrorKind.MALFORMED, ErrorKind.NOT_FOUND
RUN = '{"suite": "s", "kind": "benign", "case_id": "1", "user_prompt": "p", "steps": []}'


@pytest.fixture(autouse=True)
def here(guarded: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to work in, with a bundle, a recorded run and a file that is neither."""
    monkeypatch.chdir(tmp_path)
    for name, text in SMALL.items():
        path = tmp_path / "policy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "runs.jsonl").write_text(RUN)


@pytest.mark.parametrize(
    "verb",
    [
        ["policy", "check", "nosuch"],
        ["policy", "test", "nosuch"],
        ["policy", "publish", "nosuch"],
        ["policy", "pin", "nosuch", "x.json"],
        ["policy", "opa", "nosuch", "--output", "x"],
        ["eval", "runs.jsonl", "--bundle", "nosuch"],
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_a_missing_folder_has_one_wording(verb: list[str]) -> None:
    missing = error(*verb)
    assert missing.kind is NOT_FOUND
    assert missing.message == "there is no folder `nosuch`: `remit init` makes a bundle to begin with"


@pytest.mark.parametrize("verb", ["check", "test", "publish", "pin", "diff"])
@pytest.mark.parametrize("file", ["policy/tools.yaml", "policy/policies/all.cedar"])
def test_a_file_in_the_place_of_a_folder_says_which_is_meant(verb: str, file: str) -> None:
    wrong = error("policy", verb, file, *{"pin": ["x.json"], "diff": ["active"]}.get(verb, []))
    assert (wrong.kind, wrong.message) == (MALFORMED, f"`{file}` is a file: name the folder of the bundle: `policy`")


@pytest.mark.parametrize(
    ("verb", "kind", "said"),
    [
        ("policy explain --agent bot --tool look --arguments {bad", MALFORMED, "`--arguments {bad`: JSON cannot be read"),
        ("policy pin policy policy/tools.yaml", MALFORMED, "`policy/tools.yaml`: JSON cannot be read"),
        ("policy pin policy runs.jsonl", MALFORMED, "`runs.jsonl`: this is no result of MCP's `tools/list`"),
        ("policy pin policy policy", MALFORMED, "`policy`: it cannot be read"),
        ("log verify nosuch", NOT_FOUND, "no file or folder `nosuch`: give an export, an archive or a proof"),
        ("log verify --head nosuch", NOT_FOUND, "there is no file `nosuch` with a head"),
        ("log verify --head runs.jsonl", MALFORMED, "`runs.jsonl` is no head of a log"),
        ("log verify --head policy/bundle.yaml", MALFORMED, "`policy/bundle.yaml` is no head of a log"),
        ("log verify --policy nosuch", NOT_FOUND, "there is no file `nosuch` with a policy"),
        ("log prove --since nosuch", NOT_FOUND, "there is no file `nosuch` with a head"),
        ("log stream --to foo", MALFORMED, "`foo` is no address to stream to: use `http://host:port`"),
        ("log stream --to foo:99", MALFORMED, "`foo:99` is no address to stream to"),
    ],
)
def test_what_was_typed_is_named(verb: str, kind: ErrorKind, said: str) -> None:
    wrong = error(*verb.split())
    assert wrong.kind is kind and said in wrong.message


def test_what_may_be_a_secret_is_not_echoed() -> None:
    for address in ("ana:hunter2@siem", "siem/log?key=hunter2"):
        assert "hunter2" not in error("log", "stream", "--to", address).message


def test_a_run_is_of_a_known_kind(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text(RUN.replace("benign", "bogus"))
    wrong = error("eval", "runs.jsonl")
    assert "runs.jsonl:1: there is no kind of run `bogus`: known are `attack`" in wrong.message
    (tmp_path / "runs.jsonl").write_text(RUN)
    assert run("eval", "runs.jsonl").exit_code == 0
