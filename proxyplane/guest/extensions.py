"""Host classes that are made to be inherited: a class of the agent that does so stays here, with its instances.

When an instance goes to the host, it goes as its attributes and as those of its methods that the host's type names as
hooks; the plane makes an object of its own there, which calls them. Each such call is an operation.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["Extension", "extension_class", "parts_of"]


class Extension:
    """Base of what stands for such a host class."""

    _type_id: ClassVar[int]
    _hooks: ClassVar[tuple[str, ...]]
    _parameters: ClassVar[tuple[tuple[str, Any], ...]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = [name for name, _ in self._parameters]
        if len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__}.__init__() takes from 1 to {len(names) + 1} positional arguments but "
                f"{len(args) + 1} were given"
            )
        self.__dict__.update(self._parameters)
        self.__dict__.update(zip(names, args, strict=False))
        self.__dict__.update(kwargs)


def extension_class(item: dict[str, Any]) -> type:
    """The class that stands for an announced host class with hooks."""
    namespace = {
        "__module__": item["module"],
        "__qualname__": item["name"],
        "__doc__": item.get("doc"),
        "_type_id": item["id"],
        "_hooks": tuple(item["extends"]["hooks"]),
        "_parameters": tuple((name, default) for name, default in item["extends"]["parameters"]),
    }
    return type(item["name"], (Extension,), namespace)


def parts_of(value: Extension) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Type id, hooks and plain attributes of an instance."""
    hooks = {name: getattr(value, name) for name in value._hooks if hasattr(value, name)}
    plain = (int, float, str, bool, type(None))
    return value._type_id, hooks, {name: item for name, item in vars(value).items() if type(item) in plain}
