"""A bundle's Rego policies as an OPA server loads them: OPA's own bundle format, its revision the digest of these very files."""

import gzip
import io
import json
import tarfile

from remit.model.errors import malformed
from remit.pap.contents import Bundle
from remit.pap.rego.reading import DATA_FILE


def opa_bundle(bundle: Bundle) -> bytes:
    """The bundle as a gzipped tar file, the same bytes for the same files. Raises `RemitError` (malformed) if it has no Rego policies."""
    rego = bundle.contents.rego
    if rego is None:
        raise malformed(f"bundle `{bundle.name}` has no Rego policies: write some to `policies/NAME.rego`")
    texts = {file.path: file.text for file in bundle.files}
    files = {".manifest": json.dumps({"revision": rego.digest, "rego_version": 1})}
    files |= {path: texts[path] for path in (*rego.modules, *([DATA_FILE] if rego.data else ()))}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(files):
            content = files[path].encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)
