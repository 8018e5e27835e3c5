"""Published bundles: one document, intact or refused, compiled without YAML."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.model.errors import ErrorKind, RemitError
from remit.model.identity import EntityRef
from remit.model.tool import Tool
from remit.pap import bundle as bundle_module
from remit.pap.bundle import ANALYSIS, compile_bundle, from_document, to_document
from remit.pap.cases import Fixture
from remit.pap.extend import extended
from remit.pap.reading.folder import bundle_of, read_bundle
from remit.pdp.compiled import CompiledBundle, ResourceClass
from remit.pdp.memo import Memo
from tests.pap.bundles import BASELINE, SCENARIOS, small

GOLDEN = Path(__file__).with_name("golden_analysis.json")
SMALL_DOCUMENT = to_document(small())


def facts(compiled: CompiledBundle) -> object:
    """What a compiled bundle decides with, in a form that can be compared."""
    ids = [policy.id for policy in compiled.index._policies]
    plain = msgspec.structs.replace(compiled, index=None, loci=None)
    return ids, plain


@pytest.mark.parametrize("folder", [BASELINE, SCENARIOS], ids=["baseline", "scenarios"])
def test_a_document_is_the_bundle(folder: Path) -> None:
    bundle = read_bundle(folder)
    again = from_document(to_document(bundle))
    assert again == bundle
    assert to_document(again) == to_document(bundle)
    assert facts(compile_bundle(again)) == facts(compile_bundle(bundle))


@given(st.integers(0, len(SMALL_DOCUMENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_no_bundle(place: int, change: int) -> None:
    changed = bytearray(SMALL_DOCUMENT)
    changed[place] ^= change
    with pytest.raises(RemitError) as caught:
        from_document(bytes(changed))
    assert caught.value.kind is ErrorKind.CORRUPT


@pytest.mark.parametrize("cut", [0, 1, 40, len(SMALL_DOCUMENT) // 2, len(SMALL_DOCUMENT) - 1])
def test_half_a_document_is_no_bundle(cut: int) -> None:
    with pytest.raises(RemitError) as caught:
        from_document(SMALL_DOCUMENT[:cut])
    assert caught.value.kind is ErrorKind.CORRUPT


def test_a_document_of_another_version_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "ANALYSIS", ANALYSIS + 1)
    assert from_document(SMALL_DOCUMENT) == small()


def test_what_is_derived_from_policies_is_what_it_was() -> None:
    """If this fails, scopes or reads are derived otherwise than before: raise ANALYSIS and write the golden file anew."""
    derived = {
        policy.id: {"scope": policy.scope, "reads": policy.reads, "template": policy.is_template}
        for policy in (*read_bundle(SCENARIOS).policies, *read_bundle(BASELINE).policies)
    }
    text = msgspec.json.format(msgspec.json.encode({"analysis": ANALYSIS, "policies": derived}, order="sorted"))
    assert text.decode() + "\n" == GOLDEN.read_text("utf-8")


def test_a_process_that_only_decides_reads_no_yaml(tmp_path: Path) -> None:
    document = tmp_path / "document"
    document.write_bytes(SMALL_DOCUMENT)
    program = (
        "import sys, pathlib; from remit.pap.bundle import compile_bundle, from_document; "
        "assert compile_bundle(from_document(pathlib.Path(sys.argv[1]).read_bytes())).name == 'small'; "
        "assert 'yaml' not in sys.modules and 'difflib' not in sys.modules, 'YAML was imported'"
    )
    done = subprocess.run([sys.executable, "-c", program, str(document)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_compiled() -> None:
    compiled = compile_bundle(read_bundle(SCENARIOS))
    assert {"tool.call", "file.read", "ledger.read", "ledger.post"} <= compiled.actions.keys()
    assert compiled.actions["ledger.post"] == {"Ledger"} and compiled.actions["file.read"] == {"File"}
    assert "any" not in compiled.actions and "file" not in compiled.actions
    assert compiled.entities[EntityRef("Action", "file.read")].parents == (
        EntityRef("Action", "file"),
        EntityRef("Action", "any"),
    )
    assert compiled.entities[EntityRef("Group", "interns")].parents == (EntityRef("Group", "staff"),)
    assert compiled.task_types["pay-bills"].budgets.amounts == {"pay.amount": 5_002_500}
    assert compiled.tools["pay"].types.closed and not compiled.tools["look_up"].types.closed
    assert not compiled.needs_task("tool.call", EntityRef("Tool", "get_time"))
    assert compiled.needs_task("tool.call", EntityRef("Tool", "pay"))
    assert isinstance(compiled.loci, Memo)


def test_more_tools_make_another_bundle() -> None:
    bundle = small()
    tools = (Tool("send", description="another \u2028 one"), Tool("third \x7f"))
    more = extended(bundle, Fixture(tools, (ResourceClass("File", "*"),), ("@known",)))
    assert [tool.name for tool in more.contents.tools] == ["look", "send", "third \x7f"]
    assert more.contents.manifest.directory == ("@known",)
    assert more.digest != bundle.digest
    assert bundle_of(more.files) == more
    assert extended(bundle, Fixture()) is bundle
