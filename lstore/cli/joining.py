"""How our streams are joined with a container's, as options say."""

from __future__ import annotations

from lstore.engine.containers.joining import Joining
from runner.keys import DEFAULT, parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.cli.flags import Given


def joining_of(given: Given, *, sends_input: bool) -> Joining:
    """How our streams are joined with a container's. Raises `UsageError` for keys that are none."""
    keys = given.text("detach_keys")
    return Joining(sends_input, given.is_on("sig_proxy"), parse_keys(DEFAULT if keys is None else keys))
