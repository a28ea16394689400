"""The options of ``run`` and ``create``, as docker spells them, and the request that they make."""

from __future__ import annotations

from layerstore.errors import MissingFeature, UsageError
from lstore.cli.flags import Flag, Given
from lstore.cli.isolation_flags import ISOLATION_FLAGS, isolation_of
from lstore.cli.process_flags import (
    DETACH,
    DETACH_KEYS,
    ENV,
    ENV_FILE,
    INTERACTIVE,
    TTY,
    USER,
    WORKDIR,
    entries_of,
    variables,
)
from lstore.cli.quantities import parse_binary_size, parse_duration
from lstore.engine.containers.request import ContainerRequest, HealthRequest
from runner.container import JSON_FILE, MAX_LOG_FILES, MAX_LOG_SIZE, NO_LOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from layerstore.oci.platform import Platform
    from lstore.engine.containers.request import Policy

POLICIES = ("missing", "always", "never")
_STREAMS = ("stdin", "stdout", "stderr")
_LOG_OPTIONS = ("max-size", "max-file")

SIG_PROXY = Flag(
    ("--sig-proxy/--no-sig-proxy",), "sig_proxy", "switch", "Pass signals on to the container", is_on=True
)

CREATE_FLAGS: tuple[Flag, ...] = (
    Flag(("-a", "--attach"), "attach", "list", "Join STDIN, STDOUT or STDERR alone", metavar="STREAM"),
    Flag(("--cidfile",), "cidfile", "text", "Write the container's id to a file", metavar="FILE"),
    Flag(("--entrypoint",), "entrypoint", "text", "Run this instead of the image's entrypoint", metavar="STRING"),
    ENV,
    ENV_FILE,
    Flag(("--health-cmd",), "health_cmd", "text", "The command that checks the health", metavar="STRING"),
    Flag(("--health-interval",), "health_interval", "text", "Time between checks", metavar="TIME"),
    Flag(("--health-retries",), "health_retries", "number", "Failures in a row that make it unhealthy"),
    Flag(
        ("--health-start-interval",), "health_start_interval", "text", "Time between checks while it starts",
        metavar="TIME",
    ),
    Flag(
        ("--health-start-period",), "health_start_period", "text",
        "Time for starting, in which failures do not count", metavar="TIME",
    ),
    Flag(("--health-timeout",), "health_timeout", "text", "How long a check may take", metavar="TIME"),
    Flag(("-h", "--hostname"), "hostname", "text", "The host name inside", metavar="STRING"),
    Flag(("--init",), "init", "switch", "Have an init inside that passes signals on and reaps processes"),
    INTERACTIVE,
    Flag(("-l", "--label"), "label", "list", "Set a label", metavar="KEY[=VALUE]"),
    Flag(("--label-file",), "label_file", "list", "Read labels from a file", metavar="FILE"),
    Flag(("--log-driver",), "log_driver", "text", "Keep what it writes: json-file, or none", metavar="NAME"),
    Flag(("--log-opt",), "log_opt", "list", "Bound the log: max-size=SIZE, max-file=N", metavar="KEY=VALUE"),
    Flag(("--name",), "name", "text", "The container's name", metavar="STRING"),
    Flag(("--network", "--net"), "network", "text", "The network inside: none, host, container:NAME", metavar="MODE"),
    Flag(("--no-healthcheck",), "no_healthcheck", "switch", "Do not check the health as the image says"),
    Flag(("--platform",), "platform", "text", "The platform to take, instead of this machine's", metavar="OS/ARCH"),
    Flag(("--pull",), "pull", "text", "When to pull the image", choices=POLICIES, default=POLICIES[0]),
    Flag(("-q", "--quiet"), "quiet", "switch", "Show no progress of a pull"),
    Flag(("--read-only",), "read_only", "switch", "Let nothing be written to the root filesystem"),
    Flag(
        ("--restart",), "restart", "text",
        "When to start it again: no, on-failure[:MOST], always, unless-stopped", metavar="POLICY",
    ),
    Flag(("--rm",), "rm", "switch", "Remove the container when it ends"),
    Flag(("--stop-signal",), "stop_signal", "text", "The signal that asks it to end", metavar="SIGNAL"),
    Flag(("--stop-timeout",), "stop_timeout", "number", "Seconds until it is then killed; 10 unless given"),
    TTY,
    USER,
    WORKDIR,
    *ISOLATION_FLAGS,
)  # fmt: skip
RUN_FLAGS: tuple[Flag, ...] = (*CREATE_FLAGS, DETACH, DETACH_KEYS, SIG_PROXY)


def request_of(
    given: Given, image: str, command: Sequence[str], environment: Mapping[str, str], *, is_detached: bool
) -> ContainerRequest:
    """The container that the options `given` ask for. Raises `UsageError`, `StorageError` for files that they name."""
    driver = _log_driver(given)
    size, files = _log_bounds(given.texts("log_opt"))
    return ContainerRequest(
        image=image,
        command=tuple(command),
        name=given.text("name"),
        entrypoint=given.text("entrypoint"),
        env=tuple(variables(given, environment)),
        cwd=given.text("workdir"),
        user=given.text("user"),
        hostname=given.text("hostname"),
        network=given.text("network") or "none",
        is_read_only=given.is_on("read_only"),
        platform=_platform(given.text("platform")),
        pull=_policy(given.text("pull")),
        has_terminal=given.is_on("tty"),
        has_input=given.is_on("interactive"),
        is_detached=is_detached,
        attached=_attached(given, is_detached=is_detached),
        is_removed_at_end=given.is_on("rm"),
        has_init=given.is_on("init"),
        labels=dict(_labels(given)),
        stop_signal=given.text("stop_signal"),
        stop_timeout=given.number("stop_timeout"),
        restart=given.text("restart") or "no",
        log_driver=driver,
        log_size=size,
        log_files=files,
        health=_health(given),
        isolation=isolation_of(given),
    )


def _health(given: Given) -> HealthRequest:
    return HealthRequest(
        command=given.text("health_cmd"),
        interval=_duration(given.text("health_interval")),
        timeout=_duration(given.text("health_timeout")),
        start_period=_duration(given.text("health_start_period")),
        start_interval=_duration(given.text("health_start_interval")),
        retries=given.number("health_retries"),
        is_off=given.is_on("no_healthcheck"),
    )


def _policy(text: str | None) -> Policy:
    match text:
        case "always" | "never":
            return text
    return "missing"


def _duration(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


def _platform(text: str | None) -> Platform | None:
    if text is None:
        return None
    from layerstore.oci.platform import Platform

    return Platform.parse(text)


def _labels(given: Given) -> Iterable[tuple[str, str]]:
    for entry in (*entries_of(given.texts("label_file")), *given.texts("label")):
        name, _, value = entry.partition("=")
        if not name:
            raise UsageError(f"invalid label: {entry!r}")
        yield name, value


def _attached(given: Given, *, is_detached: bool) -> tuple[str, ...]:
    """The streams to be joined, by docker's rules: both outputs if none is named, and the input with ``-i``."""
    named = [text.lower() for text in given.texts("attach")]
    if is_detached:
        if named:
            raise UsageError("conflicting options: -a and -d")
        return ()
    for name in named:
        if name not in _STREAMS:
            raise UsageError(f"cannot attach to {name[:40]!r}: valid streams are STDIN, STDOUT and STDERR")
    wanted = [*(named or ("stdout", "stderr")), *(("stdin",) if given.is_on("interactive") else ())]
    return tuple(name for name in _STREAMS if name in wanted)


def _log_driver(given: Given) -> str:
    driver = given.text("log_driver") or JSON_FILE
    if driver not in (JSON_FILE, NO_LOG):
        raise MissingFeature(f"cannot log with {driver[:40]!r}: there are {JSON_FILE} and {NO_LOG}")
    if driver == NO_LOG and given.texts("log_opt"):
        raise UsageError("invalid logging opts for driver none", hint="leave out --log-opt")
    return driver


def _log_bounds(options: Sequence[str]) -> tuple[int, int]:
    """Bytes of one log file, and how many there are."""
    size, files = MAX_LOG_SIZE, MAX_LOG_FILES
    for option in options:
        name, _, value = option.partition("=")
        if name == "max-size":
            size = parse_binary_size(value)
        elif name == "max-file" and value.isascii() and value.isdigit() and int(value):
            files = int(value)
        else:
            raise UsageError(f"invalid log option {option[:80]!r}: there are {', '.join(_LOG_OPTIONS)}")
    return size, files
