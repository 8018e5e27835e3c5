"""What the checks of one bundle share: the bundle compiled, its names, its matches, and the lines of its files."""

from remit.pap.bundle import compile_bundle
from remit.pap.checks.types import matches
from remit.pap.contents import Bundle
from remit.pap.reading.documents import Document, read_document
from remit.pap.schema import parse, vocabulary


class Checking:
    """One bundle being checked. Files are read again only where something is to be said of them."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.contents = bundle.contents
        self.compiled = compile_bundle(bundle)
        self.schema = parse(bundle.contents.schema)
        self.names = vocabulary(self.schema)
        self.matches = matches(bundle, self.compiled)
        self.policies = {policy.id: policy for policy in bundle.contents.policies}
        self._texts = {file.path: file.text for file in bundle.files}
        self._documents: dict[str, Document] = {}

    def place(self, file: str, *path: str | int) -> tuple[str, int]:
        """File and line of what stands at a path of keys and positions."""
        if file not in self._documents:
            self._documents[file] = read_document(self._texts[file], file)
        return file, self._documents[file].line(*path)
