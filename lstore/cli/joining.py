"""How our streams are joined with a container's, as options say."""

from __future__ import annotations

from lstore.engine.containers.joining import Joining
from runner import wire
from runner.keys import DEFAULT, parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lstore.cli.flags import Given


_OUTPUTS = {"stdout": wire.OUTPUT, "stderr": wire.ERRORS}


def joining_of(given: Given, *, sends_input: bool, streams: Iterable[str] = _OUTPUTS) -> Joining:
    """How our streams, of the outputs those among `streams`, are joined with a container's.

    Raises `UsageError` for keys that are none.
    """
    keys = given.text("detach_keys")
    outputs = b"".join(_OUTPUTS[name] for name in streams if name in _OUTPUTS)
    detach_keys = parse_keys(DEFAULT if keys is None else keys)
    return Joining(sends_input, given.is_on("sig_proxy"), detach_keys, outputs)
