"""Attacks on Rego in this process: requests that kill or stall it, and forbids that hold in OPA and not here."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from remit.pap.contents import Bundle
from remit.pap.problems import BundleError
from remit.pap.reading.cases import read_cases
from remit.pap.running import run_cases
from remit.pap.validate import check
from remit.pdp.rego.document import misordered
from remit.pdp.rego.engine import RegoPolicies
from remit.pdp.rego.reading import Unreadable
from tests.rego.bundles import HEAD, made, regopy

PERMIT = 'permit contains {"id": "p"} if true\n'


@pytest.fixture(autouse=True, scope="module")
def _engine() -> None:
    regopy()


def forbidding(condition: str) -> str:
    return PERMIT + 'forbid contains {"id": "f"} if { ' + condition + " }\n"


def accepted(condition: str, data: str = "") -> Bundle | None:
    try:
        return made(forbidding(condition), data)
    except BundleError:
        return None


def outcome(bundle: Bundle, tool: dict[str, Any] | None, arguments: dict[str, Any]) -> str:
    """What a bundle decides on one call, through the very path that cases and doors take."""
    files = {file.path: file.text for file in bundle.files if file.path.endswith(".rego")}
    data = next((file.text for file in bundle.files if file.path == "data.json"), "")
    case = [{"name": "it", "agent": {"id": "bot"}, "task": {"purpose": "Pay"}, "steps": [
        {"call": "pay", "arguments": arguments, "expect": {"decision": "permit"}}]}]  # fmt: skip
    tools = [{"name": "pay", **({"schema": tool} if tool else {})}]
    whole = made({**files, "tools.yaml": json.dumps(tools), "cases/a.yaml": json.dumps(case)}, data)
    [result] = run_cases(whole, read_cases(whole))
    return "permit" if result.passed else str(result.failures)


_CHILD = """
import json, sys
from remit.pdp.rego.document import misordered
from remit.pdp.rego.engine import RegoPolicies
text, document = json.loads(sys.stdin.read())
try:
    print(RegoPolicies({"m.rego": text}).evaluate(document.encode()).decode())
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("condition", "arguments"),
    [
        ('regex.match("^(a|b)*$", input.context.args.a)', {"a": "a" * 900_000}),  # the stack: SIGSEGV
        ('regex.match("^(a+)+$", input.context.args.a)', {"a": "a" * 40 + "!"}),  # for ever, holding the engine's lock
        ('glob.match("*a*a*a*a*a*a*b", [], input.context.args.a)', {"a": "a" * 3000}),
        ('regex.split("x*", input.context.args.a)', {"a": "abc"}),  # all memory there is
        ('replace(input.resource.id, input.context.args.a, "")', {"a": ""}),
        ('strings.replace_n({input.context.args.a: "x"}, "abc")', {"a": ""}),
        ("yaml.is_valid(input.context.args.a)", {"a": "[" * 20_000 + "]" * 20_000}),  # SIGSEGV
        ('sprintf(input.context.args.a, [1.5])', {"a": "%.999999999f"}),
        ('regex.template_match(input.context.args.a, "x", "", "")', {"a": "{{{"}),
        ('graph.reachable_paths(input.context.args.a, ["0"])', {"a": {str(i): [str(j) for j in range(12)] for i in range(12)}}),
    ],
    ids=lambda value: value.split("(")[0] if isinstance(value, str) else "",
)  # fmt: skip
def test_no_request_kills_or_stalls_the_process(condition: str, arguments: dict[str, Any]) -> None:
    if accepted(condition) is None:
        return  # refused when the bundle is read: nothing to attack
    document = json.dumps({"resource": {"id": "pay"}, "context": {"args": arguments}})
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert child.stdin is not None
    with child.stdin as pipe:
        pipe.write(json.dumps([HEAD + forbidding(condition), document]).encode())
    until = time.monotonic() + 5
    why = ""
    while child.poll() is None and not why:
        time.sleep(0.02)
        pages = Path(f"/proc/{child.pid}/statm").read_text().split()
        why = (
            "it takes 1 GB" if len(pages) > 1 and int(pages[1]) > 1 << 18 else "it takes 5 s" if time.monotonic() > until else ""
        )
    child.kill()
    child.wait()
    assert not why, why
    assert child.returncode == 0, f"the process ended by {child.returncode}"


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ('lower(input.context.args.a) == "ékéza"', "ÉKÉZA"),
        ('upper(input.context.args.a) == "É"', "é"),
        ('trim_space(input.context.args.a) == "x"', "\u00a0x"),
        ("input.context.args.a > true", 1),
        ("sum(input.context.args.a) == 3", [1, "a", 2, None]),
        ("product(input.context.args.a) == 2", [1, "a", 2]),
        ("not to_number(input.context.args.a) < 5", "1h"),
        ("sort(input.context.args.a)[0] == true", [1, True]),
        ("max(input.context.args.a) == \"b\"", [1, "b"]),
        ('strings.replace_n({"a": "b", "b": "a"}, input.context.args.a) == "bac"', "abc"),
    ],
)  # fmt: skip
def test_what_is_forbidden_by_opa_is_so_here(condition: str, value: object) -> None:
    bundle = accepted(condition)
    if bundle is None:
        return
    assert bundle.contents.rego
    if misordered(bundle.contents.rego.compared, {"context": {"args": {"a": value}}}):
        return  # denied before the engine is asked
    try:
        answer = json.loads(RegoPolicies({"m.rego": HEAD + forbidding(condition)}).evaluate(
            json.dumps({"context": {"args": {"a": value}}}, ensure_ascii=False).encode()
        ))  # fmt: skip
    except Exception:
        return  # an error denies, as OPA's does
    assert answer["forbid"], "OPA forbids this, or errs"


@pytest.mark.parametrize("amount", ["999999", "é", [1], {"x": 1}])
def test_a_limit_holds_for_what_is_no_number(amount: object) -> None:
    """docs/rego.md: `not input.context.args.amount <= 1000` "holds for a missing amount too": but for text it must as well."""
    bundle = made(forbidding("not input.context.args.amount <= 1000"))
    assert outcome(bundle, None, {"amount": amount}) != "permit"


@pytest.mark.parametrize("text", ['"Jos\\u00e9"', '"a\\/b"', '"\\u0061"'])
def test_data_means_what_json_means(text: str) -> None:
    value = json.loads(text)
    bundle = made(forbidding("input.context.args.name in data.blocked"), '{"blocked": [' + text + "]}")
    assert outcome(bundle, None, {"name": value}) != "permit"


@pytest.mark.parametrize("text", ['"Jos\\u00e9"', '"a\\/b"', '"\\u0061"'])
def test_text_in_policies_means_what_it_does_in_opa(text: str) -> None:
    condition = f"input.context.args.name == {text}"
    if accepted(condition) is None:
        return
    assert outcome(made(forbidding(condition)), None, {"name": json.loads(text)}) != "permit"


PAYMENT = {
    "type": "object",
    "required": ["payment"],
    "properties": {
        "payment": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}},
        "lines": {
            "type": "array",
            "items": {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}},
        },
    },
}


@pytest.mark.parametrize(
    ("condition", "arguments"),
    [
        ("input.context.args.payment.amount > 1000", {"payment": {}}),
        ("input.context.args.payment.amount > 1000", {"payment": {"amount": "99999"}}),
        ("input.context.args.payment.amount > 1000", {"payment": {"amount": None}}),
        ("some line in input.context.args.lines; line.amount > 1000", {"payment": {"amount": 1}, "lines": [{"amount": "5000"}]}),
        ("some line in input.context.args.lines; line.amount > 1000", {"payment": {"amount": 1}, "lines": [{}]}),
    ],
)
def test_required_arguments_within_others_must_be_there_too(condition: str, arguments: dict[str, Any]) -> None:
    assert outcome(made(forbidding(condition)), PAYMENT, arguments) != "permit"


def problems(policies: dict[str, str] | str, data: str = "") -> list[str]:
    try:
        return [problem.code for problem in check(made(policies, data))]
    except BundleError as error:
        return [problem.code for problem in error.problems]


def test_data_does_not_replace_rules() -> None:
    """OPA refuses to load this; here the forbid is gone, with a warning that nobody reads."""
    with pytest.raises(BundleError):
        made(PERMIT + 'forbid contains {"id": "f"} if true\n', '{"remit": {"forbid": []}}')


@pytest.mark.parametrize("package", ["remitt", "accounts", "agents.policy"])
def test_forbids_in_a_package_that_nobody_asks_are_a_warning(package: str) -> None:
    files = {
        "policies/a.rego": HEAD + PERMIT + "forbid := set()\n",
        "policies/b.rego": f'package {package}\n\nimport rego.v1\n\nforbid contains {{"id": "f"}} if true\n',
    }
    assert "rego-unused" in problems(files)


@pytest.mark.parametrize(
    "rule",
    [
        'ctx := input.context\nforbid contains {"id": "f"} if ctx.sesion.untrusted\n',
        'bad(session) if session.untrustd\nforbid contains {"id": "f"} if bad(input.context.session)\n',
        'forbid contains {"id": "f"} if object.get(input, ["context", "sesion", "untrusted"], false)\n',
    ],
    ids=["rule", "function", "object.get"],
)
def test_a_misspelt_path_is_refused_through_a_name_too(rule: str) -> None:
    """docs/rego.md: "a misspelt `input` path: refused when the bundle is read"."""
    with pytest.raises(BundleError):
        made(PERMIT + rule)


@pytest.mark.parametrize("rule", ["a if b\nb if a\n", "g(x) := g(x)\na if g(1)\n"])
def test_recursion_is_refused(rule: str) -> None:
    with pytest.raises(BundleError):
        made(PERMIT + rule + 'forbid contains {"id": "f"} if a\n')


def test_sets_of_the_old_syntax_are_refused_when_read() -> None:
    """They can never be an answer: every request would be denied."""
    with pytest.raises(BundleError):
        made({"policies/m.rego": "package remit\n" + PERMIT + 'forbid[{"id": "f"}] { false }\n'})


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ('base64.decode(input.context.args.a) == "x"', "===="),
        ('urlquery.decode(input.context.args.a) == "x"', "%"),
        ("io.jwt.decode(input.context.args.a)", "a.b.c"),
        ("time.date([0, input.context.args.a])", "../../etc/passwd"),
    ],
)
def test_an_argument_that_a_builtin_chokes_on_is_no_defect_of_ours(condition: str, value: str) -> None:
    """It is `policy-error`, not `internal-error: please report this as a defect`."""
    with pytest.raises(Unreadable):
        RegoPolicies({"m.rego": HEAD + forbidding(condition)}).evaluate(json.dumps({"context": {"args": {"a": value}}}).encode())


@pytest.mark.parametrize(
    "imports", ["import pyarrow.parquet\nfrom {}", "from {}\nimport pyarrow.parquet"], ids=["before", "after"]
)
def test_no_other_library_of_the_process_makes_it_end(imports: str) -> None:
    program = (
        imports.format("tests.rego.bundles import *")
        + """
from remit.pdp.rego.engine import RegoPolicies
made('permit contains {"id": "p"} if true\\nforbid contains {"id": "f"} if input.context.args.amount > 5')
policies = RegoPolicies({"m.rego": HEAD + 'permit contains {"id": "p"} if base64.decode(input.a) == "x"\\nforbid := set()\\n'})
for number in range(200):
    try:
        policies.evaluate(b'{"a": "====%d"}' % number)
    except Exception as problem:
        print(problem)
"""
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count("a builtin function failed") == 200, done.stderr[-500:]
