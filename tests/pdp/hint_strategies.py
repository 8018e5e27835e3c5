"""Annotations, hints, and a baseline with one tool."""

from hypothesis import strategies as st
from msgspec.structs import replace

from remit.model.hints import Hints
from remit.model.identity import EntityRef
from remit.model.labels import Confidentiality
from remit.model.request import Tier
from remit.model.tool import Annotations, Reach, Tool, ToolEffect
from remit.pap.bundle import compile_bundle
from remit.pap.reading.folder import read_bundle
from remit.pdp.arguments import ArgumentTypes
from remit.pdp.compiled import CompiledBundle, CompiledTool
from remit.pdp.memo import Memo
from tests.pap.bundles import BASELINE

SAID = st.sampled_from([None, True, False])
HINTS = st.builds(Hints, SAID, SAID, SAID, SAID)
NAMES = ("to", "path", "body", "amount", "user_id")
SOME = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)
ANNOTATIONS = st.builds(
    Annotations,
    st.none() | st.sampled_from(ToolEffect),
    st.none() | st.sampled_from(Reach),
    st.none() | st.sampled_from(Confidentiality),
    st.none() | st.sampled_from(Tier),
    st.booleans(),
    st.booleans(),
    SOME,
    SOME,
)
TOOL = EntityRef("Tool", "the_tool")
COMPILED = compile_bundle(read_bundle(BASELINE))


def bundle_with(annotations: Annotations | None, name: str = TOOL.id, description: str = "") -> CompiledBundle:
    tool = CompiledTool(Tool(name, annotations, description=description), ArgumentTypes()) if annotations else None
    return replace(COMPILED, tools={name: tool} if tool else {}, directory=("@partner.org",), loci=Memo(8))
