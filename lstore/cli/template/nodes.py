"""The parsed form of a template: frozen values without behaviour. `offset` points into the source."""

from collections.abc import Mapping, Sequence

from layerstore.dataclass import dataclass

Value = None | bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"]
"""What templates compute with: the same shapes as JSON."""
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, ``true``, ``false`` or ``nil``."""

    value: Value


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name``; ``$`` alone is the data the whole template was given."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``, the present data."""


@dataclass(frozen=True, slots=True)
class Fields:
    """``base.A.B``."""

    base: "Operand"
    path: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments; a pipeline adds one more at the end."""

    function: str
    arguments: tuple["Operand", ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each fed the result of the one before it."""

    commands: tuple["Operand", ...]


Operand = Constant | Variable | Dot | Fields | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Text that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """``{{pipeline}}``."""

    pipeline: Pipeline
    offset: int


@dataclass(frozen=True, slots=True)
class Assign:
    """``{{$name := pipeline}}``, or ``=`` for one declared before."""

    name: str
    pipeline: Pipeline
    is_declaration: bool
    offset: int


@dataclass(frozen=True, slots=True)
class If:
    """``{{if}}``; with `rebinds`, ``{{with}}``."""

    condition: Pipeline
    then: tuple["Node", ...]
    orelse: tuple["Node", ...]
    rebinds: bool


@dataclass(frozen=True, slots=True)
class Range:
    """``{{range}}``; `names` are its zero, one (element) or two (key, element) variables."""

    names: tuple[str, ...]
    over: Pipeline
    body: tuple["Node", ...]
    orelse: tuple["Node", ...]
    offset: int


Node = Text | Output | Assign | If | Range
