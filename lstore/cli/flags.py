"""Options as data: read by click for help, completion and errors, and by whoever can do without click.

On the path that starts a container: nothing heavy is imported here.
"""

from __future__ import annotations

from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Kind = Literal["switch", "text", "number", "list"]


class Flag(Value):
    """One option. `name` is what its value is called in the mapping that a parser makes.

    A "switch" is True or False; "text" and "number" are None where they are not given, unless `default`
    says otherwise; a "list" may be given several times.
    """

    spellings: tuple[str, ...]
    name: str
    kind: Kind
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default: str | int | None = None
    is_on: bool = False
    """What a switch is where it is not given."""


class Given:
    """What a parser made of the options: values by `Flag.name`, each taken as the kind that it is."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def is_on(self, name: str) -> bool:
        """A "switch"."""
        return self._values[name] is True

    def text(self, name: str) -> str | None:
        """A "text"; None where it was not given."""
        value = self._values[name]
        return value if isinstance(value, str) else None

    def number(self, name: str) -> int | None:
        """A "number"; None where it was not given."""
        value = self._values[name]
        return value if isinstance(value, int) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """A "list"."""
        value = self._values[name]
        return tuple(value) if isinstance(value, (tuple, list)) else ()
