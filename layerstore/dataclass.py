"""``dataclasses.dataclass``, as far as this project needs it, made in a tenth of the time.

The standard library compiles seven methods for each class when its module is imported: for the hundred classes of
a build, most of which a build makes no instance of, a third of all that a cached one does. Here methods are shared,
and only ``__init__`` is compiled, when it is first called. To type checkers it is the standard library's, whose
``fields``, ``replace`` and ``is_dataclass`` take these classes as their own.
"""

from __future__ import annotations

from operator import attrgetter, ge, gt, le, lt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - it is to be had from here
    from dataclasses import field as field  # noqa: PLC0414
    from dataclasses import replace as replace  # noqa: PLC0414
    from typing import NoReturn

__all__ = ["dataclass", "field", "replace"]

_MISSING = object()
_FIELDS = "__lstore_fields__"
_ORDER = {"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge}


class _Field:
    """One field, as `field` or an assignment in the class says."""

    __slots__ = ("compare", "default", "factory", "repr", "type")

    def __init__(
        self,
        default: object = _MISSING,
        default_factory: Callable[[], object] | None = None,
        *,
        repr: bool = True,  # noqa: A002 - the standard library's name
        compare: bool = True,
    ) -> None:
        self.default = default
        self.factory = default_factory
        self.repr = repr
        self.compare = compare
        self.type: object = None


def _dataclass(*, frozen: bool = False, slots: bool = False, order: bool = False) -> Callable[[type], type]:
    """A decorator. Fields are the annotations, also of base classes; all are compared and shown in their order."""

    def decorate(cls: type) -> type:
        fields: dict[str, _Field] = {}
        for base in cls.__mro__[:0:-1]:
            fields.update(base.__dict__.get(_FIELDS, {}))
        own = _own_fields(cls)
        fields.update(own)
        methods = _methods(fields, is_frozen=frozen, has_order=order)
        for name, value in methods.items():
            if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
                setattr(cls, name, value)
        return _with_slots(cls, own) if slots else cls

    return decorate


def _own_fields(cls: type) -> dict[str, _Field]:
    """The fields that `cls` itself has; what they are by default stays in the class."""
    own: dict[str, _Field] = {}
    for name, kind in vars(cls).get("__annotations__", {}).items():
        said = cls.__dict__.get(name, _MISSING)
        made = said if isinstance(said, _Field) else _Field(said)
        made.type = kind
        own[name] = made
        if made is said and made.default is _MISSING:
            delattr(cls, name)
        elif made is said:
            setattr(cls, name, made.default)
    return own


def _methods(fields: dict[str, _Field], *, is_frozen: bool, has_order: bool) -> Mapping[str, object]:
    """What the class gets, by name."""
    compared = _values([name for name, each in fields.items() if each.compare])
    shown = [name for name, each in fields.items() if each.repr]

    def initialize(self: object, *arguments: object, **named: object) -> None:
        compiled = _compile(fields, type(self), is_frozen=is_frozen)
        for cls in type(self).__mro__:
            if cls.__dict__.get("__init__") is initialize:
                cls.__init__ = compiled  # type: ignore[misc]  # from the next instance on
        compiled(self, *arguments, **named)

    def show(self: object) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({values})"

    def is_equal(self: object, other: object) -> bool:
        return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

    def digest(self: object) -> int:
        return hash(compared(self))

    methods: dict[str, object] = {
        _FIELDS: fields,
        "__dataclass_fields__": _StandardFields(),
        "__match_args__": tuple(fields),
        "__init__": initialize,
        "__repr__": show,
        "__eq__": is_equal,
        "__hash__": digest if is_frozen else None,
    }
    if is_frozen:
        methods.update(__setattr__=_refuse, __delattr__=_refuse)
    if has_order:
        methods.update({name: _ordering(function, compared) for name, function in _ORDER.items()})
    return methods


def _values(names: list[str]) -> Callable[[object], tuple[object, ...]]:
    """A function that gives these attributes of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _ordering(
    function: Callable[..., bool], values: Callable[[object], tuple[object, ...]]
) -> Callable[[object, object], bool]:
    def compare(self: object, other: object) -> bool:
        return function(values(self), values(other)) if type(other) is type(self) else NotImplemented

    return compare


def _refuse(self: object, name: str, *_value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - nobody does that but by mistake

    raise FrozenInstanceError(f"cannot change field {name!r}")


def _compile(fields: Mapping[str, _Field], cls: type, *, is_frozen: bool) -> Callable[..., None]:
    """The ``__init__`` that has these parameters."""
    known: dict[str, object] = {"_set": object.__setattr__, "_MISSING": _MISSING}
    parameters, body = ["self"], []
    for name, each in fields.items():
        default, value = "", name
        if each.factory is not None:
            known[f"_make_{name}"] = each.factory
            default, value = "=_MISSING", f"_make_{name}() if {name} is _MISSING else {name}"
        elif each.default is not _MISSING:
            known[f"_default_{name}"] = each.default
            default = f"=_default_{name}"
        parameters.append(f"{name}{default}")
        body.append(f"_set(self, {name!r}, {value})" if is_frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    text = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(body or ["pass"])
    exec(text, known)  # noqa: S102 - names of our own fields
    compiled: Callable[..., None] = known["__init__"]  # type: ignore[assignment]  # what exec has defined
    compiled.__qualname__ = f"{cls.__qualname__}.__init__"
    return compiled


def _with_slots(cls: type, own: Mapping[str, _Field]) -> type:
    """`cls` again, with its own fields in slots instead of a dictionary."""
    namespace = {name: value for name, value in cls.__dict__.items() if name not in own}
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    namespace["__slots__"] = tuple(own)
    namespace.setdefault("__getstate__", _state)
    namespace.setdefault("__setstate__", _set_state)
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


def _state(self: object) -> list[object]:
    return [getattr(self, name) for name in getattr(type(self), _FIELDS)]


def _set_state(self: object, state: list[object]) -> None:
    for name, value in zip(getattr(type(self), _FIELDS), state, strict=True):
        object.__setattr__(self, name, value)


class _StandardFields:
    """``__dataclass_fields__``, made when the standard library first asks for it."""

    def __get__(self, _instance: object, owner: type) -> Mapping[str, object]:
        import dataclasses  # noqa: PLC0415 - few do ask

        fields: Mapping[str, _Field] = getattr(owner, _FIELDS)
        standard = dataclasses.make_dataclass(
            owner.__name__, [(name, each.type or object, _standard(each)) for name, each in fields.items()]
        )
        made: Mapping[str, object] = standard.__dict__["__dataclass_fields__"]
        owner.__dataclass_fields__ = made  # type: ignore[attr-defined]  # from now on
        return made


def _standard(each: _Field) -> object:
    """The standard library's field that says the same."""
    import dataclasses  # noqa: PLC0415 - see `_StandardFields`

    if each.factory is not None:
        return dataclasses.field(default_factory=each.factory, repr=each.repr, compare=each.compare)
    if each.default is not _MISSING:
        return dataclasses.field(default=each.default, repr=each.repr, compare=each.compare)
    return dataclasses.field(repr=each.repr, compare=each.compare)


def _replace(value: object, /, **changes: object) -> object:
    """Another one with these changes."""
    kept = {name: getattr(value, name) for name in getattr(type(value), _FIELDS) if name not in changes}
    return type(value)(**kept, **changes)


if not TYPE_CHECKING:
    dataclass, field, replace = _dataclass, _Field, _replace
