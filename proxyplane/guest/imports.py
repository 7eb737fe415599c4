"""Host modules in the guest: `import pandas as pd` gives a real local module object in front of the host's.

Functions are known from the module's description and are made here without a request; types, constants and
submodules are fetched once. A granted host module wins over a module of the guest's own of the same name.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from proxyplane.guest.accessors import registrar
from proxyplane.guest.dunders import Request
from proxyplane.guest.references import Bound, StubType

__all__ = ["HostModule", "Modules"]


class HostModule(types.ModuleType):
    """A granted module of the host."""

    _handle: int
    _request: Request
    _functions: frozenset[str]
    _others: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        if name in own["_functions"]:
            found: Any = registrar(self.__name__, name) or Bound(own["_request"], self, own["_handle"], name)
        elif name in own["_others"] or not name.startswith("_"):
            try:
                found = own["_request"]("getattr", own["_handle"], name)
            except AttributeError as error:
                if name in own["_others"]:
                    raise
                text = str(error) or f"module {self.__name__!r} has no attribute {name!r}"
                raise type(error)(text) from None
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in own["_lasting"] or isinstance(found, (StubType, HostModule)):
            own[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or isinstance(value, HostModule):  # the import system binds submodules so
            self.__dict__[name] = value
        else:
            self._request("setattr", self._handle, name, (value,))

    def __delattr__(self, name: str) -> None:
        self._request("delattr", self._handle, name)

    def __dir__(self) -> list[str]:
        return sorted(self._functions | self._others | {"__doc__", "__name__"})

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} of the host>"


class Modules:
    """The host modules of this guest, as a finder and loader in front of all others.

    (No base of `importlib.abc`, whose import brings `pathlib`, `tempfile` and what they need into every guest.)

    Args:
        request: `Link.request`.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._by_name: dict[str, HostModule] = {}
        self._granted: list[str] = []
        self._shelf: Any = None
        self._offered: tuple[str, ...] = ()

    @property
    def granted(self) -> tuple[str, ...]:
        """Dotted names of the modules that were granted as such."""
        return tuple(self._granted)

    def module(self, handle: int, name: str, description: dict[str, Any] | None) -> HostModule:
        """The module object of a handle, the same one for each dotted name.

        Args:
            handle: the host's module.
            name: its dotted name.
            description: names of its members by kind; None when it was given before.
        """
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name[name] = HostModule(name)
            described = description or {}
            functions = frozenset(described.get("functions") or ())
            constants = frozenset(described.get("constants") or ())
            kinds = frozenset(described.get("types") or ()) | frozenset(described.get("modules") or ())
            found.__dict__.update(
                _request=self._request,
                _functions=functions,
                _others=constants | kinds,
                _lasting=functions | constants | kinds,
                __all__=sorted(n for n in functions | constants | kinds if not n.startswith("_")),
                __path__=[],
                __package__=name,
                __loader__=self,
                __spec__=importlib.machinery.ModuleSpec(name, self, origin="host", is_package=True),  # type: ignore[arg-type]
            )
            found.__dict__["__doc__"] = described.get("doc")
            if described.get("version"):
                found.__dict__["__version__"] = described["version"]
        found.__dict__["_handle"] = handle
        return found

    def grant(self, name: str, module: HostModule) -> None:
        """Let `import name` give this module from now on, also where the guest has one of its own of that name."""
        if name not in self._granted:
            self._granted.append(name)
        self._by_name[name] = module
        for known in [n for n in sys.modules if n.startswith(name + ".")]:
            del sys.modules[known]
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent in self._by_name:
            setattr(self._by_name[parent], child, module)

    def offer(self, shelf: Any, *names: str) -> None:
        """Granted modules that the host imports when they are first imported here.

        Args:
            shelf: the stub whose `load` gives one.
            names: their dotted names.
        """
        self._shelf, self._offered = shelf, names
        self._granted += [name for name in names if name not in self._granted]

    def install(self) -> None:
        """Put this finder before all others, and after them the one that says why a module is missing."""
        sys.meta_path.insert(0, self)
        sys.meta_path.append(_Missing(lambda: self._granted))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a granted module or of a submodule of one; None for all others."""
        if fullname not in self._granted:
            parent, _, child = fullname.rpartition(".")
            module = sys.modules.get(parent)
            if not isinstance(module, HostModule) or child.startswith("_"):
                return None
            try:
                if not isinstance(getattr(module, child), HostModule):
                    return None
            except AttributeError:
                return None
        return importlib.machinery.ModuleSpec(fullname, self, origin="host", is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        """The module object that the host's answer made."""
        if spec.name in self._granted:
            if spec.name in self._offered and spec.name not in self._by_name:
                return self._shelf.load(spec.name)  # type: ignore[no-any-return]
            return self._by_name[spec.name]
        parent, _, child = spec.name.rpartition(".")
        found: types.ModuleType = getattr(sys.modules[parent], child)
        return found

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing: the module runs on the host."""


class _Missing:
    """The last finder: says which modules there are."""

    def __init__(self, granted: Callable[[], Sequence[str]]) -> None:
        self._granted = granted

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> None:
        """Nothing is found here.

        Raises:
            ModuleNotFoundError: an import statement asked; `importlib.util.find_spec` gets None as ever.
        """
        asker = sys._getframe(1).f_back
        if "." in fullname or asker is None or asker.f_code.co_name != "_find_and_load_unlocked":
            return
        granted = ", ".join(self._granted()) or "none"
        if fullname in sys.stdlib_module_names:
            why = "this part of the standard library is left out here"
        else:
            why = f"it was not granted; granted modules: {granted}; the standard library is there too"
        raise ModuleNotFoundError(f"No module named {fullname!r}: {why}", name=fullname)
