"""Hand decisions about built-in types: those that can be held by reference."""

from __future__ import annotations

from collections import OrderedDict

from proxyplane.catalogs.generate import Review, TypeReview

_READING = frozenset(
    "__len__ __contains__ __iter__ __getitem__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __repr__ __str__ "
    "__format__ __add__ __radd__ __mul__ __rmul__ __and__ __or__ __sub__ __xor__ __rand__ __ror__ __rsub__ __rxor__ "
    "__reversed__ count index copy items keys values get difference intersection union symmetric_difference isdisjoint "
    "issubset issuperset".split()
)
_CHANGING = frozenset(
    "__setitem__ __delitem__ __iadd__ __imul__ __iand__ __ior__ __isub__ __ixor__ append clear extend "
    "insert pop remove "
    "reverse sort popitem setdefault update add discard difference_update intersection_update "
    "symmetric_difference_update".split()
)
_TEXT_LEFT_OUT = frozenset(("format", "format_map", "maketrans"))  # they walk attributes of what they are given
_ITERATOR = frozenset(("__iter__", "__next__", "__repr__", "__str__", "__eq__", "__ne__", "__hash__"))
_MATCH = frozenset(
    "group groups groupdict start end span expand string pos endpos lastindex lastgroup re __getitem__ __repr__ "
    "__eq__ __ne__ __hash__".split()
)
_WRITTEN = ("write", "writelines", "truncate")
_BUFFER = frozenset(
    "close closed flush getvalue read readable readline seek seekable tell writable __enter__ __eq__ __exit__ __hash__ "
    "__ne__".split()
) | frozenset(_WRITTEN)
_NAMED = frozenset(("__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__format__"))
_VIEW = frozenset(
    "__len__ __contains__ __iter__ __reversed__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __repr__ __str__ __and__ "
    "__or__ __sub__ __xor__ isdisjoint".split()
)


def _text(kind: type) -> frozenset[str]:
    public = {name for name in dir(kind) if not name.startswith("_")}
    return (frozenset(public) | _READING) - _TEXT_LEFT_OUT


def _container(name: str) -> TypeReview:
    return TypeReview(
        f"builtins:{name}",
        meta=(f'builtin = "{name}"',),
        only=_READING | _CHANGING,
        make="compute fresh",
        hashable=name in ("tuple", "frozenset"),
    )


REVIEW = Review(
    library="builtins",
    versions=">=3.11",
    types=(
        *(_container(name) for name in ("list", "dict", "set", "frozenset", "tuple")),
        TypeReview(
            "collections:defaultdict",
            ("builtins.dict",),
            ('builtin = "dict"',),
            make=None,
            only=frozenset(("__repr__",)),
            hashable=False,
        ),
        TypeReview("builtins:str", only=_text(str)),
        TypeReview("builtins:bytes", only=_text(bytes)),
        *(TypeReview(f"builtins:{name}", only=_ITERATOR) for name in ("map", "zip", "filter", "enumerate", "reversed")),
        *(TypeReview(f"types:{name}", only=_ITERATOR, make=None) for name in ("GeneratorType",)),
        *(
            TypeReview(f"proxyplane.catalogs.review_builtins:{name}", only=_ITERATOR, make=None)
            for name in (
                "LIST_ITERATOR",
                "TUPLE_ITERATOR",
                "DICT_KEY_ITERATOR",
                "DICT_ITEM_ITERATOR",
                "DICT_VALUE_ITERATOR",
                "SET_ITERATOR",
                "STR_ITERATOR",
                "RANGE_ITERATOR",
                "LIST_REVERSED",
                "DICT_KEYS_REVERSED",
                "DICT_ITEMS_REVERSED",
                "DICT_VALUES_REVERSED",
                "SEQUENCE_ITERATOR",
                "CALLABLE_ITERATOR",
                "ODICT_ITERATOR",
            )
        ),
        *(
            TypeReview(f"proxyplane.catalogs.review_builtins:{name}", only=_VIEW, make=None, hashable=False)
            for name in ("DICT_KEYS", "DICT_ITEMS", "DICT_VALUES", "ODICT_KEYS", "ODICT_ITEMS", "ODICT_VALUES")
        ),
        *(
            TypeReview(f"types:{name}", only=_NAMED, make=None)
            for name in (
                "FunctionType",
                "MethodType",
                "BuiltinFunctionType",
                "MethodWrapperType",
                "WrapperDescriptorType",
                "MethodDescriptorType",
                "ClassMethodDescriptorType",
                "MappingProxyType",
                "ModuleType",
            )
        ),
        TypeReview("builtins:type", only=_NAMED, make=None),
        TypeReview("re:Match", only=_MATCH, make=None),
        *(TypeReview(f"io:{name}", make=None, only=_BUFFER) for name in ("BytesIO", "StringIO")),
        TypeReview("builtins:BaseException", only=frozenset(("__repr__", "__str__", "__eq__", "__ne__", "__hash__"))),
    ),
    modules={},
    lines={
        **{
            f"{kind}.{name}": "method mutate"
            for kind in ("list", "dict", "set")
            for name in _CHANGING
            if not name.startswith("_")
        },
        **{f"list.{name}": "method compute mutate" for name in ("pop",)},
        **{f"dict.{name}": "method compute mutate" for name in ("pop", "popitem", "setdefault")},
        "set.pop": "method compute mutate",
        "Match.groupdict": "method compute fresh",
        # Not fresh: the copy is new, the containers inside are not.
        **{f"{kind}.copy": "method compute" for kind in ("list", "dict", "set", "frozenset")},
        ".__next__": "compute",
        **{
            f"{kind}.{name}": "method compute joins"
            for kind in ("BytesIO", "StringIO")
            for name in ("read", "readline", "getvalue")
        },
        **{f"{kind}.{name}": "method mutate compute" for kind in ("BytesIO", "StringIO") for name in _WRITTEN},
    },
    absent=frozenset(),
    params={},
    schema=frozenset(),
    fresh=frozenset(("split", "rsplit", "splitlines", "partition", "rpartition")),
)


class _Sequence:
    def __getitem__(self, at: int) -> int:
        raise IndexError


LIST_ITERATOR: type = type(iter([]))
TUPLE_ITERATOR: type = type(iter(()))
DICT_KEY_ITERATOR: type = type(iter({}))
DICT_ITEM_ITERATOR: type = type(iter({}.items()))
DICT_VALUE_ITERATOR: type = type(iter({}.values()))
SET_ITERATOR: type = type(iter(set()))
STR_ITERATOR: type = type(iter(""))
RANGE_ITERATOR: type = type(iter(range(0)))
SEQUENCE_ITERATOR: type = type(iter(_Sequence()))  # of a class with `__getitem__` alone
ODICT_ITERATOR: type = type(iter(OrderedDict()))
ODICT_KEYS: type = type(OrderedDict().keys())
ODICT_ITEMS: type = type(OrderedDict().items())
ODICT_VALUES: type = type(OrderedDict().values())
CALLABLE_ITERATOR: type = type(iter(int, 1))
LIST_REVERSED: type = type(reversed([]))
DICT_KEYS_REVERSED: type = type(reversed({}))
DICT_ITEMS_REVERSED: type = type(reversed({}.items()))
DICT_VALUES_REVERSED: type = type(reversed({}.values()))
DICT_KEYS: type = type({}.keys())
DICT_ITEMS: type = type({}.items())
DICT_VALUES: type = type({}.values())
