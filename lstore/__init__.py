"""The application: `engine` is the typed public API, `cli` the command line over it.

import lstore
from layerstore.oci.reference import Reference
from lstore.engine.pull import pull

engine = lstore.open("/srv/images")
pull(engine, Reference.parse("debian"))
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not free, and `lstore run` imports this module
    from collections.abc import Mapping

    from lstore.engine.engine import Engine


def open(  # noqa: A001  # reads as lstore.open
    root: str | None = None,
    *,
    driver: str | None = None,
    config: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Engine:
    """The engine over the store at `root`; without one, over the user's own (docs/architecture.md).

    `driver` is a name that ``lstore info`` lists, or None for the best; `config` a TOML file; `environment`
    what proxies, credentials and the default root are read from. Touches nothing of the store yet. Raises `UsageError`,
    for a `driver` or a `config` that is none, too, whether or not it will be needed.
    """
    import os  # noqa: PLC0415  # see above: light

    from lstore.engine.engine import Engine, default_root  # noqa: PLC0415  # likewise

    known = environment or {}
    if driver is not None:
        from layerstore.snapshot.choice import check_name  # noqa: PLC0415  # likewise

        check_name(driver)
    if config is not None:
        from lstore.engine.configuration import read_settings  # noqa: PLC0415  # likewise

        read_settings(config, known)
    place = root or default_root(os.geteuid(), known)
    return Engine(os.path.abspath(place), driver, config, known)
