"""Small bundles, as files that tests change."""

from collections.abc import Mapping
from pathlib import Path

from remit.pap.contents import Bundle, SourceFile
from remit.pap.reading.folder import bundle_of

ROOT = Path(__file__).resolve().parents[2]
BASELINE = ROOT / "src/remit/pap/baseline"
SCENARIOS = ROOT / "tests/cases"

SMALL: Mapping[str, str] = {
    "bundle.yaml": "name: small\n",
    "policies/all.cedar": '@id("all") permit (principal, action, resource) when { context has task };\n',
    "tools.yaml": """
- name: send
  groups: [mail]
  annotations: {effect: send, reach: external, destinations: [to], content: [size, price, either]}
  schema:
    type: object
    additionalProperties: false
    required: [to]
    properties: {to: {type: string}, size: {type: integer}, price: {type: number}, either: {type: [string, integer]}}
- name: look
  groups: [web]
  annotations: {effect: read, reach: internal}
  schema: {type: object, properties: {url: {type: string}}}
""".lstrip(),
}


def files(**changed: str | None) -> list[SourceFile]:
    """The files of the small bundle. `policies` adds a file of policies, other names are files, `None` leaves one out."""
    names = {"policies": "policies/more.cedar", "cases": "cases/some.yaml", "schema": "schema.cedarschema"}
    texts: dict[str, str | None] = dict(SMALL)
    for name, text in changed.items():
        texts[names.get(name, "bundle.yaml" if name == "manifest" else f"{name}.yaml")] = text
    return [SourceFile(path, text) for path, text in texts.items() if text is not None]


def small(**changed: str | None) -> Bundle:
    """The small bundle, changed."""
    return bundle_of(files(**changed))


def write(folder: Path, texts: Mapping[str, str] = SMALL) -> Path:
    """A bundle's folder."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder
