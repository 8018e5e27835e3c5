"""Which builtin functions policies may call: those that give every engine the same answer, today and when a decision is replayed."""

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    "http.send": "policies reach nothing outside: put what they need into `data.json` or the request",
    "internal.print": "policies print nothing: remove it",
    "io.jwt.decode_verify": "it reads the clock: verify tokens where they come in",
    "crypto.x509.parse_and_verify_certificates": "it reads the clock: verify certificates where they come in",
    "crypto.x509.parse_and_verify_certificates_with_options": "it reads the clock: verify certificates where they come in",
    "net.lookup_ip_addr": "policies reach nothing outside: put what they need into `data.json`",
    "opa.runtime": "policies do not read the environment of the process",
    "rand.intn": "a decision must be the same when it is replayed",
    "rego.parse_module": "policies are those of the bundle",
    "time.now_ns": "it reads the clock: compare with `input.context.now`",
    "trace": "policies print nothing: remove it",
    "uuid.rfc4122": "a decision must be the same when it is replayed",
}
"""Refused in every engine, each with what to do instead."""

IN_PROCESS = frozenset(
    """
    abs and array.concat array.flatten array.reverse array.slice assign base64.decode base64.encode base64.is_valid
    base64url.decode base64url.encode base64url.encode_no_pad bits.and bits.lsh bits.negate bits.or bits.rsh
    bits.xor ceil concat contains count crypto.hmac.equal crypto.md5 crypto.sha1 crypto.sha256 div endswith eq equal
    floor glob.quote_meta graph.reachable gt gte hex.decode hex.encode indexof indexof_n internal.member_2
    internal.member_3 internal.template_string intersection io.jwt.decode is_array is_boolean is_null is_number
    is_object is_set is_string json.filter json.is_valid json.marshal json.remove lt lte minus mul neq object.filter
    object.get object.keys object.remove object.subset object.union object.union_n or plus rem round split
    startswith strings.count substring time.add_date time.clock time.date time.diff time.format
    time.parse_duration_ns time.parse_ns time.parse_rfc3339_ns time.weekday trim trim_left trim_prefix trim_right
    trim_suffix type_name union units.parse urlquery.decode urlquery.decode_object urlquery.encode
    urlquery.encode_object walk
    """.split()  # noqa: SIM905 - words, to be read
)
"""What Rego in this process (regopy 1.5.2) evaluates as OPA does, by OPA's own compliance cases; nothing else is let through.

Not here, though it passes them all, is what a request can kill or stall this process with (patterns are matched by backtracking, empty text
is replaced for ever, YAML and formats take all memory), and what passes over values of another type or reads ASCII alone.
"""
