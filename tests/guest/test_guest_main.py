"""Running the agent's code: the namespace, the standard streams, tracebacks, imports, callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from fakehost import Box, FakeHost, GuestRaised

from proxyplane.transport.wire import Kind, Tag


@pytest.fixture(scope="module")
def guest() -> Iterator[FakeHost]:
    frame = pd.DataFrame({"region": ["n", "s", "n"], "amount": [1.5, 2.5, 3.0]})
    with FakeHost({"df": frame, "box": Box()}) as host:
        yield host


@pytest.fixture
def host(guest: FakeHost) -> FakeHost:
    guest.refuse = lambda verb, member: None
    return guest


def test_hello_carries_version_and_report(host: FakeHost) -> None:
    """The guest says hello with the protocol's version and the report that it was given."""
    assert host.hello == [Kind.HELLO, 1, {"pid": 1, "tier": "split"}]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", "2"),
        ("None", None),
        ("x = 3", None),
        ("'a\\nb'", "'a\\nb'"),
        ("for i in range(3): i", None),
        ("", None),
        ("# nothing", None),
        ("x = 3; x * 2", "6"),
        ("x: int = 4\n__annotations__['x']", "<class 'int'>"),
        ("__name__", "'__main__'"),
    ],
)
def test_value_is_what_a_repl_shows(host: FakeHost, code: str, value: str | None) -> None:
    """The value is the repr of a last expression that is not None."""
    ran = host.run(code)
    assert ran.error is None
    assert ran.value == value


def test_names_and_functions_persist(host: FakeHost) -> None:
    """What one run defines the next one uses."""
    host.run("def twice(x):\n    return 2 * x\nkept = 21")
    assert host.run("twice(kept)").value == "42"


def test_underscore_holds_the_last_value(host: FakeHost) -> None:
    """`_` is the last value, unless the agent has a `_` of its own."""
    host.run("20 + 1")
    assert host.run("_ * 2").value == "42"
    host.run("_ = 'mine'")
    host.run("7")
    assert host.run("_").value == "'mine'"
    host.run("del _")
    assert host.run("8").value == "8"


def test_done_names_variables_with_handles(host: FakeHost) -> None:
    """DONE lists the agent's names, with handles for stubs, without modules and private names."""
    ran = host.run("import json\nimport pandas as pd\n_hidden = 1\nplain = 2\ntop = df.head()")
    assert ran.names["plain"] == 0
    assert type(host.handles[ran.names["top"]]) is pd.DataFrame
    assert host.handles[ran.names["df"]] is not None
    assert not {"json", "pd", "_hidden", "__name__"} & ran.names.keys()


def test_fetch_returns_variables(host: FakeHost) -> None:
    """The host gets the object behind a variable, or a NameError."""
    host.run("grouped = df.groupby('region').amount.sum()\nplain = {'a': [1, (2,)]}")
    assert host.fetch("plain") == {"a": [1, (2,)]}
    assert host.fetch("grouped").to_dict() == {"n": 4.5, "s": 2.5}
    with pytest.raises(GuestRaised) as caught:
        host.fetch("never_defined")
    assert caught.value.error["type"] == "NameError"


def test_bind_adds_names_and_modules_later(host: FakeHost) -> None:
    """Names and modules can be granted while the session runs; a host module wins over the guest's own."""
    host.bind({"more": pd.Series([1, 2])})
    assert host.run("more.sum()").value in ("3", "np.int64(3)")
    host.bind({}, ("colorsys",))
    assert host.run("import colorsys\ncolorsys.rgb_to_hsv(0, 0, 0)").value == "(0.0, 0.0, 0)"
    assert any(request[2] == "call" and request[4] == "rgb_to_hsv" for request in host.ran.requests)


# Failures


def _lines(traceback: str) -> list[str]:
    return [line for line in traceback.splitlines() if line.startswith("  File ")]


def test_traceback_shows_only_the_agents_lines(host: FakeHost) -> None:
    """A traceback through a stub and through the standard library shows the agent's frames and source lines only."""
    host.run("import json\ndef outer():\n    return df['nope']\ndef parse():\n    return json.loads('{')")
    error = host.run("outer()").error
    assert error is not None
    assert (error["type"], error["message"]) == ("KeyError", "'nope'")
    assert all("<agent-" in line for line in _lines(error["traceback"]))
    assert "    return df['nope']\n" in error["traceback"]
    error = host.run("parse()").error
    assert error is not None
    assert error["type"] == "JSONDecodeError"
    assert len(_lines(error["traceback"])) == 2


def test_cause_and_context_of_the_agent_stay(host: FakeHost) -> None:
    """`raise ... from` and exceptions during handling keep their chains."""
    ran = host.run("try:\n    df['nope']\nexcept KeyError as e:\n    raise ValueError('wrapped') from e")
    assert ran.error is not None
    assert ran.error["type"] == "ValueError"
    assert "direct cause" in ran.error["traceback"]
    assert "KeyError: 'nope'" in ran.error["traceback"]
    ran = host.run("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('second')")
    assert ran.error is not None
    assert "During handling" in ran.error["traceback"]


def test_syntax_error_has_a_caret(host: FakeHost) -> None:
    """A syntax error anywhere means that nothing ran, and shows where it is."""
    ran = host.run("print('ran')\nx = = 1")
    assert ran.error is not None
    assert ran.error["type"] == "SyntaxError"
    assert "x = = 1" in ran.error["traceback"]
    assert "^" in ran.error["traceback"]
    assert ran.stdout == ""
    assert host.run("print('ran')\n(yield)").stdout == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("def f(): f()\nf()", "RecursionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise MemoryError('x')", "MemoryError"),
        ("class E(BaseException): pass\nraise E('x')", "E"),
        ("raise ExceptionGroup('g', [ValueError(1)])", "ExceptionGroup"),
        ("class R:\n    def __repr__(self): return 1 / 0\nR()", "ZeroDivisionError"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
        ("def f():\n    len(df)\n    f()\nf()", "RecursionError"),
    ],
)
def test_every_failure_is_an_ordinary_error(host: FakeHost, code: str, kind: str) -> None:
    """Whatever the agent's code raises, the run ends with its type, and the guest goes on."""
    error = host.run(code).error
    assert error is not None
    assert error["type"] == kind
    assert host.run("len(df)").value == "3"


@pytest.mark.parametrize("code", ["import sys\nsys.exit()", "raise SystemExit(0)", "import sys\nsys.exit(None)"])
def test_exit_without_a_code_is_no_error(host: FakeHost, code: str) -> None:
    """Leaving with nothing or 0 is a normal end."""
    assert host.run(code).ok


def test_exit_with_a_message_is_an_error(host: FakeHost) -> None:
    """Leaving with a code or message is a SystemExit with it."""
    error = host.run("raise SystemExit('stopped')").error
    assert error is not None
    assert (error["type"], error["message"]) == ("SystemExit", "stopped")


REFUSAL = {
    "code": "denied",
    "message": "no mutate here",
    "effect": "mutate",
    "rule": "r1",
    "reason": "x",
    "hint": "fork",
}


def test_refusals_are_permission_errors_with_rule_and_hint(host: FakeHost) -> None:
    """A refusal is caught as PermissionError; uncaught, the error names effect, rule and hint."""
    host.refuse = lambda verb, member: REFUSAL if verb == "setitem" else None
    caught = host.run(
        "try:\n    df['x'] = 1\nexcept PermissionError as e:\n    print(type(e).__name__, e, e.rule, e.hint)"
    )
    assert caught.stdout == "Denied no mutate here r1 fork\n"
    error = host.run("df['x'] = 1").error
    assert error is not None
    assert error["type"] == "Denied"
    assert (error["effect"], error["rule"], error["hint"]) == ("mutate", "r1", "fork")
    assert len(_lines(error["traceback"])) == 1


@pytest.mark.parametrize("code", ["budget_exceeded", "stale", "audit_unavailable", "denied_attribute", "no_such_code"])
def test_every_refusal_code_becomes_its_class(host: FakeHost, code: str) -> None:
    """Each code of the error tree arrives as its class, an unknown one as the root."""
    host.refuse = lambda verb, member: {"code": code, "message": "because"}
    error = host.run("df.head()").error
    assert error is not None
    names = {"budget_exceeded": "BudgetExceeded", "stale": "Stale", "audit_unavailable": "AuditUnavailable",
             "denied_attribute": "DeniedAttribute"}  # fmt: skip
    assert (error["type"], error["message"]) == (names.get(code, "ProxyPlaneError"), "because")


def test_agents_own_traceback_module_hides_our_frames(host: FakeHost) -> None:
    """`traceback.print_exc` in the agent's code shows no frame of this package."""
    ran = host.run("import traceback\ntry:\n    df['nope']\nexcept KeyError:\n    traceback.print_exc()")
    assert "proxyplane" not in ran.stderr
    assert "df['nope']" in ran.stderr


def test_requests_carry_the_agents_line(host: FakeHost) -> None:
    """Each request names the line of the agent's code, also through the standard library."""
    ran = host.run("\n\nlen(df)\nsorted([1, 2], key=lambda x: len(df))\nimport copy\ncopy.copy(df)")
    assert [request[7] for request in ran.requests if request[2] in ("len", "call")] == [3, 4, 4, 6]


# Standard streams


def test_streams_keep_their_order(host: FakeHost) -> None:
    """Text of the two streams arrives in the order in which it was written."""
    ran = host.run("import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')")
    assert [text for _, text in ran.outputs] == ["a\n", "b\n", "c\n"]
    assert (ran.stdout, ran.stderr) == ("a\nc\n", "b\n")


def test_output_is_sent_in_few_frames(host: FakeHost) -> None:
    """Ten thousand prints cost a few frames, not ten thousand."""
    ran = host.run("for i in range(10_000): print(i)")
    assert ran.stdout == "".join(f"{i}\n" for i in range(10_000))
    assert len(ran.outputs) < 50


def test_stream_interface(host: FakeHost) -> None:
    """The streams look like text streams of a process without a terminal."""
    ran = host.run(
        "import sys\nsys.stdout.buffer.write('é'.encode())\nsys.stdout.writelines(['a', 'b'])\n"
        "(sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.writable(), sys.stdin.isatty())"
    )
    assert ran.stdout == "éab"
    assert ran.value == "(False, 'utf-8', True, False)"
    error = host.run("input('name? ')").error
    assert error is not None
    assert error["type"] == "EOFError"


def test_output_is_bounded_per_run() -> None:
    """Past the bound, text is dropped in the guest and its amount is told; the next run begins anew."""
    with FakeHost(options={"output_chars": 1000}) as host:
        ran = host.run("print('x' * 5000)\nprint('y')")
        assert ran.stdout == "x" * 936 + "\n... output cut: 4067 more characters ...\n"
        assert len(ran.stdout) <= 1000
        assert host.run("print('again')").stdout == "again\n"
        value = host.run("'z' * 5000").value
        assert value is not None
        assert value.endswith("4002 more characters ...\n")


def test_big_output_arrives_whole(host: FakeHost) -> None:
    """A megabyte in one write crosses in frames that the host accepts."""
    ran = host.run("print('é' * 900_000)")
    assert ran.stdout == "é" * 900_000 + "\n"


# Imports


@pytest.mark.parametrize(
    "code",
    [
        "import pandas as pd\ntype(df) is pd.DataFrame",
        "from pandas import DataFrame, merge\ntype(df) is DataFrame and callable(merge)",
        "import numpy.linalg as la\nbool(la.norm([3, 4]) == 5)",
        "from numpy.random import default_rng\nbool(0 <= default_rng(1).integers(3) < 3)",
        "from pandas import *\nbool(Series([1]).sum() == 1)",
        "from pandas.errors import MergeError\nimport pandas as pd\npd.errors.MergeError is MergeError",
        "from numpy import linalg\nimport numpy.linalg\nlinalg is numpy.linalg",
        "import pandas\npandas.__version__.count('.') >= 1",
        "import importlib\nimportlib.import_module('pandas.api.types').is_integer(3)",
        "import importlib.util\nimportlib.util.find_spec('requests') is None",
        "import pandas, types\nisinstance(pandas, types.ModuleType) and pandas.__name__ == 'pandas'",
        "import sys\n'pandas' in sys.modules and 'pandas' in repr(sys.modules['pandas'])",
        "import pandas as pd\n'DataFrame' in dir(pd)",
    ],
)
def test_granted_modules_import_as_natively(host: FakeHost, code: str) -> None:
    """Each form of import gives host members."""
    ran = host.run(code)
    assert ran.error is None
    assert ran.value == "True"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("import requests", "ModuleNotFoundError", "granted modules: pandas, numpy"),
        ("import pandas.nothing", "ModuleNotFoundError", "pandas.nothing"),
        ("import pandas\npandas.nothing", "AttributeError", "module 'pandas' has no attribute 'nothing'"),
        ("import pandas\npandas._libs", "AttributeError", "module 'pandas' has no attribute '_libs'"),
        ("from pandas import nothing", "ImportError", "nothing"),
    ],
)
def test_missing_modules_say_what_there_is(host: FakeHost, code: str, kind: str, text: str) -> None:
    """What is not granted, or does not exist, fails with the native error and a text that helps."""
    error = host.run(code).error
    assert error is not None
    assert error["type"] == kind
    assert text in error["message"]


def test_module_functions_need_no_request(host: FakeHost) -> None:
    """A function of a module is known without asking; a constant is asked once."""
    assert host.run("import pandas as pd\npd.concat\npd.concat").requests == []
    first = host.run("import numpy as np\nnp.pi").requests
    assert len(first) == 1
    assert host.run("np.pi, np.pi").requests == []


# Callbacks


def test_callbacks_nest(host: FakeHost) -> None:
    """The host may call the agent's function, which may call the host, which may call again."""
    code = "box.call(lambda: box.call(lambda x: x + len(df), 4) * 2)"
    assert host.run(code).value == "14"


def test_exception_of_a_callback_is_the_agents_own(host: FakeHost) -> None:
    """The exception that a callback raised comes back as the very object, with both of the agent's frames."""
    code = (
        "class Mine(Exception): pass\nraised = Mine('x')\ndef bad():\n    raise raised\n"
        "try:\n    box.call(bad)\nexcept Mine as e:\n    print(e is raised)"
    )
    assert host.run(code).stdout == "True\n"
    error = host.run("def worse(): raise Mine('y')\nbox.call(worse)").error
    assert error is not None
    assert error["type"] == "Mine"
    assert len(_lines(error["traceback"])) == 2


def test_callback_out_of_stack_still_answers(host: FakeHost) -> None:
    """A callback that runs out of stack does not leave the host waiting."""
    error = host.run("def deep(): return box.call(deep) if len(df) else 0\ndef f(): return f()\nbox.call(f)").error
    assert error is not None
    assert error["type"] == "RecursionError"
    assert host.run("1").value == "1"


def test_functions_keep_their_number_until_forgotten(host: FakeHost) -> None:
    """The same function crosses under the same number; a forgotten one can be sent again."""
    host.run("def f(a, b=1, *rest, c, **more):\n    'what f does'\nclass C:\n    def m(self): return 5\nc = C()")
    host.run("box.keep(f); box.keep(f); box.keep(c.m); box.keep(c.m)")
    box = host.handles[host.ran.names["box"]]
    first, second, third, fourth = box.kept[-4:]
    assert first.number == second.number
    assert (first.__name__, first.__doc__, first.signature) == ("f", "what f does", "(a, b=1, *rest, c, **more)")
    assert third.number == fourth.number
    host.send([Kind.FORGET, [first.number, third.number]])
    assert host.run("box.call(c.m)").value == "5"
    host.run("box.keep(f)")
    assert box.kept[-1].number != first.number


def test_function_long_forgotten_is_an_error(host: FakeHost) -> None:
    """A number that the guest does not know is answered with an error."""
    with pytest.raises(GuestRaised) as caught:
        host.callback(987654, (), {})
    assert caught.value.error["type"] == "LookupError"


# Orderings


def test_answers_out_of_order_wait(host: FakeHost) -> None:
    """An answer to the outer request that comes while an inner one waits is kept until its turn, with its types."""
    host.number += 1
    host.send([Kind.RUN, host.number, "def inner(): return len(df)\nbox.call(inner)", "<agent-order>"])
    outer = _next_request(host)
    wire = outer[5][0]
    assert wire[0] == Tag.CALLABLE
    host.send([Kind.CALLBACK, 700, wire[1], [], None, []])
    inner = _next_request(host)
    assert inner[2] == "len"
    number = 900 + host.number
    news = {"id": number, "handle": 5000, "name": "Late", "module": "m", "doc": None, "bases": [], "builtin": None,
            "methods": [], "properties": [], "dunders": [], "dynamic": False, "hashable": True}  # fmt: skip
    host.send([Kind.RESULT, outer[1], [Tag.TUPLE, [Tag.REF, 5001, number], "outer"], [news]])
    host.send([Kind.RESULT, 123456, "nobody asked", []])
    host.send([Kind.RESULT, inner[1], 3, []])
    assert host.channel.receive()[:3] == [Kind.RESULT, 700, 3]
    asked = _next_request(host)  # the tuple's repr asks for the stub's
    assert asked[2:4] == ["repr", 5001]
    host.send([Kind.RESULT, asked[1], "<late>", []])
    done = host.channel.receive()
    assert done[:4] == [Kind.DONE, host.number, "(<late>, 'outer')", None]
    host.sent[5001] = 1


def _next_request(host: FakeHost) -> list[Any]:
    frame = host.channel.receive()
    assert frame[0] == Kind.REQUEST
    return frame


def test_bind_and_fetch_while_a_request_waits(host: FakeHost) -> None:
    """The host may grant names and read variables while the guest waits for an answer; a second run is turned away."""
    host.number += 1
    host.send([Kind.RUN, host.number, "early = 5\nlen(df)\nlate + early", "<agent-busy>"])
    request = _next_request(host)
    host.send([Kind.BIND, 801, {"late": 10}, {}, []])
    assert host.channel.receive() == [Kind.RESULT, 801, None, []]
    host.send([Kind.FETCH, 802, "early"])
    assert host.channel.receive() == [Kind.RESULT, 802, 5, []]
    host.send([Kind.RUN, 803, "1", "<agent-803>"])
    refused = host.channel.receive()
    assert refused[:2] == [Kind.DONE, 803]
    assert "still running" in refused[3]["message"]
    host.send([Kind.RESULT, request[1], 3, []])
    assert host.channel.receive()[:3] == [Kind.DONE, host.number, "15"]


def test_destructors_may_ask_the_host(host: FakeHost) -> None:
    """A `__del__` of the agent that sends requests, run by the collector at any time, breaks no frame."""
    code = (
        "import gc\nclass D:\n    def __init__(self): self.me = self\n    def __del__(self): done.append(len(df))\n"
        "done = []\ngc.set_threshold(5)\nfor i in range(300):\n    D(); df.shape\n"
        "gc.set_threshold(700)\ngc.collect(); len(done), set(done)"
    )
    assert host.run(code).value == "(300, {3})"


def test_guest_ends_with_its_host() -> None:
    """When the host hangs up the guest's process ends, also in the middle of a run."""
    host = FakeHost({"df": pd.Series([1])})
    host.send([Kind.RUN, 99, "while True:\n    try: len(df)\n    except Exception: pass", "<agent-99>"])
    _next_request(host)
    host.channel.close()
    assert host.process.wait(20) == 0
