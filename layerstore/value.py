"""Frozen values for the path that starts a process, which makes few instances of each of some forty classes.

`Value` gives what ``@dataclass(frozen=True)`` gives (fields from annotations, defaults, equality, hash, repr,
immutability), slower for each instance and without compiling anything for a class. Everywhere else
`layerstore.dataclass` is the right tool.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, NoReturn, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Value:
    """Base of a value: each annotation of the subclass is a field, in order, its assignment the default.

    Raises ``TypeError`` for a missing, doubled or unknown argument and ``AttributeError`` on assignment.
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)

    def __init__(self, *arguments: object, **named: object) -> None:
        if len(arguments) > len(self._fields):
            raise TypeError(f"{type(self).__name__} takes {len(self._fields)} values, not {len(arguments)}")
        given = dict(zip(self._fields, arguments, strict=False))
        wrong = given.keys() & named.keys() | named.keys() - set(self._fields)
        given.update(named)
        missing = [name for name in self._fields if name not in given and not hasattr(type(self), name)]
        if wrong or missing:
            raise TypeError(f"{type(self).__name__}: wrong {sorted(wrong)}, missing {missing}")
        for name in self._fields:
            self.__dict__[name] = given[name] if name in given else getattr(type(self), name)
        self._check()

    def _check(self) -> None:
        """Called with all fields set; a subclass raises here for what cannot be one of its values."""

    def _values(self) -> tuple[object, ...]:
        return tuple(self.__dict__[name] for name in self._fields)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign {name}: {type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name}: {type(self).__name__} is frozen")
