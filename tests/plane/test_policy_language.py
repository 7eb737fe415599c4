"""The policy language on the whole road: rows that do not exist, further conditions, watching, reloading, budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.errors import PolicyError, Revoked
from proxyplane.sessions import Session

from .tables import records, sales

ALL = """
[[rules]]
id = "all"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display", "fs.read", "fs.write"]
decide = "allow"
"""
Opened = Callable[..., Session]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens a session under a policy text; the planes are closed afterwards."""
    planes: list[ControlPlane] = []

    def opening(text: str, frame: Any = None, folder: Path | None = None, **options: Any) -> Session:
        plane = ControlPlane(policy=Policy.parse("schema = 1\n" + text, folder=folder), **options)
        planes.append(plane)
        return plane.session("agent-1", objects={"sales": sales(20) if frame is None else frame})

    yield opening
    for plane in planes:
        plane.close()


def outcome(session: Session, code: str) -> str:
    result = session.run(code)
    return result.error.type if result.error is not None else str(result.value)


# -- rows that do not exist -----------------------------------------------------------------------------------------


def test_filtered_rows_do_not_exist(opened: Opened) -> None:
    """Only rows for which every condition is true are granted, also by a column that is not shown."""
    frame = sales(20).assign(secret=range(20))
    text = '[objects.sales]\nshow = ["amount"]\nwhere = ["secret >= 5", "secret < 8"]\n' + ALL
    session = opened(text, frame)
    assert outcome(session, "sales.shape") == "(3, 1)"
    assert outcome(session, "sales.amount.tolist()") == str(frame.amount[5:8].tolist())
    assert outcome(session, "sales.query('secret > 0')") != "None"
    assert len(frame) == 20


def test_a_filter_that_names_no_column_grants_nothing(opened: Opened) -> None:
    """A misspelt column is an error at the grant, with what was meant."""
    with pytest.raises(PolicyError, match="amuont") as caught:
        opened('[objects.sales]\nwhere = "amuont > 1"\n' + ALL)
    assert "'amount'" in caught.value.hint


# -- conditions -----------------------------------------------------------------------------------------------------


def test_a_column_that_is_denied(opened: Opened) -> None:
    """A table that has the column is refused; with the column projected away it is as any other."""
    rule = '[[rules]]\nid = "no"\ncolumn = "amount"\neffect = "reveal"\ndecide = "deny"\n'
    assert outcome(opened(ALL + rule), "sales.amount.tolist()") == "Denied"
    shown = opened('[objects.sales]\nhide = "amount"\n' + ALL + rule)
    assert outcome(shown, "len(sales.columns) > 0 and len(sales.head(2).to_dict('records'))") == "2"


@pytest.mark.parametrize(
    ("call", "verdict"),
    [
        ("sales.head(2).to_csv(index=False)", "str"),
        ("sales.head(2).to_csv(None, index=False)", "str"),
        ("sales.head(2).to_csv(index=True)", "Denied"),
        ("sales.head(2).to_csv()", "Denied"),
        ("f = sales.head(2).to_csv\nf()", "Denied"),
    ],
)
def test_arguments_count_with_their_defaults(opened: Opened, call: str, verdict: str) -> None:
    """An argument that is not given has its default, and a method that was fetched first is still that method."""
    rule = '[[rules]]\nid = "no"\nop = "call"\nmember = "to_csv"\nwhen = { args.index = true }\ndecide = "deny"\n'
    session = opened(ALL + rule)
    assert outcome(session, f"type({call}).__name__" if "\n" not in call else call) in (repr(verdict), verdict)


def test_files_by_path(opened: Opened, tmp_path: Path) -> None:
    """Only what the path condition names is written, however the path is spelt."""
    (tmp_path / "out").mkdir()
    text = '[fs]\nroot = "."\nwrite = ["**"]\n' + ALL
    text += '[[rules]]\nid = "no"\neffect = "fs.write"\nunless = { path = "out/*" }\ndecide = "deny"\n'
    session = opened(text, folder=tmp_path)
    assert outcome(session, "sales.to_csv('out/a.csv')") == "None"
    assert outcome(session, "sales.to_csv('out/../b.csv')") == "Denied"
    assert outcome(session, "sales.to_csv('./out/../out/c.csv')") == "None"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.csv", "c.csv"]


def test_age_and_session(opened: Opened) -> None:
    """An allow may end after so many runs; the session's facts are those of the plane, not of the agent."""
    text = ALL.replace(
        'decide = "allow"', 'when = { session.runs = "<= 2", age = "< 1h", session.tier = "*" }\ndecide = "allow"'
    )
    session = opened(text)
    assert [outcome(session, "len(sales)") for _ in range(3)] == ["20", "20", "Denied"]


# -- watching -------------------------------------------------------------------------------------------------------


def test_observing_records_what_would_have_been(opened: Opened) -> None:
    """Everything inside goes on; the records have the verdict, the rule and the mode; memory stays closed."""
    rule = '[[rules]]\nid = "no"\neffect = "reveal"\ndecide = "deny"\n'
    session = opened('mode = "observe"\n' + ALL.replace('"reveal", ', "") + rule)
    assert outcome(session, "sales.amount.head(2).tolist()") != "Denied"
    assert outcome(session, "sales.head(2).values.data") in ("Denied", "DeniedAttribute", "AttributeError")
    (found,) = [record for record in records(session) if record.get("member") == "tolist"]
    assert (found["verdict"], found["rule"], found["status"]) == ("deny", "no", "ok")
    assert found["policy"]["mode"] == "observe"


# -- reloading ------------------------------------------------------------------------------------------------------


def test_a_reloaded_policy_decides_from_now_on(opened: Opened) -> None:
    """What was allowed is refused after the reload and the other way round; records tell the generation."""
    session = opened(ALL)
    assert outcome(session, "x = sales.amount\nx.sum() > 0") == "np.True_"
    plane = session.plane
    assert plane.reload_policy(Policy.parse("schema = 1\n" + ALL.replace('"compute", ', ""))) == []
    assert outcome(session, "x.sum() > 0") == "Denied"
    plane.reload_policy(Policy.parse("schema = 1\n" + ALL))
    assert outcome(session, "x.sum() > 0") == "np.True_"
    generations = [record["policy"]["generation"] for record in records(session) if "policy" in record]
    assert sorted(set(generations)) == [1, 2, 3]
    assert generations == sorted(generations)


def test_what_is_decided_and_not_yet_done_is_decided_again(opened: Opened) -> None:
    """The policy moves between the decision and the deed: the deed does not happen, and the record says why."""
    session = opened(ALL)
    plane = session.plane
    strict = Policy.parse("schema = 1\n" + ALL.replace('"mutate", ', ""))
    real, moved = plane.append, []

    def append(fields: Any, effects: Any, prefix: Any) -> None:
        real(fields, effects, prefix)
        if "mutate" in effects and not moved:  # the intent has been written: now the policy changes
            moved.append(plane.reload_policy(strict))

    plane.append = append  # type: ignore[method-assign]
    assert outcome(session, "sales['new'] = 1") == "Denied"
    assert outcome(session, "'new' in sales.columns") == "False"
    ended = [r for r in records(session) if r.get("verb") == "setitem" and r["phase"] == "outcome"]
    assert [(r["status"], r["reason"]) for r in ended] == [("denied", "reloaded")]


def test_facts_that_change_revoke(opened: Opened) -> None:
    """An object of which the new policy hides more is taken away; nothing goes on under the old projection."""
    session = opened(ALL)
    assert outcome(session, "y = sales.amount\nlen(y)") == "20"
    hidden = Policy.parse('schema = 1\n[objects.sales]\nhide = "amount"\n' + ALL)
    assert session.plane.reload_policy(hidden) == [f"{session.id}/sales"]
    assert outcome(session, "len(y)") == "Revoked"
    with pytest.raises(Revoked):
        session.get_attr("sales", "shape")


@pytest.mark.parametrize("more", ['[modules]\nhost = ["numpy"]', '[fs]\nroot = "x"', 'require_tier = "sealed"'])
def test_what_cannot_change_is_refused(opened: Opened, more: str) -> None:
    """Modules, files and isolation are fixed with the plane; the former policy stays in force."""
    session = opened(ALL, require_tier="split")
    before = session.plane.policy
    with pytest.raises(PolicyError, match="cannot change"):
        session.plane.reload_policy(Policy.parse(f"schema = 1\n{more}\n{ALL}"))
    assert session.plane.policy is before
    assert session.plane.generation == 1


# -- budgets --------------------------------------------------------------------------------------------------------

BUDGET = "[budgets.seen]\nlimit = 10\n" + ALL.replace("decide", 'charge = { seen = "rows" }\ndecide')


def test_budgets_survive_the_plane(opened: Opened, tmp_path: Path) -> None:
    """A new plane over the same log goes on counting; two at a time are refused by the log itself."""
    for expected in ("7", "Denied", "Denied"):
        session = opened(BUDGET, audit=tmp_path / "log")
        code = "len(sales.amount.head(7).tolist())"
        assert outcome(session, code) in (expected, "BudgetExceeded" if expected == "Denied" else expected)
        session.plane.close()
    assert (tmp_path / "log" / "budgets").stat().st_mode & 0o777 == 0o600


def test_a_budget_file_of_ones_own(opened: Opened, tmp_path: Path) -> None:
    """The file may be named, also with a log in memory."""
    for expected in (3, 0):
        session = opened(BUDGET, budgets=tmp_path / "b")
        session.run("sales.amount.head(7).tolist()")
        session.run("sales.amount.head(3).tolist()") if expected == 0 else None
        assert session.plane.ledger.left("seen", "agent-1", "sales") == expected
        session.plane.close()


def test_a_damaged_budget_file_stops_the_plane(opened: Opened, tmp_path: Path) -> None:
    """Without knowing what was taken nothing is given."""
    (tmp_path / "b").write_text("something else\n")
    with pytest.raises(Exception, match="no budget file"):
        opened(BUDGET, budgets=tmp_path / "b")


@pytest.mark.parametrize(
    "code",
    [
        "sales.to_csv()",
        "f = sales.to_csv\nf()",
        "getattr(sales, 'to_csv')()",
        "import pandas as pd\npd.DataFrame.to_csv(sales)",
        "sales.pipe(lambda d: d.to_csv())",
        "sales.agg('to_csv')",
        "sales.agg(func='to_csv')",
        "sales.agg(['sum', 'to_csv'])",
        "sales.agg({'amount': ['to_csv']})",
        "sales.apply('to_csv')",
        "sales.transform('to_csv')",
        "from operator import methodcaller\nmethodcaller('to_csv')(sales)",
    ],
)
def test_a_denied_member_is_denied_by_every_road(opened: Opened, code: str) -> None:
    """Fetched first, taken from its type, called by its name: it is the same member."""
    rule = '[modules]\nhost = ["pandas"]\n[[rules]]\nid = "no"\nop = "call"\nmember = "to_csv"\ndecide = "deny"\n'
    session = opened(ALL + rule)
    result = session.run(code)
    assert result.error is not None
    assert (result.error.type, result.error.rule) == ("Denied", "no")
    assert outcome(session, "sales.agg('sum').shape") == "(4,)"
