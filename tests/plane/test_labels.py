"""Labels: they follow content into what is made of it, into what is written to, and through the agent's own hands."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

POLICY = """
schema = 1
default = "deny"
[objects.people]
labels = ["personal"]
keys = ["team"]
[modules]
host = ["pandas"]
guest = "stdlib"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback"]
decide = "allow"
[[rules]]
id = "no-files-from-people"
label = ["personal"]
member = ["insert"]
decide = "deny"
reason = "personal data stays where it is"
"""


def people() -> pd.DataFrame:
    return pd.DataFrame({"name": ["ann", "bob", "cy", "di"], "team": list("xxyy"), "pay": [1, 2, 3, 4]})


@pytest.fixture
def session() -> Iterator[Session]:
    with (
        ControlPlane(policy=Policy.parse(POLICY)) as plane,
        plane.session("agent", objects={"people": people(), "other": pd.DataFrame({"a": [1, 2]})}) as opened,
    ):
        yield opened


def labels(session: Session, name: str) -> frozenset[str]:
    held = session.table.find(session.get(name))
    assert held is not None
    return held.labels


def test_what_is_made_of_it_is_labelled(session: Session):
    """Derived objects carry the labels of all that went into them; what did not touch them carries none."""
    assert session.run("import pandas as pd\nx = people.groupby('team').pay.sum()\ny = other.a * 2").ok
    assert session.run("z = pd.concat([other.a, people.pay])").ok
    assert labels(session, "x") == labels(session, "z") == {"personal"}
    assert labels(session, "y") == frozenset()


def test_what_is_written_to_is_labelled(session: Session):
    """A mutation joins the labels of its arguments into its target, and the rule by label holds there from then on."""
    assert session.run("other.insert(0, 'before', 1)").ok
    assert session.run("other['pay'] = people.pay").ok
    assert labels(session, "other") == {"personal"}
    refused = session.run("other.insert(0, 'after', 1)").error
    assert refused is not None
    assert refused.rule == "no-files-from-people"


def test_what_the_agent_has_seen_goes_through_its_hands(session: Session):
    """After a labelled reveal, what the agent sends carries the label: copying by hand is copying."""
    assert session.run("import pandas as pd\nfirst = pd.DataFrame({'n': ['zed']})").ok
    assert labels(session, "first") == frozenset()
    assert session.run("names = people.name.tolist()").ok
    assert session.run("second = pd.DataFrame({'n': names})\nthird = other.a.map(lambda v: names[v - 1])").ok
    assert labels(session, "second") == labels(session, "third") == {"personal"}
    assert session.run("fourth = other.a.cumsum()").ok
    assert labels(session, "fourth") == frozenset()


def test_a_refused_look_labels_nothing():
    """Only what was shown can have been copied."""
    text = POLICY.replace('"reveal", ', "") + (
        '[[rules]]\nid = "look"\nagent = "*"\nobject = "other"\neffect = ["reveal"]\ndecide = "allow"\n'
    )
    with ControlPlane(policy=Policy.parse(text)) as plane:
        objects = {"people": people(), "other": pd.DataFrame({"a": [1, 2]})}
        with plane.session("agent", objects=objects) as session:
            assert session.run("import pandas as pd\nother.a.tolist()").ok
            assert not session.run("people.name.tolist()").ok
            assert session.run("x = pd.DataFrame({'a': [1]})").ok
            assert labels(session, "x") == frozenset()


def test_a_declared_aggregate_may_lose_its_label():
    """`declassify` works for aggregates of source columns by declared keys, and for nothing else."""
    text = """
    schema = 1
    default = "deny"
    [objects.people]
    labels = ["personal"]
    keys = ["team"]
    [modules]
    guest = "stdlib"
    [[rules]]
    id = "work"
    agent = "*"
    object = "*"
    effect = ["read", "compute", "reveal"]
    decide = "allow"
    [[rules]]
    id = "sums-are-nobodys"
    agent = "*"
    object = "people"
    effect = ["compute"]
    declassify = ["personal"]
    decide = "allow"
    """
    with (
        ControlPlane(policy=Policy.parse(text)) as plane,
        plane.session("agent", objects={"people": people()}) as session,
    ):
        assert session.run("x = people.groupby('team').pay.sum().round()\ny = people.pay.round()").ok
        assert session.run("z = people.groupby('name').pay.sum().round()").ok
        assert labels(session, "x") == frozenset()
        assert labels(session, "y") == labels(session, "z") == {"personal"}
