"""Imports go down only, by the map at the top of `proxyplane/__init__.py`."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxyplane

PACKAGE = Path(proxyplane.__file__).parent
FROM_TOP = ("surfaces", "plane", "record", "judgement", "world", "words")
RANK = {"words": 0, "world": 1, "judgement": 2, "record": 2, "plane": 3, "surfaces": 4}
GUEST_MAY = {"msgpack", "proxyplane.errors", "proxyplane.transport.wire"}
HOST_LIBRARIES = {"pandas", "numpy", "polars", "pyarrow", "scipy", "sklearn", "matplotlib", "marimo"}


def layer_map() -> dict[str, str]:
    """Module prefix (without `proxyplane.`) to layer, out of the comment."""
    found: dict[str, str] = {}
    layer = ""
    for line in (PACKAGE / "__init__.py").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"#   (\w+)? {2,}(\S.*)", line)
        if row is None:
            continue
        layer = row[1] or layer
        found.update(dict.fromkeys(row[2].split(), layer))
    return found


LAYERS = layer_map()


def modules() -> dict[str, ast.Module]:
    """Every module of the package by dotted name without `proxyplane.`, parsed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[0] != "examples":
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree: ast.AST, *, top: bool = False) -> Iterator[str]:
    """Dotted names that a module imports, those for type checkers left out; with `top` only what runs on import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix("proxyplane.") in MODULES else str(node.module)
        elif not is_type_checking(node) and not (top and isinstance(node, ast.FunctionDef | ast.Lambda)):
            yield from imports(node, top=top)


def layer_of(module: str) -> str | None:
    """The layer of a module of the package: that of its longest prefix in the map."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        found = LAYERS.get(".".join(parts[:length]))
        if found is not None:
            return found
    return None


def own(module: str) -> set[str]:
    """Modules of the package that a module imports."""
    return {
        name.removeprefix("proxyplane.") for name in imports(MODULES[module]) if name.partition(".")[0] == "proxyplane"
    }


def test_the_map_names_the_layers_that_the_design_has():
    """The map in `__init__` has exactly the six layers, each with something in it."""
    assert set(LAYERS.values()) == set(FROM_TOP)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_map_names_only_what_exists(name: str):
    """What the map places is a module or package of today."""
    assert name in MODULES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_a_layer(module: str):
    """No module stands outside the map in `proxyplane/__init__.py`."""
    assert layer_of(module) is not None or not MODULES[module].body, f"give {module} a layer in proxyplane/__init__.py"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module: str):
    """A module imports from its own layer or a lower one, and `record` and `judgement` do not know each other."""
    here = layer_of(module)
    for other in own(module) - {"proxyplane"}:
        there = layer_of(other)
        if here is None or there is None:
            continue
        assert RANK[there] <= RANK[here], f"{module} ({here}) imports {other} ({there})"
        assert {here, there} != {"record", "judgement"}, f"{module} ({here}) imports {other} ({there})"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not name.startswith("cli")))
def test_only_the_command_line_imports_the_front_of_the_package(module: str):
    """Modules import names from where they are defined; `import proxyplane` is for users."""
    assert "proxyplane" not in own(module) or module == "__main__"


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.split(".")[0] == "guest"))
def test_the_guest_imports_the_standard_library_msgpack_and_itself(module: str):
    """What runs beside the agent's code needs nothing that a bare interpreter with msgpack lacks."""
    for name in imports(MODULES[module]):
        allowed = name.partition(".")[0] in sys.stdlib_module_names or name in GUEST_MAY
        assert allowed or name == "proxyplane.guest" or name.startswith("proxyplane.guest."), name


@pytest.mark.parametrize("module", ["errors", "transport.wire"])
def test_what_the_guest_shares_with_the_host_stands_alone(module: str):
    """The two modules that both ends run import nothing of the package but each other."""
    for name in imports(MODULES[module]):
        assert name.partition(".")[0] in sys.stdlib_module_names or name in GUEST_MAY, name


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.split(".")[0] != "hosts"))
def test_host_libraries_are_imported_at_module_level_in_hosts_only(module: str):
    """The core installs and starts without pandas."""
    found = {name.partition(".")[0] for name in imports(MODULES[module], top=True)}
    assert not found & HOST_LIBRARIES
