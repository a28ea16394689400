"""One decision about a control group, as a value: what `runner.cgroups.group` writes where."""

from __future__ import annotations

from layerstore.value import Value


class Write(Value):
    """`choices` holds (file, text): the first file that the group of `controller` has gets its text.

    `purpose` completes "cannot …" where there is none of them. One that is not `is_asked` follows from a default
    and is left out silently there.
    """

    controller: str
    choices: tuple[tuple[str, str], ...]
    purpose: str
    is_asked: bool = True


def one(controller: str, file: str, text: str, purpose: str) -> Write:
    """The write to a file that has the same name everywhere."""
    return Write(controller, ((file, text),), purpose)
