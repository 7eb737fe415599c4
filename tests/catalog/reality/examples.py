"""Docstring examples, rewritten so that every call, attribute and subscript passes a `Watch`."""

from __future__ import annotations

import ast
import doctest
import inspect
import types
from collections.abc import Iterator
from typing import Any

from proxyplane.catalog import Catalog

__all__ = ["NAME", "Rewritten", "documented", "examples_of"]

NAME = "__watch__"


class Rewritten(ast.NodeTransformer):
    """`f(a)` becomes `__watch__.function(f, a)`, `x.m(a)` `__watch__.method(x, "m", a)`, `x.p` and `x[k]` likewise."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        args = [self.visit(arg) for arg in node.args]
        keywords = [self.visit(keyword) for keyword in node.keywords]
        if isinstance(function, ast.Attribute):
            first = [self.visit(function.value), ast.Constant(function.attr)]
            return _watched(node, "method", [*first, *args], keywords)
        if isinstance(function, ast.Name) and function.id in ("super", "locals", "globals", "vars", "dir", "exec"):
            return ast.copy_location(ast.Call(function, args, keywords), node)
        return _watched(node, "function", [self.visit(function), *args], keywords)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        return _watched(node, "attribute", [self.visit(node.value), ast.Constant(node.attr)], [])

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        key = self.visit(node.slice)
        if isinstance(key, ast.Slice):
            parts = [part or ast.Constant(None) for part in (key.lower, key.upper, key.step)]
            key = ast.Call(ast.Name("slice", ast.Load()), parts, [])
        elif isinstance(key, ast.Tuple) and any(isinstance(part, (ast.Slice, ast.Starred)) for part in key.elts):
            return self.generic_visit(node)
        return _watched(node, "item", [self.visit(node.value), key], [])

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_Delete(self, node: ast.Delete) -> ast.AST:
        return node


def _watched(node: ast.AST, name: str, args: list[Any], keywords: list[Any]) -> ast.AST:
    called = ast.Attribute(ast.Name(NAME, ast.Load()), name, ast.Load())
    return ast.copy_location(ast.Call(called, args, keywords), node)


def documented(catalog: Catalog, modules: list[types.ModuleType]) -> Iterator[tuple[str, str]]:
    """Name and docstring of every described member of these modules and of the types in them, each docstring once."""
    seen: set[int] = set()

    def told(name: str, value: Any) -> Iterator[tuple[str, str]]:
        text = getattr(value, "__doc__", None)
        if type(text) is str and ">>>" in text and hash(text) not in seen:
            seen.add(hash(text))
            yield name, text

    for module in modules:
        entry = catalog.module(module.__name__)
        for member, line in entry.members.items() if entry is not None else ():
            value = getattr(module, member, None)
            yield from told(f"{module.__name__}.{member}", value)
            if line.kind == "type" and isinstance(value, type):
                for name in dir(value):
                    if not name.startswith("_"):
                        static = inspect.getattr_static(value, name, None)
                        yield from told(f"{module.__name__}.{member}.{name}", getattr(value, name, static))
                        accessor = getattr(static, "_accessor", None)
                        for inner in dir(accessor) if isinstance(accessor, type) else ():
                            if not inner.startswith("_"):
                                yield from told(f"{member}.{name}.{inner}", getattr(accessor, inner, None))


def examples_of(text: str) -> list[Any]:
    """The compiled examples of a docstring, in order; one that does not parse is left out."""
    found: list[Any] = []
    try:
        parsed = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return found
    for example in parsed:
        try:
            tree = ast.parse(example.source)
            tree = ast.fix_missing_locations(Rewritten().visit(tree))
            found.append(compile(tree, "<example>", "exec"))
        except (SyntaxError, ValueError):
            continue
    return found
