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

    @property
    def unset(self) -> object:
        """The value of one that was not given."""
        return self.is_on if self.kind == "switch" else () if self.kind == "list" else self.default


_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}


def truth(text: str) -> bool | None:
    """What `text` says of a switch, as in ``--sig-proxy=false``: Go's spellings, which docker takes; else None."""
    return _TRUTHS.get(text)


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


FILTER = Flag(("-f", "--filter"), "filters", "list", "Show those that pass KEY=VALUE", metavar="FILTER")
FORMAT = Flag(
    ("--format",),
    "form",
    "text",
    "Show as 'table', 'table TEMPLATE', 'json', or by a Go template",
    metavar="STRING",
)
PLATFORM = Flag(
    ("--platform",), "platform", "text", "The platform to take, instead of this machine's", metavar="OS/ARCH"
)
ALL_PLATFORMS = Flag(("--all-platforms",), "all_platforms", "switch", "Take the images of every platform")
NO_TRUNC = Flag(("--no-trunc",), "no_trunc", "switch", "Do not shorten what is shown")

LOG_LEVELS = ("debug", "info", "warning", "error")
GLOBAL_FLAGS: tuple[Flag, ...] = (
    Flag(
        ("--root",),
        "root",
        "text",
        "Where the store is, instead of LSTORE_ROOT or the default",
        metavar="DIR",
    ),
    Flag(
        ("--config",),
        "config",
        "text",
        "The configuration file, instead of LSTORE_CONFIG or the default",
        metavar="FILE",
    ),
    Flag(("--driver",), "driver", "text", "How layers are kept, instead of the best way", metavar="NAME"),
    Flag(("-D", "--debug"), "debug", "switch", "Log everything, and show tracebacks"),
    Flag(("-l", "--log-level"), "log_level", "text", "What to log", choices=LOG_LEVELS, default="warning"),
)
"""The options before the command, but for ``--version`` and ``--help``, which are click's to answer."""


def global_defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment says where those options do not, by name."""
    variables = {"root": "LSTORE_ROOT", "config": "LSTORE_CONFIG"}
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}
