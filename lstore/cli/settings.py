"""What the environment and the global options say: the only module that reads the environment."""

from __future__ import annotations

import io
import os
import sys

from layerstore.value import Value
from lstore.cli.terminal import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

_EMPTY: Mapping[str, str] = {}


class Settings(Value):
    """How one invocation is to work. None stands for the engine's own default."""

    root: str | None = None
    driver: str | None = None
    config: str | None = None
    log_level: str = "warning"
    is_debug: bool = False
    environment: Mapping[str, str] = _EMPTY
    """The environment, for proxies, credentials and docker's own variables."""


class Streams(Value):
    """Standard input, output and error."""

    stdin: BinaryIO
    out: Output
    err: Output


def environment() -> Mapping[str, str]:
    """The environment of this process, as a value that does not change."""
    return dict(os.environ)


def arm_crash_point(environment: Mapping[str, str]) -> None:
    """Let this process die at the crash point that LSTORE_CRASH_AT names, ``name`` or ``name:reach``, if it does.

    For tests alone: see `layerstore.disk.faults`.
    """
    wanted = environment.get("LSTORE_CRASH_AT", "")
    if wanted:
        from layerstore.disk import faults

        name, _, reach = wanted.rpartition(":")
        faults.arm(*((name, int(reach)) if reach.isdigit() else (wanted, 1)))


def streams() -> Streams:
    """The standard streams of this process; one that was closed is empty, or swallows what is written."""
    stdin = sys.stdin.buffer if sys.stdin is not None else open(os.devnull, "rb")  # noqa: SIM115  # for good
    return Streams(
        stdin,
        Output(sys.stdout if sys.stdout is not None else io.TextIOWrapper(io.BytesIO())),
        Output(sys.stderr if sys.stderr is not None else io.TextIOWrapper(io.BytesIO())),
    )
