"""Random programs over frames, series, arrays, lists and dicts, and the three worlds that they are run in.

A program is some statements over variables that start as fresh objects of the host. What it came to is told by the
program itself (`SHOW`), so that telling is a test too: the same text is run natively, by in-process proxies, and in a
guest, and must come to the same values or to an exception of the same type.
"""

from __future__ import annotations

import ast
import contextlib
import io
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from proxyplane import ControlPlane
from proxyplane.sessions import Session

Pick = Callable[[Sequence[Any]], Any]
"""Chooses one of some; of hypothesis, or of a seeded random generator."""

SHOW = """
import re

def show(v, depth=0):
    if depth > 4:
        return "deep"
    kind = type(v).__name__
    if isinstance(v, pd.DataFrame):
        columns = [show(v.iloc[:, at].tolist(), depth + 1) for at in range(v.shape[1])]
        return [kind, repr(v.columns), [str(each) for each in v.dtypes], repr(v.index), columns, repr(v)]
    if isinstance(v, pd.Series):
        return [kind, repr(v.name), str(v.dtype), repr(v.index), show(v.tolist(), depth + 1), str(v)]
    if isinstance(v, np.ndarray):
        return [kind, str(v.dtype), v.shape, show(v.tolist(), depth + 1)]
    if isinstance(v, (list, tuple)):
        return [kind, [show(each, depth + 1) for each in v]]
    if isinstance(v, dict):
        return [kind, [[show(key, depth + 1), show(each, depth + 1)] for key, each in v.items()]]
    if isinstance(v, (set, frozenset)):
        return [kind, sorted(repr(each) for each in v)]
    if callable(v):
        return ["callable"]
    return [kind, re.sub(" at 0x[0-9a-f]+", "", repr(v))]
"""

START = {
    "f": "frame", "g": "frame", "s": "number", "t": "text", "d": "date", "a": "array", "b": "array",
    "l": "list", "n": "list", "m": "dict", "o": "dict", "k": "scalar",
}  # fmt: skip
"""Variables that a program begins with, and what they hold. `n`, `o` and `k` are its own, the others the host's."""


def inputs() -> dict[str, Any]:
    """Fresh objects for one program."""
    days = pd.to_datetime(["2024-01-31", "2024-02-29", None, "2023-07-01"])
    return {
        "f": pd.DataFrame({"k": ["x", "y", "x", None], "x": [1, 2, 3, 4], "y": [0.5, -1.0, float("nan"), 2.25]}),
        "g": pd.DataFrame({"k": ["y", "x", "z"], "z": [True, False, True]}, index=[3, 1, 2]),
        "s": pd.Series([3, 1, 2, 2], name="s"),
        "t": pd.Series(["ab", "C d", None, "e1"], name="t"),
        "d": pd.Series(days, name="d"),
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array([3, 1, 2, 0]),
        "l": [3, 1, [2, "in"], 1],
        "m": {"x": [1, 2], "y": 5, 3: None},
    }


# What is written {frame}, {series}, {any} ... is a variable of that kind; the word before the colon is what comes out.
EXPRESSIONS = """
number: {frame}["x"]
number: {frame}.y
text: {frame}.k
frame: {frame}[["k", "x"]]
frame: {frame}[{frame}.x > {scalar}]
frame: {frame}[{frame}["x"].isin([1, 3]) & ~{frame}.k.isna()]
frame: {frame}[{number} > 1]
frame: {frame}.head({scalar})
frame: {frame}.T
frame: {frame}.assign(w={frame}.x * 2)
frame: {frame}.assign(w=lambda df: df.x + 1)
frame: {frame}.sort_values("x", ascending=False)
frame: {frame}.sort_index()
frame: {frame}.drop(columns=["x"])
frame: {frame}.dropna()
frame: {frame}.fillna({"y": 0, "k": "none"})
frame: {frame}.rename(columns={"x": "xx"})
frame: {frame}.rename(columns=str.upper)
frame: {frame}.merge({frame}, on="k", how="left")
frame: pd.concat([{frame}, {frame}], ignore_index=True)
frame: pd.concat([{series}, {series}], axis=1)
frame: {frame}.reset_index(drop=True)
frame: {frame}.set_index("k")
frame: {frame}.describe()
frame: {frame}.query("x > 1")
frame: {frame}.query("x > @k")
frame: {frame}.iloc[1:3]
frame: {frame}.loc[{frame}.x >= 2, ["x", "y"]]
frame: {frame}.copy()
frame: {frame}.melt(id_vars="k")
frame: {frame}.pivot_table(index="k", values="x", aggfunc="sum")
frame: {frame}.apply(lambda c: c.max() if c.dtype != object else c.count())
frame: {frame}.select_dtypes("number").cumsum()
frame: {frame}.agg(["min", "max"])
frame: {frame}.x.to_frame()
frame: pd.DataFrame({dict})
frame: pd.DataFrame({list})
frame: pd.DataFrame({"p": {number}, "q": {number} * 2})
frame: pd.DataFrame([{"i": i, "j": i * i} for i in range({scalar})])
frame: pd.get_dummies({text})
frame: {frame} * 2
frame: {frame} == {frame}
frame: {frame}.isna()
frame: {group}.agg({"x": "sum"})
frame: {group}.sum(numeric_only=True)
frame: {group}.head(1)
frame: {group}.agg(total=("x", "sum"), most=("x", "max"))
group: {frame}.groupby("k")
group: {frame}.groupby(["k"], as_index=False)
group: {frame}.groupby({frame}.x % 2)
number: {group}.size()
number: {group}.x.mean()
number: {group}["x"].transform("sum")
number: {group}.x.apply(lambda part: part.max() - part.min())
list: [(key, len(part)) for key, part in {group}]
list: sorted({group}.groups)
number: {number} + {number}
number: {number} - {scalar}
number: {scalar} - {number}
number: {number} ** 2
number: {number} / {number}
number: {number} // 2
number: -{number}
number: abs({number})
number: ~{number}
number: {number} == {number}
number: {number} != {any}
number: {number} < {scalar}
number: {number} & {number}
number: {number}.map({1: 10, 2: 20})
number: {number}.map(lambda x: x * 2)
number: {number}.apply(lambda x: x + {scalar})
number: {number}.where({number} > 1, 0)
number: {number}.clip(1, 2)
number: {number}.rank()
number: {number}.shift()
number: {number}.cumsum()
number: {number}.rolling(2).mean()
number: {number}.value_counts()
number: {number}.astype(float)
number: {number}.astype("category")
number: {number}.sort_values()
number: {number}.diff().fillna(0)
number: {number}[{number} > 1]
number: {number}.iloc[::-1]
number: {number}.loc[1:2]
number: {number}.reindex([0, 5])
number: {number}.round(1)
number: pd.Series({list})
number: pd.Series({dict})
number: pd.Series({array})
number: pd.to_numeric({text}, errors="coerce")
number: {frame}.isna().sum()
number: {frame}.nunique()
number: {frame}.dtypes
number: {frame}.iloc[0]
number: {frame}.apply(lambda row: row["x"], axis=1)
number: {frame}.sum(numeric_only=True)
number: {text}.str.len()
number: {text}.isna()
number: {text}.str.contains("b", na=False)
text: {text}.str.upper()
text: {text}.str[0]
text: {text}.str.replace("b", "B")
text: {text}.str.split(" ")
text: {text}.fillna("?")
text: {text} + "!"
text: {text}.map(lambda v: v and v * 2)
text: {text}.dropna()
text: {date}.dt.strftime("%Y/%m")
number: {date}.dt.month
number: {date}.dt.dayofweek
number: {date} > "2024-02-01"
number: {date} - {date}.min()
date: {date} + pd.Timedelta(days=1)
date: {date}.dt.floor("D")
date: {date}.sort_values()
date: pd.to_datetime({list}, errors="coerce")
date: pd.date_range("2024-01-01", periods={scalar})
scalar: {date}.max()
scalar: {date}.iloc[0].year
scalar: {date}.iloc[0] - {date}.iloc[1]
scalar: {date}.iloc[2] is pd.NaT
scalar: {number}.sum()
scalar: {number}.mean()
scalar: {number}.iloc[{scalar}]
scalar: {number}[1]
scalar: {number}.max() - {number}.min()
scalar: {number}.idxmax()
scalar: {number}.is_unique
scalar: ({number} > 0).all()
scalar: {frame}.loc[0, "x"]
scalar: {frame}.at[0, "x"]
scalar: {frame}.shape
scalar: {frame}.equals({frame})
scalar: {frame}.empty
scalar: {frame}.columns.tolist()
scalar: {frame}["none"]
scalar: {frame}.nothing
scalar: len({any})
scalar: bool({any})
scalar: hash({any}) == hash({any})
scalar: int({any})
scalar: float({any})
scalar: round({scalar})
scalar: f"{{{any}}}"
scalar: f"{{{scalar}:>8}}"
scalar: str({any})
scalar: repr({any})
scalar: "%s" % ({any},)
scalar: "{{}}".format({any})
scalar: {any} is {any}
scalar: {any} in [{any}]
scalar: {frame}.index is {frame}.index
scalar: {frame}.columns is {frame}.columns
scalar: isinstance({any}, pd.Series)
scalar: isinstance({any}, (list, dict, np.ndarray))
scalar: [isinstance({any}, each) for each in (pd.DataFrame, list, dict, int, float, str, tuple)]
scalar: type({any}).__name__
scalar: type({frame}) is type({frame})
scalar: callable({any})
scalar: hasattr({any}, "sum")
scalar: getattr({any}, "size", None)
scalar: {scalar} in {any}
scalar: "x" in {frame}
scalar: 1 in {list}
scalar: "x" in {dict}
scalar: {scalar} + {scalar}
scalar: {scalar} * 2.5
scalar: {scalar} < {scalar}
scalar: {any} == {any}
scalar: {any} != {any}
scalar: {any} or 1
scalar: not {any}
scalar: 1 if {scalar} else 2
scalar: divmod({scalar}, 2)
scalar: max({any})
scalar: min({number}, default=None)
scalar: sum({any})
scalar: sum({number}.tolist()) / len({number})
scalar: any({number})
scalar: np.sqrt({scalar})
scalar: np.isnan({scalar})
scalar: np.mean({any})
scalar: {array}.sum()
scalar: {array}.shape
scalar: {array}.dtype
scalar: {array}[0]
scalar: {array}[0, 1]
scalar: {array}.mean()
scalar: float({array}.max())
scalar: {array}.argmax()
array: {array} + 1
array: {array} * {array}
array: {array} @ {array}
array: {array}[1:]
array: {array}[{array} > 1]
array: {array}[[0, 1]]
array: {array}.T
array: {array}.reshape(-1)
array: {array}.reshape({scalar}, -1)
array: {array}.cumsum()
array: {array}.astype(int)
array: {array}.copy()
array: {array} > {scalar}
array: -{array}
array: {scalar} / {array}
array: np.sort({array})
array: np.sqrt({array})
array: np.where({array} > 1, {array}, 0)
array: np.concatenate([{array}, {array}])
array: np.stack([{array}, {array}])
array: np.array({list})
array: np.array({any})
array: np.asarray({number})
array: np.unique({array})
array: np.add({array}, {number})
array: np.clip({array}, 1, 2)
array: np.maximum({array}, {scalar})
array: np.sum({array}, axis=0)
array: np.linspace(0, 1, {scalar})
array: {number}.values
array: {number}.to_numpy()
array: {number}.unique()
array: {frame}.values
array: {array} * {number}
list: {array}.tolist()
list: {number}.tolist()
list: list({any})
list: [*{any}]
list: tuple({any})
list: sorted({any})
list: sorted({any}, reverse=True)
list: sorted({any}, key=str)
list: list(reversed({any}))
list: list(zip({any}, range(2)))
list: list(enumerate({any}))
list: [v for v in {any}]
list: [v * 2 for v in {list}]
list: [v for v in {number} if v > 1]
list: {i: v for i, v in enumerate({any})}
list: list(map(str, {any}))
list: list(filter(None, {any}))
list: {list} + {list}
list: {list} * 2
list: {list}[1:]
list: {list}[::-1]
list: {list}[0]
list: {list}[{scalar}]
list: {list}.copy()
list: {list}.index(1)
list: {list}.count(1)
list: {list}.pop()
list: list({dict}.items())
list: list({dict})
list: [row for row in {frame}.itertuples()]
list: [tuple(row) for row in {frame}.itertuples(index=False)]
list: [row.x for row in {frame}.itertuples()]
list: [(i, row["x"]) for i, row in {frame}.iterrows()]
list: [(name, column.tolist()) for name, column in {frame}.items()]
list: {frame}.to_dict("records")
list: {frame}.index.tolist()
list: {list} == {list}
list: {list} < {list}
list: sorted(set({any}), key=str)
list: len(set({any}))
list: " ".join({any})
list: next(iter({any}))
list: {any}[0]
list: {any}[-1]
list: {any}["x"]
dict: {frame}.to_dict()
dict: {number}.to_dict()
dict: dict({any})
dict: {dict} | {dict}
dict: {**{dict}, "e": 1}
dict: {dict}.copy()
dict: {dict}["x"]
dict: {dict}.get("z", {any})
dict: {dict}.pop("y")
dict: {dict}.setdefault("q", [])
dict: {dict}.keys()
dict: {dict}.values()
dict: {dict} == {dict}
dict: dict(zip({list}, {list}))
dict: {key: len(str(v)) for key, v in {dict}.items()}
dict: {group}.x.sum().to_dict()
dict: {group}.groups
dict: dict(list({group}))
"""

STATEMENTS = """
{frame}["w"] = {number}
{frame}["w"] = {frame}.x + {scalar}
{frame}["w"] = {any}
{frame}.loc[{frame}.x > 1, "y"] = 0
{frame}.loc[0, "x"] = {scalar}
{frame}.iloc[0, 0] = "c"
{frame}.at[1, "x"] = 9
{frame}.columns = [str(c) + "_" for c in {frame}.columns]
{frame}.index = {number}
if "x" in {frame}: {frame2}.x = 5
{frame}.x += 1
{frame}["x"] *= 2
{frame}.sort_values("x", inplace=True)
{frame}.drop(columns="k", inplace=True)
del {frame}["y"]
{number}[0] = {scalar}
{number}.iloc[1] = 7
{number} += 1
{number} -= {number}
{number}.name = "renamed"
{number}[{number} > 1] = 0
{array}[0] = {scalar}
{array}[{array} > 1] = 0
{array} += 1
{array} *= {array}
{array}.sort()
{list}.append({any})
{list}.extend({any})
{list}.insert(0, {scalar})
{list}.remove(1)
{list}.sort()
{list}.reverse()
{list}[0] = {any}
{list}[1:2] = [{any}, 8]
{list} += [4]
{list} *= 2
del {list}[0]
{list}.clear()
{dict}["n"] = {any}
{dict}[{scalar}] = 1
{dict}.update({dict})
{dict}.update(e={any})
{dict} |= {"f": 1}
del {dict}["x"]
{dict}["x"].append(3)
{any}[0] = {any}
a, b = {array}, {list}
first, *rest = {list}
for item in {list}: n.append(item) if n is not {list2} else None
for key in {dict}: o[key] = key
with pd.option_context("display.precision", 2): k = repr({frame})
assert {scalar}
match {any}:\\n    case [first, *rest]: k = 1\\n    case {{"x": x}}: k = 2\\n    case _: k = 3
if {any}: k = 5
while len({list}) > 2: {list2}.pop()
"""


def _parse(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]


FORMS: list[tuple[str, str]] = [
    *(tuple(line.split(": ", 1)) for line in _parse(EXPRESSIONS)),  # type: ignore[list-item]
    *(("", line) for line in _parse(STATEMENTS)),
]
KINDS = ("frame", "group", "number", "text", "date", "array", "list", "dict", "scalar")
SERIES = ("number", "text", "date")


def program(pick: Pick) -> str:
    """One program: 1 to 8 steps."""
    kinds = dict(START)
    lines = []
    for step in range(pick(range(1, 9))):
        made, form = pick(FORMS)
        text = _filled(form, kinds, pick)
        if made:
            name = f"v{step}"
            lines.append(f"{name} = {text}")
            kinds[name] = made
            lines.append(f"seen.append(show({name}))")
        else:
            lines.extend(text.split("\\n"))
    return "\n".join(lines)


def _filled(form: str, kinds: dict[str, str], pick: Pick) -> str:
    before = ""
    for kind in (*KINDS, "series", "any"):
        wanted = SERIES if kind == "series" else KINDS if kind == "any" else (kind,)
        while f"{{{kind}}}" in form or f"{{{kind}2}}" in form:
            names = [name for name, held in kinds.items() if held in wanted] or list(kinds)
            name = pick(names[::-1])
            before = name if f"{{{kind}2}}" in form and not before else before
            form = (
                form.replace(f"{{{kind}}}", name, 1) if f"{{{kind}}}" in form else form.replace(f"{{{kind}2}}", before)
            )
    return form.replace("{{", "{").replace("}}", "}")


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Texts of programs."""
    return program(lambda choices: draw(st.sampled_from(choices)))


def whole(texts: Sequence[str]) -> str:
    """Many programs as one text, which prints a line for each."""
    parts = [SHOW]
    for at, text in enumerate(texts):
        taken = "; ".join(f"{name} = pool[{name!r}][{at}]" for name in inputs())
        parts.append(
            f"def program_{at}():\n"
            f"    {taken}; n = [1, 2.5]; o = {{'x': 1}}; k = 2; seen = []\n"
            "    try:\n" + textwrap.indent(text, "        ") + "\n"
            "    except Exception as error:\n"
            "        seen.append('raised ' + type(error).__name__)\n"
            "    try:\n"
            f"        seen.append([show(each) for each in ({', '.join(START)},)])\n"
            "    except Exception as error:\n"
            "        seen.append('not shown: ' + type(error).__name__)\n"
            "    return seen\n"
            f"print(repr(program_{at}()))\n"
        )
    return "\n".join(parts)


def pool(count: int) -> dict[str, list[Any]]:
    """Fresh objects for so many programs."""
    made = [inputs() for _ in range(count)]
    return {name: [each[name] for each in made] for name in made[0]}


def natively(texts: Sequence[str]) -> list[Any]:
    """What the programs come to without any plane."""
    return _executed(texts, {"pd": pd, "np": np, "pool": pool(len(texts))})


def by_proxies(plane: ControlPlane, texts: Sequence[str], agent: str = "local") -> list[Any]:
    """What they come to with in-process proxies."""

    def proxy(value: Any, name: str) -> Any:
        return plane.proxy(value, agent=agent, name=name)

    names = {"pd": proxy(pd, "pd"), "np": proxy(np, "np"), "pool": proxy(pool(len(texts)), "pool")}
    return _executed(texts, names)


def in_guest(session: Session, texts: Sequence[str]) -> list[Any]:
    """What they come to in the guest of a session that was granted a `pool`."""
    result = session.run("import pandas as pd, numpy as np\n" + whole(texts), timeout=120)
    assert result.ok, result.error
    return [ast.literal_eval(line) for line in result.stdout.splitlines()]


def _executed(texts: Sequence[str], names: dict[str, Any]) -> list[Any]:
    written = io.StringIO()
    with contextlib.redirect_stdout(written), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(whole(texts), "<programs>", "exec"), names)
    return [ast.literal_eval(line) for line in written.getvalue().splitlines()]
