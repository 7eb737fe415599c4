"""A guest that asks for anything the catalog has, with anything it was given: frames in, frames out, no process."""

from __future__ import annotations

import contextlib
import random
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pandas as pd

from proxyplane import ControlPlane, warned
from proxyplane.conversation import Exchange
from proxyplane.lowering import DUNDERS
from proxyplane.sessions import Session
from proxyplane.transport.wire import Kind, Tag

from . import canary

__all__ = ["POLICY", "Vault", "Walker", "bounded"]

POLICY = """
schema = 1
[objects.df]
hide = ["ssn", "pay"]
[modules]
host = ["pandas", "numpy", "polars"]
[[rules]]
id = "blind"
object = ["vault"]
effect = ["reveal"]
decide = "deny"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display"]
decide = "allow"
"""
_SLOW = frozenset(
    "plot hist boxplot style pow power float_power rpow lshift left_shift bitwise_left_shift cumprod prod product "
    "nanprod prompt glimpse date_range bdate_range period_range timedelta_range interval_range spawn to_clipboard "
    "fill put place putmask copyto itemset put_along_axis c_ r_ mgrid ogrid s_ index_exp mr_ IndexSlice "
    "show_versions".split()
)
"""Left out: they draw, take powers of the canaries, put an array into itself (which ends numpy), or have no end."""
_KEYWORDS = (
    "axis by on columns how orient as_index dtype name func level shape out where index values labels key inplace copy "
    "fill_value periods"
).split()
_BUILTINS = ("sum", "len", "str", "int", "list", "max", "sorted", "float", "tuple")
_UNARY = frozenset({"repr", "str", "len", "bool", "hash", "iter", "index", "enter"})


class Vault:
    """Objects with canaries in columns and rows that may not be seen, and a table of which nothing may be revealed."""

    def __init__(self) -> None:
        hidden, gone, cells = canary.texts(4), canary.texts(2), canary.texts(3)
        pay, nums = canary.numbers(4), canary.numbers(3)
        big = pd.DataFrame(
            {
                "name": [*"abcd", *gone],
                "n": [1, 2, 3, 4, 5, 6],
                "x": [0.5, 1.5, float("nan"), 2.5, 3.5, 4.5],
                "kind": pd.Categorical([*"xyxy", *gone]),
                "when": pd.date_range("2024-01-01", periods=6),
                "ssn": [*hidden, *gone],
                "pay": [*pay, 7, 8],
            },
            index=pd.Index([*"ijkl", *gone], name="key"),
        )
        self.objects = {"df": big.iloc[:4], "vault": pd.DataFrame({"name": cells, "num": nums})}
        self.pattern: re.Pattern[bytes] = canary.finder([*hidden, *gone, *cells, *pay, *nums])


class Walker:
    """One session, asked by frames.

    Args:
        plane: under `POLICY`.
        vault: the objects.
        source: of chance.
    """

    def __init__(self, plane: ControlPlane, vault: Vault, source: random.Random) -> None:
        self.session: Session = plane.session("walker", objects=vault.objects)
        self.performed = 0
        self.answered = 0
        self._vault = vault
        self._random = source
        membrane = self.session.membrane
        self.last: Any = None
        """The operation that was asked last."""
        self._roots = [self.session.grants.held(name).handle for name in vault.objects]
        for held in self.session.grants.objects.values():
            membrane.encode(held.value, False, None, show=False)
        self._modules = [wire[1] for wire in self.session._modules().values()]
        self._pool: list[int] = list(self._roots)
        self._functions: list[int] = []
        self._types: list[int] = []
        self._texts = ["name", "n", "x", "kind", "when", "ssn", "pay", "num", "a", "", "key", "sum", "first", "i8", "U"]
        self._packer = msgpack.Packer(use_bin_type=True, unicode_errors="surrogatepass")

    def sequence(self, length: int) -> bytes | None:
        """A few operations, each with what the ones before gave. Returns what crossed with a canary in it, or None."""
        self._pool = self._random.choices(self._roots, k=2) + self._pool[-20:]
        for _ in range(length):
            crossed = self.step()
            if self._vault.pattern.search(crossed):
                return crossed
        return None

    def ask(self, verb: str, name: str, member: str | None) -> bytes:
        """An operation without arguments on a granted object; the bytes of its answer."""
        return self._perform(verb, self.session.grants.held(name).handle, member, [], None)

    def step(self) -> bytes:
        """One operation; the bytes of its answer."""
        handle = self._target()
        verb, member = self._verb(handle)
        return self._perform(verb, handle, member, *self._arguments(verb))

    def _perform(self, verb: str, handle: int, member: str | None, args: list[Any], kwargs: Any) -> bytes:
        self.last = (verb, handle, member, args, kwargs)
        frame = [Kind.REQUEST, self.performed, verb, handle, member, args, kwargs, 1, None]
        self.performed += 1
        with warned.listening(self.session.heard):
            reply = self.session.dispatch.perform(Exchange(), frame)
        self.answered += reply[0] == Kind.RESULT
        self._keep(reply[2], 0)
        for news in reply[3]:
            self._types.append(news["id"])
            self._keep([Tag.REF, news["handle"]], 0)
        crossed: bytes = self._packer.pack(reply)
        return crossed

    def _target(self) -> int:
        chance = self._random.random()
        if chance < 0.15:
            return self._random.choice(self._modules)
        if chance < 0.3 and self._functions:
            return self._random.choice(self._functions[-30:])
        return self._random.choice(self._pool[-12:])

    def _verb(self, handle: int) -> tuple[str, str | None]:
        held = self.session.table.get(handle)
        draw = self._random
        if handle in self._modules:
            module = self.session.plane.catalog.module(held.value.__name__)
            names = [name for name in module.members if name not in _SLOW] if module is not None else ["zz"]
            return draw.choice(("call", "getattr")), draw.choice(names)
        if held.entry is not None:
            return "call", None
        kind = held.kind
        if kind is None or draw.random() < 0.02:
            return draw.choice(("repr", "describe", "list", "call", "next")), None
        if draw.random() < 0.3 and kind.dunders:
            dunder = draw.choice(list(kind.dunders))
            for (verb, member), name in DUNDERS.items():
                if verb == "setitem" and kind.name.startswith("numpy."):
                    continue
                if name == dunder and not {"pow", "lshift", "rpow", "rlshift", "ipow", "ilshift"} & {member}:
                    return verb, member
        names = [n for n in (*kind.members, "ssn", "_mgr", "name", "n", "pay", "num") if n not in _SLOW]
        return draw.choice(("call", "call", "getattr")), draw.choice(names)

    def _arguments(self, verb: str) -> tuple[list[Any], dict[str, Any] | None]:
        draw = self._random
        if verb in _UNARY or verb in ("getattr", "describe", "list", "unop", "exit"):
            return [], None
        if verb == "next":
            return [draw.choice((1, 5))], None
        if verb == "setitem":
            return [self._value(0), self._value(0)], None
        if verb in ("getitem", "delitem", "contains", "compare", "binop", "format"):
            return [self._value(0)], None
        kwargs = {}
        if draw.random() < 0.3:
            kwargs[draw.choice(_KEYWORDS)] = self._value(0)
        return [self._value(0) for _ in range(draw.choice((0, 0, 1, 1, 1, 2, 3)))], kwargs or None

    def _value(self, depth: int) -> Any:
        draw = self._random
        chance = draw.random()
        if chance < 0.3:
            return [Tag.REF, draw.choice(self._pool[-12:])]
        if chance < 0.55:
            return draw.choice(self._texts)
        if chance < 0.7:
            return draw.choice((0, 1, 2, -1, 3, None, True, False, 0.5))
        if chance < 0.76:
            return [Tag.BUILTIN, draw.choice(_BUILTINS)]
        if chance < 0.8 and self._types:
            return [Tag.TYPE, draw.choice(self._types)]
        if chance < 0.84 and self._functions:
            return [Tag.FUNCTION, draw.choice(self._functions)]
        if chance < 0.87:
            return [Tag.SLICE, None, draw.choice((None, 1, 2)), draw.choice((None, -1))]
        if chance < 0.9:
            return [Tag.BOUND, draw.choice(self._pool[-12:]), draw.choice(("sum", "tolist", "head", "to_dict", "get"))]
        if depth > 1:
            return 1
        if chance < 0.96:
            items = [self._value(depth + 1) for _ in range(draw.choice((0, 1, 2)))]
            return [draw.choice((Tag.LIST, Tag.TUPLE)), *items]
        return [Tag.DICT, draw.choice(self._texts), self._value(depth + 1)]

    def _keep(self, wire: Any, depth: int) -> None:
        """References and texts of an answer, for later operations."""
        if type(wire) is str and len(wire) < 40:
            self._texts[draw_place(self._random, len(self._texts)) :] = [wire]
        if type(wire) is not list or not wire or depth > 6:
            return
        if wire[0] in (Tag.REF, Tag.VALUE_REF) and len(wire) > 1 and type(wire[1]) is int:
            self._pool.append(wire[1])
        elif wire[0] == Tag.FUNCTION:
            self._functions.append(wire[1])
        elif wire[0] in (Tag.LIST, Tag.TUPLE, Tag.DICT, Tag.SET):
            for part in wire[1:9]:
                self._keep(part, depth + 1)

    def close(self) -> None:
        """End the session."""
        self.session.close()


def draw_place(source: random.Random, length: int) -> int:
    """Where a new text is put: at the end, over another one once there are many."""
    return length if length < 40 else source.randrange(15, length)


@contextlib.contextmanager
def bounded(more: int = 3 << 30) -> Iterator[None]:
    """What chance asks for may take so many bytes more and not all; numpy does not warn of what it computes."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])  # other tests have taken some
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
