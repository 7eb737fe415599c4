"""Redaction: masked columns, rounded numbers, fewer rows, on every way on which content crosses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane, Policy, PolicyError
from proxyplane.sessions import Session

RULES = """
[modules]
host = ["pandas", "numpy"]
guest = "stdlib"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"]
decide = "allow"
"""
REDACTED = f"""
schema = 1
default = "deny"
{RULES}
[[rules]]
id = "look"
agent = "*"
object = "*"
effect = ["reveal", "callback", "display"]
decide = "redact"
redact = {{ rows = 3, mask = ["ssn"], round = 1 }}
"""
MASKED = f"""
schema = 1
default = "deny"
[objects.df]
mask = ["ssn"]
hide = ["born"]
{RULES}
[[rules]]
id = "look"
agent = "*"
object = "*"
effect = ["reveal"]
decide = "allow"
"""
SECRETS = ("871-5001", "872-5002", "873-5003", "874-5004", "875-5005")


def table() -> pd.DataFrame:
    return pd.DataFrame({"region": list("abcab"), "ssn": SECRETS, "pay": [1.234, 2.345, 3.456, 4.567, 5.678]})


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.parse(REDACTED)) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(plane: ControlPlane) -> Iterator[Session]:
    with plane.session("agent", objects={"df": table()}) as opened:
        opened.run("import pandas as pd, numpy as np, json, copy")
        yield opened


def said(session: Session, code: str) -> str:
    """All that came of some code: value, output, error, what is displayed."""
    result = session.run(code)
    error = f"{result.error.type}: {result.error.message}" if result.error is not None else ""
    return "\n".join([result.value or "", result.stdout, result.stderr, error, str(result.display)])


WAYS = """
df
print(df.to_csv())
df.ssn
df['ssn'].tolist()
df.loc[0, 'ssn']
df.iloc[0, 1]
df.iat[0, 1]
df.at[0, 'ssn']
df.loc[0]
df.loc[1]['ssn']
df.iloc[0].tolist()
df.groupby('region').ssn.first()
df.groupby('region').agg(pay=('ssn', 'first')).pay
df.groupby('region')[['ssn']].max()
df.groupby('region').apply(lambda g: g.ssn.iloc[0])
df.groupby('ssn').pay.sum()
df.groupby('ssn').groups
[k for k, g in df.groupby('ssn')]
df.rename(columns={'ssn': 'x'}).x
df.rename(columns={'ssn': 'pay', 'pay': 'ssn'}).pay
df.assign(region=df.ssn).region
df.assign(z=lambda d: d.ssn).z
df.set_index('ssn')
df.set_index('ssn').index[0]
df.set_index('ssn').pay
df.set_index('ssn').pay.idxmax()
df.set_index('ssn').pay.to_dict()
df.set_index('ssn').T
df.set_index('ssn').T.columns
df.set_index(['ssn', 'region']).index.tolist()
list(df.ssn.head(3))
list(df.head(3).itertuples())
[row for row in df.head(2).iterrows()]
dict(df.ssn.items())
df.to_dict()
df.to_dict('records')
df.to_dict('index')
df.to_dict('split')
df.to_json()
df.to_html()
df.to_string()
df.values
df.to_numpy()[0]
np.asarray(df.ssn)
df.ssn.array[0]
df.ssn.unique()
df.ssn.value_counts()
df.ssn.mode()
df.ssn.max()
df.ssn.str.cat(sep=',')
df.ssn.str[:3] + df.ssn.str[3:]
(df.ssn + 'x').iloc[0]
df.ssn.apply(lambda v: v[::-1])
df.apply(lambda r: r.ssn, axis=1)
df.apply(lambda c: c.iloc[0])
df.melt().value
df.stack()
df.T
df.describe(include='all')
df.sum()
df.merge(df, on='ssn')
df.merge(df, left_on='ssn', right_on='ssn', how='outer')
pd.concat([df, df]).ssn
pd.concat([df.ssn, df.region]).tolist()
pd.DataFrame({'region': df.ssn}).region
pd.Series(df.ssn.values)
pd.Series({'region': df.ssn.iloc[0]})
pd.crosstab(df.ssn, df.region)
df.pivot_table(index='ssn', values='pay')
df.pivot(index='ssn', columns='region', values='pay')
df.sort_values('ssn').ssn.iloc[0]
df.nlargest(2, 'pay').ssn
df.sample(2).ssn
df.query('ssn > "1"').ssn
df.eval('region = ssn').region
df.eval('ssn').tolist()
df.where(df.pay > 0).ssn
df.ssn.where(df.pay > 0)
df.ssn.to_frame('region').region
df.ssn.rename('region')
f'{df.ssn.iloc[0]}'
str(df.ssn.iloc[0]) + repr(df.ssn.iloc[0])
'%s' % df.ssn.iloc[0]
json.dumps(df.ssn.head(2).tolist())
max(df.ssn.head(3))
sorted(df.ssn.head(3))
','.join(df.ssn.head(3))
raise ValueError(df.ssn.iloc[0])
raise KeyError(df.ssn.iloc[0])
int(df.ssn.iloc[0])
float(df.ssn.iloc[1])
df.ssn.astype(int)
pd.to_numeric(df.ssn)
pd.to_datetime(df.ssn)
df.set_index('ssn').loc['nothing']
df[df.ssn.iloc[0]]
getattr(df, df.ssn.iloc[0])
df.drop(columns=df.ssn.iloc[0])
df.astype({df.ssn.iloc[0]: int})
df.style.to_html()
display(df)
display(df.ssn)
df.ssn.to_csv()
df.ssn.to_markdown()
df.items().__next__()
for name, column in df.items(): print(name, column.tolist())
for c in df.ssn.head(2): print(c)
g = df.copy(); g.columns = ['ssn', 'region', 'pay']; g.region
h = df.copy(); h['pay'] = h.ssn; h.pay
h = df.copy(); h.region = h.ssn; h.region
h = df.copy(); h.loc[:, 'region'] = h.ssn; h.region
h = df.copy(); h.iloc[:, 0] = h.ssn; h.region
h = df.copy(); h.insert(0, 'n', h.ssn); h.n
h = df.copy(); h.update({'region': h.ssn}); h.region
h = df.copy(); h.index = h.ssn; h.pay
h = df.copy(); h.index = ['region', 'x', 'y', 'z', 'w']; h.iloc[:, 1]['region']
h = df.copy(); h.index = ['region', 'ssn', 'pay', 'z', 'w']; h.iloc[:3, 1].to_dict()
h = df.copy(); h.rename(columns={'ssn': 'pay', 'pay': 'ssn'}, inplace=True); h.pay
h = df.copy(); h.columns = ['region', 'pay', 'ssn']; h.pay
s = df.region.copy(); s[:] = df.ssn; s
s = df.region.copy(); s.update(df.ssn); s
s = df.region.copy(); s.index = df.ssn; s
a = df.region.to_numpy().copy(); a[:] = df.ssn; a
x = [df.ssn.iloc[0]]; x
x = {}; x['k'] = df.ssn.iloc[0]; x
out = []; df.ssn.head(3).map(out.append); out
import io; b = io.StringIO(); df.to_csv(b); b.getvalue()
df.filter(regex='ssn').iloc[0, 0]
df.select_dtypes('object').iloc[0]
df.drop(columns=['pay']).iloc[0]
h = df.copy(); h.pop('ssn')
""".strip().splitlines()


@pytest.mark.parametrize("code", WAYS)
def test_no_way_shows_a_masked_cell(shared: Session, code: str):
    """Whatever is asked, and however columns are renamed, moved or mixed, no cell of the masked column crosses."""
    text = said(shared, code.replace("; ", "\n"))
    assert not any(secret in text or secret[::-1] in text for secret in SECRETS)


def test_what_is_not_masked_is_shown(shared: Session):
    """Columns beside the masked one cross as they are, rounded as the rule says."""
    assert said(shared, "df.region.head(3).tolist()").startswith("['a', 'b', 'c']")
    assert said(shared, "df.pay.head(3).tolist()").startswith("[1.2, 2.3, 3.5]")
    assert said(shared, "df.to_dict('records')[0]['region']").startswith("'a'")
    assert said(shared, "df.groupby('region').pay.sum()['a']").startswith("np.float64(5.8)")
    assert said(shared, "df.merge(df, on='region')[['region']].shape").startswith("(9, 1)")


def test_rows_beyond_the_cap_are_not_shown(shared: Session):
    """A table is cut and the agent told; what comes one by one is refused beyond the cap."""
    result = shared.run("len(df.pay.tolist()), df.to_csv().count(chr(10))")
    assert result.value == "(3, 4)"
    assert "only the first 3 rows are shown" in shared.run("df").stderr
    refused = shared.run("for pay in df.pay:\n    pass").error
    assert refused is not None
    assert "one by one" in refused.message


def test_a_token_stands_for_one_cell(shared: Session):
    """Equal cells have equal tokens within a session, other cells others; another session has other tokens."""
    first = shared.run("df.loc[0, 'ssn'] == df.ssn.iloc[0], df.loc[0, 'ssn'] == df.loc[1, 'ssn']").value
    assert first == "(True, False)"
    token = shared.run("df.loc[0, 'ssn']").value
    with shared.plane.session("agent", objects={"df": table()}) as other:
        assert other.run("df.loc[0, 'ssn']").value != token


def test_the_record_says_what_was_redacted(plane: ControlPlane):
    """Obligations that were applied stand in the record, and charges are for what was shown."""
    with plane.session("agent-2", objects={"df": table()}) as session:
        session.run("df.ssn.tolist()")
    last = [record for record in plane.log.records() if record.get("member") == "tolist"][-1]
    assert last["verdict"] == "redact"
    assert last["obligations"] == [
        {"kind": "rows", "n": 3},
        {"kind": "round", "n": 1},
        {"kind": "mask", "columns": ["ssn"]},
    ]
    assert last["result"]["rows"] == 3


def test_what_cannot_be_redacted_is_refused(shared: Session):
    """An object that only looks like a table cannot be redacted: the refusal says what can be shown instead."""
    result = shared.run("df.style.to_html()")
    assert result.error is not None
    assert "show it as a pandas or polars table" in result.error.message


def test_a_masked_object_holds_tokens_from_the_start():
    """`mask` of an object: what is grouped, joined and mapped sees tokens, so nothing must be guarded afterwards."""
    frame = pd.DataFrame({"ssn": [*SECRETS[:2], None, SECRETS[0]], "pay": [1, 2, 3, 4], "born": 1970})
    with (
        ControlPlane(policy=Policy.parse(MASKED)) as opened,
        opened.session("agent", objects={"df": frame}) as session,
    ):
        assert session.run("df.groupby('ssn').pay.sum().tolist()").value in ("[5, 2]", "[2, 5]")
        assert session.run("df.ssn.isna().tolist()").value == "[False, False, True, False]"
        assert session.run("df.merge(df, on='ssn').shape").value == "(6, 3)"
        text = said(session, "df") + said(session, "df.ssn.map(str.upper)") + said(session, "list(df.ssn)")
    assert not any(secret in text for secret in SECRETS)
    assert list(frame.ssn[:2]) == list(SECRETS[:2])


def test_a_mask_that_names_nothing_is_an_error():
    """A misspelt column is told at grant, not found out afterwards."""
    with ControlPlane(policy=Policy.parse(MASKED)) as opened, pytest.raises(PolicyError, match="'ssn'"):
        opened.session("agent", objects={"df": pd.DataFrame({"snn": [1], "born": [1]})})


STEPS = [
    "x = x.copy()", "x = x.reset_index(drop=True)", "x = x.rename(columns={'ssn': 'region', 'region': 'ssn'})",
    "x = x.set_index('ssn')", "x = x.reset_index()", "x['pay'] = x['ssn']", "x = x.assign(region=x.iloc[:, 1])",
    "x.columns = [*'pqrstuv'][:x.shape[1]]", "x = x.sort_values(x.columns[0])", "x = x[x.columns[::-1]]", "x = x.T",
    "x = x.astype(str)", "x = x.apply(lambda c: c)", "x = pd.concat([x, x], axis=1)", "x = x.merge(x)", "x = x.head(2)",
    "x.loc[:, x.columns[0]] = x.iloc[:, 1]", "x.iloc[:, -1] = x.iloc[:, 0]", "x = x.drop_duplicates()",
    "x = x.melt()", "x = x.groupby(x.columns[0]).first()", "x = x.stack().to_frame('region')", "x.index = x.iloc[:, 0]",
    "x = x.rename_axis(columns='ssn')", "x = x.fillna(x)", "x = x.where(x == x)", "x = x.shift(1, axis=1)",
    "x = x.set_axis(['region'] * x.shape[1], axis=1)", "x = x.iloc[:, [1, 0]]", "x = x.filter(items=x.columns[:2])",
    "x = x.explode(x.columns[0])", "x = x.map(lambda v: v)", "x = x.pipe(lambda d: d)", "x = x.transpose().transpose()",
]  # fmt: skip
LOOKS = [
    "x", "x.iloc[0, 0]", "x.iloc[:, 0].tolist()", "x.to_csv()", "x.to_dict()", "x.to_dict('records')", "x.values",
    "x.index.tolist()", "x.columns.tolist()", "x.region", "x['region'].tolist()", "x['pay'].iloc[0]", "str(x.iloc[0])",
    "x.loc[x.index[0]]", "list(x.head(2).itertuples())", "x.max()", "x.iloc[0].to_dict()", "x.to_json()",
    "x.describe()",
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=5), looks=st.lists(st.sampled_from(LOOKS), min_size=1, max_size=4)
)
def test_no_chain_of_operations_shows_a_masked_cell(shared: Session, steps: list[str], looks: list[str]):
    """Columns are followed, or all are masked: no sequence of changes makes a masked cell look like another one."""
    program = "x = df\n" + "".join(f"try:\n    {step}\nexcept Exception:\n    pass\n" for step in steps)
    text = said(shared, program) + "".join(said(shared, look) for look in looks)
    assert not any(secret in text for secret in SECRETS)


def test_rules_by_column_see_through_names(plane: ControlPlane):
    """A deny by column follows it through renaming, and leaves operations on other columns alone."""
    text = f"""
    schema = 1
    default = "deny"
    {RULES}
    [[rules]]
    id = "look"
    agent = "*"
    object = "*"
    effect = ["reveal"]
    decide = "allow"
    [[rules]]
    id = "no-ssn"
    column = ["ssn"]
    effect = ["reveal"]
    decide = "deny"
    """
    with (
        ControlPlane(policy=Policy.parse(text)) as opened,
        opened.session("agent", objects={"df": table()}) as session,
    ):
        assert session.run("df.pay.sum().round(2)").ok
        assert session.run("df.groupby('region').pay.sum()").ok
        for code in ("df", "df.ssn", "df.rename(columns={'ssn': 'pay2'}).pay2", "df.ssn.str.len().sum()"):
            refused: Any = session.run(code).error
            assert refused is not None, code
            assert refused.rule == "no-ssn", code
