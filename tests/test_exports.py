"""The public surface: what `from proxyplane import ...` offers, and where it comes from."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import proxyplane

PACKAGE = Path(proxyplane.__file__).parent
CORE = [name for name in proxyplane.__all__ if not name.startswith("__")]


def exports() -> dict[str, list[str]]:
    """`__all__` of every module that has one, read without importing it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "__init__.py" or path.relative_to(PACKAGE).parts[0] == "examples":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "__all__" for each in node.targets):
                parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[name] = ast.literal_eval(node.value)
    return found


EXPORTS = exports()


def test_the_contract_names_are_public():
    """The names that other programs rely on are there."""
    assert {"ControlPlane", "Policy", "Session", "RunResult", "RunError", "Capability"} <= set(CORE)


@pytest.mark.parametrize("name", CORE)
def test_a_core_name_comes_from_one_module(name: str):
    """Each core name is defined and exported by exactly one module; only the front of its package repeats it."""
    value = getattr(proxyplane, name)
    assert name in EXPORTS[value.__module__]
    home = value.__module__.rpartition(".")[0]
    others = {module for module, names in EXPORTS.items() if name in names} - {value.__module__}
    assert others <= {home}
    assert all(getattr(importlib.import_module(module), name) is value for module in others)


def test_every_error_of_the_tree_is_public():
    """Whoever catches errors needs no private import."""
    from proxyplane.errors import tree

    assert set(tree()) - {"Refusal"} <= set(CORE)


@pytest.mark.parametrize("module", sorted(EXPORTS))
def test_exported_names_exist_once_and_in_order(module: str):
    """`__all__` is sorted, without repetitions, and names what the module has at top level."""
    names = EXPORTS[module]
    assert len(names) == len(set(names))
    tree = (
        ast.parse((PACKAGE.parent / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        if (PACKAGE.parent / f"{module.replace('.', '/')}.py").is_file()
        else ast.parse((PACKAGE.parent / module.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    )
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    assert set(names) <= bound


def test_unknown_names_are_an_attribute_error_that_tells_the_public_ones():
    """A misspelt import says what there is."""
    with pytest.raises(AttributeError, match="ControlPlane"):
        _ = proxyplane.ControllPlane


def test_dir_lists_the_public_names():
    """Exploring the package shows names that are not loaded yet."""
    assert set(proxyplane.__all__) <= set(dir(proxyplane))


def test_the_version_is_that_of_the_project_file():
    """One version, told twice."""
    project = PACKAGE.parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("an installed package has no project file")
    assert proxyplane.__version__ == tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]


def test_importing_the_package_loads_neither_pandas_nor_pydantic():
    """`import proxyplane` and the command line's start are cheap, and the core needs no pandas."""
    code = "import sys, proxyplane, proxyplane.cli; print({'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_importing_the_plane_loads_no_pandas():
    """The core installs without pandas."""
    code = "import sys, proxyplane; proxyplane.ControlPlane; print({'pandas', 'numpy', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
