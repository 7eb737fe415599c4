# ruff: noqa: E501 - agent code in lines of its own
"""The roads on which content leaves without being asked for: each is shut, for hidden columns and for tables without
`reveal`."""

from __future__ import annotations

import pytest

from proxyplane.cli.terminal import escaped

from .planes import Planes
from .world import World, everything_of, process_state

pytestmark = pytest.mark.filterwarnings("ignore")  # libraries warn of what the agent does

PREFACE = """
import pandas as pd, numpy as np, warnings, traceback
def tried(*roads):
    for road in roads:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter('always')
            try: print(road())
            except BaseException as e: print(repr(e), e.args, e.__cause__, e.__context__, vars(e)); traceback.print_exc()
        for one in heard: print(one.message)
"""
DOORS = {
    "error texts": "tried(lambda: vault.name.astype(int), lambda: pd.to_datetime(vault.name), lambda: vault.num.astype('i1'),"
    " lambda: vault.merge(vault, on='zz'), lambda: pd.concat([vault.set_index('name')] * 2, verify_integrity=True))",
    "warning texts": "tried(lambda: pd.to_datetime(vault.name, errors='coerce').shape, lambda: np.log(-vault.num).shape)",
    "repr, str and format": "tried(lambda: repr(vault), lambda: f'{vault}', lambda: '%s' % vault.name, lambda: ascii(vault),"
    " lambda: str(vault.groupby('name').groups), lambda: repr(vault.num.to_numpy()[0]), lambda: format(vault.num[0]))",
    "HTML": "tried(lambda: vault.to_html(), lambda: vault.style.to_html(), lambda: vault._repr_html_(), lambda: display(vault))",
    "attrs": "tried(lambda: df.attrs, lambda: vault.attrs, lambda: df.T.attrs, lambda: df.name.attrs, lambda: df.copy().attrs)",
    "generator frames": "def g():\n    for row in vault.itertuples(): yield row\n"
    "i = g()\ntried(lambda: next(i), lambda: i.gi_frame.f_locals, lambda: vault.itertuples().gi_frame, lambda: df.iterrows().gi_frame.f_locals)",
    "traceback objects": "try: vault.name.map(lambda v: v.zz)\nexcept BaseException as e:\n    t = e.__traceback__\n"
    "    while t: print({k: repr(v)[:300] for k, v in t.tb_frame.f_locals.items() if k != 'vault'}); t = t.tb_next",
    "documentation": "tried(lambda: vault.__doc__, lambda: vault.name.__doc__, lambda: type(df).__doc__, lambda: help(df.head), lambda: df.head.__doc__)",
    "dir": "tried(lambda: dir(df), lambda: dir(vault.set_index('name').T), lambda: dir(vault.set_index('name').num), lambda: dir(df.groupby('dept')))",
    "figures": "import matplotlib.pyplot as plt\n"
    "tried(lambda: plt.title(vault.name.iloc[0]).get_text(), lambda: plt.bar(vault.name, vault.num), lambda: plt.gca().get_xticklabels(),"
    " lambda: plt.gca().dataLim, lambda: vault.plot(y='num').lines[0].get_ydata(), lambda: plt.gcf())\nplt.gcf()",
    "training rows": "from sklearn.neighbors import KNeighborsClassifier as K\n"
    "tried(lambda: K(1).fit(df[['salary']], df.name)._fit_X, lambda: K(1).fit(vault[['num']], vault.name).classes_,"
    " lambda: K(1).fit(df[['ssn']], df.name), lambda: K(metric=vault.name).get_params())",
    "joblib": "tried(lambda: __import__('joblib').dump(df, 'x'), lambda: __import__('joblib').hash(vault), lambda: __import__('joblib').Memory('x'))",
    "styler callbacks": "seen = []\ntried(lambda: vault.style.format(seen.append).to_html(), lambda: vault.style.map(seen.append).to_html(),"
    " lambda: vault.style.apply(lambda s: seen.append(s.tolist())).to_html(), lambda: vault.style.format_index(seen.append).to_html())\nprint(seen)",
    "categories after a row filter": "tried(lambda: df.kind.cat.categories, lambda: df.kind.dtype, lambda: df.kind.array.categories, lambda: pd.get_dummies(df.kind),"
    " lambda: df.groupby('kind', observed=False).size(), lambda: df.kind.value_counts())",
    "levels after a row filter": "m = df.set_index(['dept', 'name']).index\n"
    "tried(lambda: m.levels, lambda: m.remove_unused_levels().levels, lambda: df.set_index(['dept', 'name']).unstack().columns)",
    "Arrow buffers after a row filter": "import pyarrow as pa\nt = pa.Table.from_pandas(df)\n"
    "tried(lambda: t['arrow'].chunk(0).buffers(), lambda: t['arrow'].chunk(0).offset, lambda: t['kind'].chunk(0).dictionary,"
    " lambda: df.arrow.array._pa_array, lambda: pa.array(df.arrow).nbytes)",
    "string views after a row filter": "import polars as pl\np = pl.from_pandas(df)\n"
    "tried(lambda: p['name'].get_chunks(), lambda: p['name'].to_physical(), lambda: p.to_arrow()['name'].chunk(0).buffers(), lambda: p['kind'].cat.get_categories())",
    "options of another session": "import matplotlib.pyplot as plt\n"
    "assert pd.get_option('display.max_rows') == 60\ntried(lambda: plt.gca().get_title(), lambda: plt.get_figlabels(), lambda: pd.describe_option('display'))",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_side_door_is_shut(door: str, planes: Planes, world: World) -> None:
    """What the agent sees of that road holds nothing that is hidden, and nothing of another session."""
    plane, _, world.theirs = planes.of("open", world.root)
    with plane.session("attacker", objects=world.objects()) as session:
        result = session.run(PREFACE + DOORS[door], timeout=30)
    assert result.error is None or result.error.type not in ("NameError", "SyntaxError"), result.error
    assert not world.succeeded("secret", result), everything_of(result)[:2000]


def test_options_and_accessors_of_a_session_stay_its_own(planes: Planes, world: World) -> None:
    """What one session sets of the libraries, and what it registers, neither the host nor another session sees."""
    plane, neighbour, _ = planes.of("open", world.root)
    before = process_state()
    code = "pd.set_option('display.max_rows', 3); np.set_printoptions(precision=1); np.seterr(all='raise')\n"
    code += (
        "try: pd.api.extensions.register_dataframe_accessor('zz')(type('A', (), {'__init__': lambda self, o: None}))\n"
    )
    code += "except PermissionError: pass"
    with plane.session("attacker", objects=world.objects()) as session:
        session.run(PREFACE + code)
        assert process_state() == before
        assert neighbour.run("pd.get_option('display.max_rows'), hasattr(theirs, 'zz')").value == "(77, False)"


def test_escapes_and_scripts_are_not_shown_to_people(planes: Planes, world: World) -> None:
    """Terminals get an agent's names and cells escaped; scripts in them stay text in the HTML that is shown."""
    plane, _, _ = planes.of("open", world.root)
    code = "df['\\x1b[2J<script>alert(1)</script>'] = '\\x9b31m<img src=x onerror=alert(1)>\\u202e'\nprint(df.columns.tolist())\ndf"
    with plane.session("attacker", objects=world.objects()) as session:
        result = session.run(PREFACE + code)
    assert result.ok
    assert not {"\x1b", "\x9b", "\u202e"} & set(escaped(result.stdout + str(result.value)))
    pages = [str(bundle.get("text/html", "")) for bundle in result.display]
    assert any(pages)
    assert not any("<script" in page or "<img" in page for page in pages)
