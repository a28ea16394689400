"""The image that a stage has become so far, without its layers: configuration and history.

Every instruction makes a new state; what it does is docker's: ENTRYPOINT resets an inherited CMD, WORKDIR
is relative to the one before, ENV replaces in place. OCI image-spec config.md, docker's image spec v1.3.
"""

import posixpath
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from layerstore.build.arguments import go_variant
from layerstore.build.go_text import parse_natural
from layerstore.build.instruction import (
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from layerstore.build.paths import clean
from layerstore.build.ports import parse_port
from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import InvalidInput
from layerstore.oci.config import MAX_STRINGS, ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, Object, as_text, child, items
from layerstore.oci.platform import Platform

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL: Final = ("/bin/sh", "-c")
HISTORY_COMMENT: Final = "buildkit.dockerfile.v0"
"""By which other tools tell that a history entry is a Dockerfile's line."""
_MAX_SIGNAL: Final = 64
_SIGNALS: Final = frozenset(
    {each.name.removeprefix("SIG") for each in signal.Signals}
    | {f"RTMIN+{offset}" for offset in range(1, 16)}
    | {f"RTMAX-{offset}" for offset in range(1, 15)}
)
"""signal(7), real-time ones by the offsets that glibc leaves."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one instruction leaves in the history."""

    created_by: str
    has_layer: bool


@dataclass(frozen=True, slots=True)
class ImageState:
    """Everything about an image but its layers and times."""

    platform: Platform
    author: str = ""
    user: str = ""
    env: tuple[str, ...] = ()
    """``KEY=value``."""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    exposed_ports: frozenset[str] = frozenset()
    shell: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Object = field(default_factory=dict)
    on_build: tuple[str, ...] = ()
    base_history: tuple[Json, ...] = ()
    """The base image's, word for word."""
    history: tuple[HistoryEntry, ...] = ()

    @classmethod
    def scratch(cls, platform: Platform) -> "ImageState":
        """The empty image, with what BuildKit gives it."""
        return cls(platform, env=(f"PATH={DEFAULT_PATH}",), working_dir="/")

    @classmethod
    def of_image(cls, config: ImageConfig) -> "ImageState":
        """A base image's. Raises `InvalidDocument`."""
        source, defaults = child(config.document, "config"), config.defaults
        history = config.document.get("history")
        return cls(
            platform=config.platform,
            author=config.author,
            user=defaults.user,
            env=defaults.env,
            entrypoint=defaults.entrypoint,
            cmd=defaults.cmd,
            working_dir=defaults.working_dir,
            labels=defaults.labels or {},
            volumes=frozenset(defaults.volumes),
            exposed_ports=frozenset(defaults.exposed_ports),
            shell=items(source, "Shell", as_text, limit=MAX_STRINGS),
            stop_signal=defaults.stop_signal,
            healthcheck=child(source, "Healthcheck"),
            on_build=items(source, "OnBuild", as_text, limit=MAX_STRINGS),
            base_history=tuple(history) if isinstance(history, list) else (),
        )

    def as_base(self) -> "ImageState":
        """The state that a stage on top starts with: a PATH is always there, triggers have fired."""
        has_path = any(each.partition("=")[0] == "PATH" for each in self.env)
        env = self.env if has_path or self.platform.os == "windows" else (*self.env, f"PATH={DEFAULT_PATH}")
        return replace(self, env=env, on_build=())

    @property
    def command_shell(self) -> tuple[str, ...]:
        """What goes before the shell form of RUN, CMD and ENTRYPOINT."""
        return self.shell or DEFAULT_SHELL

    def variables(self) -> dict[str, str]:
        """The environment by name."""
        pairs = (each.partition("=") for each in self.env)
        return {key: value for key, _, value in pairs}

    def resolve(self, path: str) -> str:
        """`path` below the working directory, made absolute and clean; a slash at its end stays."""
        absolute = clean(posixpath.join("/", self.working_dir, path))
        return f"{absolute}/" if path.endswith("/") and absolute != "/" else absolute

    def record(self, created_by: str, *, has_layer: bool = False) -> "ImageState":
        """The state with one more entry of history."""
        return replace(self, history=(*self.history, HistoryEntry(created_by, has_layer)))

    def document(
        self, *, base: Sequence[Digest], layers: Sequence[Digest | None], created: str
    ) -> dict[str, Json]:
        """The image configuration, to be encoded by `layerstore.oci.document.dump`.

        `base` are the base image's diff_ids, `layers` has one of our own for each step that makes a layer,
        None where it changed nothing; `created` is RFC 3339, and empty where it is to be left out.
        """
        diff_ids = [str(each) for each in (*base, *layers) if each is not None]
        platform = replace(self.platform, variant=go_variant(self.platform))
        top: dict[str, Json] = {
            **platform.to_json(),
            "config": self._config(),
            "history": [*self.base_history, *self._history(layers, created)],
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        if created:
            top["created"] = created
        if self.author:
            top["author"] = self.author
        return top

    def _history(self, layers: Sequence[Digest | None], created: str) -> Iterable[Json]:
        made = iter(layers)
        for entry in self.history:
            shown: dict[str, Json] = {"created_by": entry.created_by, "comment": HISTORY_COMMENT}
            if created:
                shown["created"] = created
            if not entry.has_layer or next(made) is None:
                shown["empty_layer"] = True
            yield shown

    def _config(self) -> dict[str, Json]:
        values: dict[str, Json] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.working_dir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": dict(self.healthcheck),
            "Shell": list(self.shell),
            "OnBuild": list(self.on_build),
        }
        return {key: value for key, value in values.items() if value}


def apply_metadata(state: ImageState, instruction: Instruction, *, has_own_cmd: bool) -> ImageState:
    """`state` after an expanded instruction that changes nothing but metadata; history is `record`'s.

    `has_own_cmd` says whether this stage has set CMD already, which an ENTRYPOINT then leaves alone.
    Raises `InvalidInput` for ports and signals that are none.
    """
    match instruction:
        case Env():
            return replace(
                state, env=_merged(state.env, ((pair.key, pair.value) for pair in instruction.pairs))
            )
        case Label():
            return replace(
                state, labels={**state.labels, **{pair.key: pair.value for pair in instruction.pairs}}
            )
        case Cmd():
            return replace(state, cmd=instruction.command.with_shell(state.command_shell))
        case Entrypoint():
            entrypoint = instruction.command.with_shell(state.command_shell)
            return replace(state, entrypoint=entrypoint, cmd=state.cmd if has_own_cmd else ())
        case Workdir():
            return replace(state, working_dir=clean(posixpath.join("/", state.working_dir, instruction.path)))
        case User():
            return replace(state, user=instruction.user)
        case Shell():
            return replace(state, shell=instruction.arguments)
        case Maintainer():
            return replace(state, author=instruction.author)
        case OnBuild():
            return replace(state, on_build=(*state.on_build, instruction.trigger))
    return _apply_runtime(state, instruction)


def _apply_runtime(state: ImageState, instruction: Instruction) -> ImageState:
    """The instructions about how a container is to run."""
    match instruction:
        case Expose():
            ports = (port for text in instruction.ports for port in parse_port(text).ports())
            return replace(state, exposed_ports=state.exposed_ports.union(ports))
        case Volume():
            return replace(state, volumes=state.volumes.union(instruction.paths))
        case StopSignal():
            _check_signal(instruction.signal)
            return replace(state, stop_signal=instruction.signal)
        case Healthcheck():
            return replace(state, healthcheck=healthcheck_of(instruction))
    return state


def _merged(env: tuple[str, ...], pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    merged = {each.partition("=")[0]: each for each in env}
    for key, value in pairs:
        merged[key] = f"{key}={value}"
    return tuple(merged.values())


def _check_signal(text: str) -> None:
    if not parse_natural(text, _MAX_SIGNAL) and text.upper().removeprefix("SIG") not in _SIGNALS:
        raise InvalidInput(f"invalid signal: {text}")


def healthcheck_of(instruction: Healthcheck) -> Object:
    """What an image configuration says of it: docker's image-spec v1.2, ``Healthcheck``."""
    values: dict[str, Json] = {
        "Test": list(instruction.test),
        "Interval": instruction.interval,
        "Timeout": instruction.timeout,
        "StartPeriod": instruction.start_period,
        "StartInterval": instruction.start_interval,
        "Retries": instruction.retries,
    }
    return {key: value for key, value in values.items() if value}
