"""Everything that can be wrong in a policy is an error with its line and a hint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.errors import PolicyError
from proxyplane.policies import Policy

HEAD = "schema = 1\n[budgets.rows_seen]\nlimit = 5\n"
RULE = '[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\neffect = "read"\ndecide = "allow"\n'
DENY = '[[rules]]\nid = "d"\ndecide = "deny"\n'


def fault(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(text, file="p.toml")
    assert caught.value.file == "p.toml"
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        # the text
        ("schema = 1\nx = ", 2, "not valid TOML", ""),
        ('schema = 1\n\n[objects\nx = "', 3, "not valid TOML", ""),
        ('schema = 1\nx = """\n\n', 2, "not valid TOML", ""),
        ("schema = 1\nschema = 1", 2, "not valid TOML", ""),
        # the version
        ("", None, "version", "schema = 1"),
        ("# only\n[modules]", None, "version", "schema = 1"),
        ("\nschema = 2", 2, "version 2 is not known", "reads schema = 1"),
        ('schema = "1"', 1, "version '1' is not known", "reads schema = 1"),
        ("schema = true", 1, "version True is not known", "reads schema = 1"),
        # keys and types
        ("schema = 1\ndefalt = 'deny'", 2, 'unknown key "defalt"', '"default"'),
        ("schema = 1\nshcema = 1", 2, 'unknown key "shcema"', '"schema"'),
        (HEAD + DENY + "\n# here\nefect = 'net'", 9, 'unknown key "efect" in [[rules]] number 1', '"effect"'),
        ("schema = 1\n[objects.x]\nhidden = ['a']", 3, 'unknown key "hidden" in [objects.x]', '"hide"'),
        ("schema = 1\n[budgets.b]\nlimit = 1\nlimits = 1", 4, 'unknown key "limits" in [budgets.b]', '"limit"'),
        ("schema = 1\n[modules]\nhosts = ['a']", 3, 'unknown key "hosts" in [modules]', '"host"'),
        ("schema = 1\n[fs]\nreads = ['a']", 3, 'unknown key "reads" in [fs]', '"read"'),
        ("schema = 1\ndefault = 'allow'", 2, '"default" must be "deny", not "allow"', "deny"),
        ("schema = 1\nrequire_tier = 'seald'", 2, '"require_tier" must be', '"sealed"'),
        ("schema = 1\nrules = 5", 2, '"rules" must be', ""),
        ("schema = 1\n[rules]\nid = 'x'", 2, '"rules" must be', ""),
        ("schema = 1\nobjects = []", 2, '"objects" must be a table, not an array', ""),
        ("schema = 1\nfs = 'x'", 2, '"fs" must be a table, not a string', ""),
        ("schema = 1\nmodules = 2024-01-01", 2, '"modules" must be a table, not a date or time', ""),
        (HEAD + "[[rules]]\n# none\ndecide = 'deny'", 4, '"id" is missing in [[rules]] number 1', ""),
        (HEAD + DENY + "[[rules]]\nid = 'x'", 7, '"decide" is missing in [[rules]] number 2', ""),
        (
            HEAD + DENY.replace('"deny"', '"denied"'),
            6,
            '"decide" must be "allow", "redact", "fork", "ask" or "deny"',
            '"deny"',
        ),
        (HEAD + DENY + "agent = 5", 7, '"agent" must be a string or an array of strings, not an integer', ""),
        (HEAD + DENY + "agent = ['a',\n  5]", 8, '"agent" must be a string, not an integer', ""),
        (HEAD + DENY + "when = '<= 5'", 7, '"when" must be a table, not a string', ""),
        (HEAD + DENY + "reason = ['x']", 7, '"reason" must be a string, not an array', ""),
        ("schema = 1\n[budgets.b]\nlimit = '5'", 3, '"limit" must be an integer, not a string', ""),
        ("schema = 1\n[budgets.b]\nlimit = true", 3, '"limit" must be an integer, not a boolean', ""),
        ("schema = 1\n[budgets.b]\nlimit = 1.0", 3, '"limit" must be an integer, not a float', ""),
        ("schema = 1\n[budgets.b]\nper = 'day'", 2, '"limit" is missing in [budgets.b]', ""),
        ("schema = 1\n[budgets.b]\nlimit = -1", 3, "below 0", ""),
        ("schema = 1\n[budgets.b]\nlimit = 1\nper = 'agent'", 4, '"per" must be', "principal"),
        # sections
        ("schema = 1\n[objects.x]\nshow = ['a']\nhide = ['b']", 4, "both show and hide", "allow-list"),
        ("schema = 1\n[objects.x]\nshow = []", 3, "no column left", "do not grant"),
        ("schema = 1\n[objects.x]\nhide = ['a',\n'']", 4, "empty name", ""),
        ('schema = 1\n[objects.""]\nhide = "a"', 2, "needs a name", ""),
        ("schema = 1\n[modules]\nhost = ['a', 'b c']", 3, '"b c" is not the name of a module', ""),
        ("schema = 1\n[modules]\nguest = ['stdlib',\n'x']", 3, '"stdlib" stands alone', ""),
        ("schema = 1\n[fs]\nroot = ''", 3, '"root" is empty', ""),
        ("schema = 1\n[fs]\nread = ['a', '../x']", 3, '"../x" does not stay below root', ""),
        ("schema = 1\n[fs]\nwrite = '/etc/*'", 3, '"/etc/*" does not stay below root', ""),
        ("schema = 1\n[fs]\nwrite = ['a',\n '']", 4, '"" does not stay below root', ""),
        # rules
        (HEAD + RULE + DENY + RULE, 14, 'rule id "r" is used twice', "line 5"),
        (HEAD + DENY.replace('"d"', '"no way"'), 5, '"no way" cannot be an id', "letters"),
        (HEAD + DENY.replace('"d"', '""'), 5, '"" cannot be an id', "letters"),
        (HEAD + RULE.replace('agent = "*"\n', ""), 8, 'must name "agent"', 'agent = "*"'),
        (HEAD + RULE.replace('object = "*"\n', ""), 8, 'must name "object"', 'object = "*"'),
        (HEAD + DENY + "effect = ['net',\n'revael']", 8, 'unknown effect "revael"', '"reveal"'),
        (HEAD + DENY + "effect = 'Read'", 7, 'unknown effect "Read"', '"read"'),
        (HEAD + DENY + "effect = 'fs.x*'", 7, 'unknown effect "fs.x*"', ""),
        (HEAD + RULE.replace('"read"', '["read", "mem*"]'), 8, '"mem*" grants nothing', '"memory"'),
        (HEAD + DENY + "op = 'getitm'", 7, 'unknown verb "getitm"', '"getitem"'),
        (HEAD + DENY + "origin = 'gest'", 7, 'unknown origin "gest"', '"guest"'),
        (HEAD + DENY + "effect = []", 7, 'can never match: "effect" is empty', ""),
        (HEAD + DENY + "agent = ''", 7, 'can never match: "agent" holds an empty name', ""),
        (HEAD + RULE.replace('agent = "*"', 'agent = ["a", ""]'), 6, 'can never match: "agent"', ""),
        (HEAD + DENY + "op = []", 7, 'can never match: "op" is empty', ""),
        (HEAD + DENY + "when = {}", 7, '"when" holds no comparison', "<= 100"),
        (HEAD + DENY + "unless = {}", 7, '"unless" holds no comparison', "<= 100"),
        (HEAD + DENY + "[rules.when]\n\nrow = '<= 1'", 9, 'unknown fact "row"', '"rows"'),
        (HEAD + DENY + "when = { rows = 5 }", 7, "5 is not a comparison", "operator"),
        (HEAD + DENY + "when = { rows = '=< 5' }", 7, '"=< 5" is not a comparison', "operator"),
        (HEAD + DENY + "when = { rows = '<= -5' }", 7, '"<= -5" is not a comparison', "operator"),
        (HEAD + DENY + "when = { rows = '<= 5 rows' }", 7, "is not a comparison", "operator"),
        (HEAD + DENY + "when = { rows = '<= ٣' }", 7, "is not a comparison", "operator"),
        (HEAD + DENY + "when = { rows = '<= 1" + "0" * 5000 + "' }", 7, "is not a comparison", "operator"),
        (HEAD + DENY + "when = { rows = '< 0' }", 7, 'rule "d" can never match', "no count"),
        (HEAD + DENY + "when = { rows = '<= 5' }\nunless = { rows = '< 9' }", 8, "can never match", "no count"),
        (HEAD + DENY + "unless = { rows = '>= 0' }", 7, "can never match", "no count"),
        (HEAD + RULE + "charge = { row_seen = 'rows' }", 10, 'unknown budget "row_seen"', '"rows_seen"'),
        ("schema = 1\n" + RULE + "charge = { b = 'rows' }", 8, 'unknown budget "b"', "declare it"),
        (HEAD + RULE + "charge = { rows_seen = 'row' }", 10, '"row" cannot be charged', "whole number"),
        (HEAD + RULE + "charge = { rows_seen = 0 }", 10, "0 cannot be charged", "whole number"),
        (HEAD + RULE + "charge = { rows_seen = true }", 10, "True cannot be charged", "whole number"),
        (HEAD + DENY + "charge = { rows_seen = 'rows' }", 7, "cannot charge", "allow"),
        (
            HEAD + RULE + "charge = { rows_seen = 'rows' }\n" + RULE.replace('"r"', '"s"') + "charge.rows_seen = 1",
            17,
            'charged in rows by rule "r" and in operations here',
            "one unit",
        ),
    ],
)
def test_faults(text: str, line: int | None, message: str, hint: str) -> None:
    """Each fault is reported where it stands, in the words of the file, with what was probably meant."""
    error = fault(text)
    assert error.line == line, str(error)
    assert message in str(error)
    assert hint in error.hint


OBJECT = '[objects.sales]\nlabels = ["customer-data"]\nshow = ["region", "amount"]\n'


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (HEAD + DENY.replace('"deny"', '"fork"'), 6, "not available yet", '"ask"'),
        (HEAD + DENY.replace('"deny"', '"redact"'), 6, "must say what", "rows = 20"),
        (HEAD + DENY.replace('"deny"', '"redact"') + "redact = {}", 7, "says nothing", "mask"),
        (HEAD + DENY.replace('"deny"', '"redact"') + "redact = { row = 5 }", 7, 'unknown key "row"', '"rows"'),
        (HEAD + DENY.replace('"deny"', '"redact"') + "redact = { rows = -1 }", 7, "below 0", ""),
        (HEAD + DENY.replace('"deny"', '"redact"') + "redact = { min_group = 1 }", 7, "protects nobody", "10"),
        (HEAD + DENY.replace('"deny"', '"redact"') + "redact = { rows = '5' }", 7, '"rows" must be an integer', ""),
        (
            HEAD + DENY.replace('"deny"', '"redact"') + "redact = { rows = 5 }\neffect = 'mutate'",
            8,
            "redacts what shows nothing",
            "reveal",
        ),
        (HEAD + DENY + "redact = { rows = 5 }", 7, 'goes with decide = "redact"', "take it away"),
        (HEAD + DENY + "ask = { who = 'me' }", 7, 'goes with decide = "ask"', "take it away"),
        (HEAD + DENY + "declassify = 'pii'", 7, 'goes with decide = "allow"', "take it away"),
        (HEAD + DENY.replace('"deny"', '"ask"') + "ask = { timeout = '5' }", 7, "not a duration", "30s"),
        (HEAD + DENY.replace('"deny"', '"ask"') + "ask = { timeout = '0s' }", 7, "not a duration", "30s"),
        (HEAD + DENY.replace('"deny"', '"ask"') + "ask = { remember = 'ever' }", 7, '"remember" must be', '"never"'),
        (HEAD + DENY + "when = { path = 5 }", 7, '5 cannot be compared with "path"', "a glob"),
        (HEAD + DENY + "when = { age = '<= 5' }", 7, 'cannot be compared with "age"', "<= 15m"),
        (HEAD + DENY + "when = { session.operations = '5' }", 7, "cannot be compared", "<= 100"),
        (HEAD + DENY + "when = { sessions.age = '< 5s' }", 7, 'unknown fact "sessions"', ""),
        (HEAD + DENY + "when = { 'args.n' = 1.5 }", 7, "cannot be compared", "a boolean"),
        (HEAD + DENY + "when = { path = 'a' }\nunless = { path = 'a' }", 8, "can never match", "exclude"),
        (HEAD + RULE + "charge = { rows_seen = 'column' }", 10, '"column" cannot be charged', '"columns"'),
        ("schema = 1\nmode = 'watch'", 2, '"mode" must be', "enforce"),
        ("schema = 1\n[budgets.b]\nlimit = 1\nexceeded = 'aks'", 4, '"exceeded" must be', '"ask"'),
        # objects
        (OBJECT.replace("[o", "schema = 1\n[o") + "mask = 'region'\nkeys = 'regoin'", 6, "not shown", '"region"'),
        ("schema = 1\n[objects.x]\nhide = 'a'\nmask = 'a'", 4, "is hidden", "one of the two"),
        ("schema = 1\n[objects.x]\nmin_group = 1", 3, "protects nobody", "10"),
        ("schema = 1\n[objects.x]\nwhere = 'a.b > 1'", 3, "no part of a row filter", "compare columns"),
        ("schema = 1\n[objects.x]\nwhere = ['a > 1',\n'b']\nmask = ''", 5, "empty name", ""),
        # names that are surely typing errors
        ("schema = 1\n" + OBJECT + DENY + "object = 'salse'", 8, 'unknown object "salse"', '"sales"'),
        ("schema = 1\n" + OBJECT + DENY + "label = 'custmer-data'", 8, "unknown label", '"customer-data"'),
        ("schema = 1\n" + OBJECT + DENY + "column = ['ssn', 'amonut']", 8, 'unknown column "amonut"', '"amount"'),
        # tests
        ("schema = 1\n[[tests]]\ntry = {}", 2, '"expect" is missing', ""),
        ("schema = 1\n[[tests]]\nexpect = { decision = 'deny' }", 2, '"try" is missing', ""),
        (
            "schema = 1\n[[tests]]\ntry = { agent = 'a', effect = 'raed' }\nexpect = { decision = 'deny' }",
            3,
            'unknown effect "raed"',
            '"read"',
        ),
        (
            "schema = 1\n[[tests]]\ntry = { agent = 'a', effect = 'read', op = 'cal' }\nexpect = { decision = 'deny' }",
            3,
            'unknown verb "cal"',
            '"call"',
        ),
        (
            HEAD + DENY + "[[tests]]\ntry = { agent = 'a', effect = 'net' }\nexpect = { decision='deny', rule='x' }",
            9,
            'unknown rule "x"',
            "default",
        ),
        (
            "schema = 1\n[[tests]]\ntry = { agent = 'a', effect = 'read' }\nexpect = { decision = 'no' }",
            4,
            '"decision" must be',
            "allow",
        ),
    ],
)
def test_faults_of_the_whole_language(text: str, line: int, message: str, hint: str) -> None:
    """Redactions, approvals, conditions, objects and tests are checked like everything else."""
    error = fault(text)
    assert error.line == line, str(error)
    assert message in str(error)
    assert hint in error.hint


TEN = """schema = 1
defalt = "deny"

[objects.sales]
show = ["region", "amount"]
hide = ["ssn"]

[budgets.seen]
limit = "500"

[[rules]]
id = "one"
object = "sales"
effect = ["revael"]
decide = "allow"

[[rules]]
id = "two"
agent = "*"
object = "salse"
op = "getitm"
when = { row = "<= 5" }
charge = { sen = "rows" }
decide = "allow"

[[rules]]
id = "two"
column = "amonut"
decide = "dney"
"""


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    """A file with twelve different mistakes: twelve reports, from the top, each with its line and what was meant."""
    error = fault(TEN)
    found = [(each.line, each.hint) for each in error.problems]
    assert found == [
        (2, 'did you mean "default"?'),
        (6, "keep show, the allow-list"),
        (9, ""),
        (14, 'did you mean "reveal"?'),
        (15, 'agent = "*" means every agent'),
        (20, 'did you mean "sales"?'),
        (21, 'did you mean "getitem"?'),
        (22, 'did you mean "rows"?'),
        (23, 'did you mean "seen"?'),
        (27, "first used in line 18"),
        (28, 'did you mean "amount"?'),
        (29, 'did you mean "deny"?'),
    ]
    assert error.problems[0] is error
    assert len(str(error).splitlines()) == len(found)
    assert all(line.startswith("p.toml:") for line in str(error).splitlines())


def test_a_fault_brings_no_others() -> None:
    """What was taken out because of its form is not missed afterwards: one mistake, one report."""
    for text in (
        HEAD + RULE.replace('agent = "*"', "agent = 5"),
        HEAD + RULE.replace('agent = "*"', 'agnet = "*"'),
        HEAD + RULE.replace('"allow"', '"alow"').replace('agent = "*"\n', ""),
        "schema = 1\n[budgets.seen]\nlimit = '5'\n" + RULE + "charge = { seen = 'rows' }",
        "schema = 1\nrules = [5]",
    ):
        assert len(fault(text).problems) == 1, text


class Described:
    """A catalog of two members and a type."""

    def __init__(self, *, complete: bool = True) -> None:
        self.complete = complete

    def members(self) -> set[str]:
        return {"to_csv", "head"}

    def types(self) -> set[str]:
        return {"pandas.DataFrame"}


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("member = 'to_cvs'", 'did you mean "to_csv"?'),
        ("member = ['to_*', 'read_?']", "proxyplane catalog"),
        ("type = 'pandas.Dataframe'", 'did you mean "pandas.DataFrame"?'),
        ("type = 'polars.*'", "proxyplane catalog"),
        ("member = ['to_*', 'amount']\ntype = 'pandas.*'", None),
    ],
)
def test_rules_that_no_catalog_entry_can_match(rule: str, hint: str | None) -> None:
    """Where it is known what there is to use, a rule for what there is not is a mistake; columns are members too."""
    text = "schema = 1\n" + OBJECT + DENY + rule
    Policy.parse(text)
    if hint is None:
        Policy.parse(text, surface=Described())
        return
    with pytest.raises(PolicyError, match="can never match") as caught:
        Policy.parse(text, surface=Described())
    assert (caught.value.line, hint in caught.value.hint) == (8, True)
    if "did you mean" in hint:
        with pytest.raises(PolicyError):
            Policy.parse(text, surface=Described(complete=False))
    else:
        Policy.parse(text, surface=Described(complete=False))


def test_the_topmost_fault_is_reported_first() -> None:
    """Who repairs a file works from its top."""
    assert fault(HEAD + DENY + "nonsense = 1\n[modules]\nnonsense = 2").line == 7
    assert fault("schema = 1\n[modules]\nnonsense = 2\n" + DENY + "nonsense = 1").line == 3


def test_deep_nesting_is_an_error() -> None:
    """A file that would exhaust the stack is refused like any other fault."""
    with pytest.raises(PolicyError):
        Policy.parse("schema = 1\nx = " + "[" * 100_000)


WORDS = st.sampled_from(
    "schema default rules objects budgets modules fs id decide agent object effect when unless charge reason op label "
    "show hide limit per exceeded host guest root read write rows x".split()
)
SCALARS = st.one_of(st.integers(-2, 2), st.booleans(), st.sampled_from(["", "*", "read", "deny", "allow", "<= 1", "x"]))
DATA = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=4))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def refusal(text: str) -> PolicyError | None:
    try:
        Policy.parse(text)
    except PolicyError as error:
        return error
    return None


@given(st.dictionaries(WORDS.filter(lambda word: word != "schema"), DATA, max_size=4))
def test_any_file_is_a_policy_or_a_policy_error(data: dict[str, object]) -> None:
    """No well-formed nonsense raises anything else, and every error has a line of the text."""
    text = "schema = 1\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in data.items())
    error = refusal(text)
    if error is not None:
        assert error.line is not None
        assert 1 <= error.line <= text.count("\n")
