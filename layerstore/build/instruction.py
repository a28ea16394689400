"""The instructions of the Dockerfile language, as values: valid by themselves, variables not yet expanded.

`interpret` makes them from statements, `expand_instruction` puts variables in.
"""

from typing import Literal

from layerstore.build.mount import Mount
from layerstore.build.source import Position
from layerstore.build.statement import Statement
from layerstore.dataclass import dataclass, field

Network = Literal["default", "none", "host"]
Security = Literal["sandbox", "insecure"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all instructions have: the statement they are from, which takes no part in comparisons."""

    origin: Statement = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The keyword in upper case."""
        return self.origin.name

    @property
    def position(self) -> Position:
        """Where it stands in its file."""
        return self.origin.position


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The arguments of RUN, CMD and ENTRYPOINT."""

    arguments: tuple[str, ...]
    is_shell: bool
    """Whether a shell is to be put before them: there is one argument at most then."""

    def with_shell(self, shell: tuple[str, ...]) -> tuple[str, ...]:
        """What is to be executed, `shell` being the stage's."""
        return (*shell, " ".join(self.arguments)) if self.is_shell else self.arguments


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A heredoc's content as a file."""

    name: str
    content: str
    expands: bool = False
    """Whether variables in the content are still to be put in."""


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """``FROM [--platform=P] IMAGE [AS NAME]``."""

    image: str
    alias: str = ""
    """The stage's name in lower case; empty where it has none."""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """``key=value`` of ENV or LABEL."""

    key: str
    value: str
    has_equals: bool = field(default=True, compare=False)
    """Not so in the old form ``ENV key value``."""


@dataclass(frozen=True, slots=True)
class Pairs(Instruction):
    """What ENV and LABEL have in common."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Env(Pairs):
    """``ENV key=value …``."""


@dataclass(frozen=True, slots=True)
class Label(Pairs):
    """``LABEL key=value …``."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One ``name[=default]`` of ARG."""

    key: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """``ARG name[=default] …``."""

    declarations: tuple[Declaration, ...]


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """``RUN``. `inline` are the heredocs that the shell is to read, unless `script` holds the only one."""

    command: CommandLine
    mount_flags: tuple[str, ...] = ()
    """As written."""
    mounts: tuple[Mount, ...] = ()
    """Until variables are expanded, without the fields that hold some."""
    network: Network = "default"
    security: Security = "sandbox"
    script: InlineFile | None = None
    """A heredoc that starts with ``#!``: to be there as ``/dev/pipes/NAME``, which `command` executes."""


@dataclass(frozen=True, slots=True)
class Transfer(Instruction):
    """What COPY and ADD have in common."""

    sources: tuple[str, ...]
    destination: str
    inline: tuple[InlineFile, ...] = ()
    chown: str = ""
    chmod: str = ""
    is_linked: bool = False
    """``--link``: the layer does not depend on what is below it."""
    exclude: tuple[str, ...] = ()
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Copy(Transfer):
    """``COPY``."""

    source_stage: str = ""
    """``--from``: a stage's name or number, an image or a named context; empty for the build context."""


@dataclass(frozen=True, slots=True)
class Add(Transfer):
    """``ADD``."""

    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    """None: local archives are unpacked, downloads are not."""


@dataclass(frozen=True, slots=True)
class DefaultCommand(Instruction):
    """What CMD and ENTRYPOINT have in common: a command line that containers start with."""

    command: CommandLine


@dataclass(frozen=True, slots=True)
class Cmd(DefaultCommand):
    """``CMD``."""


@dataclass(frozen=True, slots=True)
class Entrypoint(DefaultCommand):
    """``ENTRYPOINT``."""


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """``EXPOSE port[/protocol] …``, sorted; not yet checked, as variables may stand for several."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """``USER``."""

    user: str


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """``VOLUME``."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """``WORKDIR``."""

    path: str


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """``SHELL``: what goes before the shell form of RUN, CMD and ENTRYPOINT."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """``STOPSIGNAL``."""

    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """``HEALTHCHECK``. Times in nanoseconds; 0 leaves the choice to who runs the container."""

    test: tuple[str, ...]
    """``NONE``, ``CMD`` and arguments, or ``CMD-SHELL`` and a command line."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """``MAINTAINER``, deprecated."""

    author: str


@dataclass(frozen=True, slots=True)
class OnBuild(Instruction):
    """``ONBUILD``: an instruction for the builds that start from this image."""

    trigger: str
    """The instruction as written, heredocs included."""
    instruction: Instruction
