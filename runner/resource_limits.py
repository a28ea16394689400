"""Resource limits of a container's processes: setrlimit(2)."""

from __future__ import annotations

import resource

from layerstore.errors import MissingFeature, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.confinement import ResourceLimit


def number_of(name: str) -> int:
    """The RLIMIT_* constant of ``NOFILE``. Raises `UsageError`."""
    number = getattr(resource, f"RLIMIT_{name}", None)
    if not isinstance(number, int):
        raise UsageError(f"invalid resource limit {name.lower()[:40]!r}", hint="man 2 setrlimit")
    return number


def apply(limits: Iterable[ResourceLimit]) -> None:
    """Set `limits` for the calling process.

    Raises `MissingFeature` where one is over the hard limit and CAP_SYS_RESOURCE is not there.
    """
    for limit in limits:
        number = number_of(limit.name)
        try:
            resource.setrlimit(number, (limit.soft, limit.hard))
        except (OSError, ValueError) as error:
            most = resource.getrlimit(number)[1]
            raise MissingFeature(
                f"cannot raise the limit {limit.name.lower()} to {limit.hard}: {most} is the most here"
                " without CAP_SYS_RESOURCE"
            ) from error
