"""The entry point, ``lstore`` and ``python -m lstore``."""

import gc
import sys

from lstore import bytecode

_STARTING = frozenset({"restart", "run", "start"})
"""Commands that need a monitor. Where the word means something else, one starts in vain, and ends at once."""

_COLLECT_AFTER = 50_000
"""New objects until Python looks for cycles; at its own 700, imports and documents are walked again and again."""


def main() -> None:
    """Run the command that the process was given, and exit with its status."""
    bytecode.use()
    if not _STARTING.isdisjoint(sys.argv):
        # First of all: its copy of this process is to be small, and what it imports comes on another processor.
        from lstore.engine.containers.standby import call_up  # noqa: PLC0415

        call_up()
    gc.set_threshold(_COLLECT_AFTER)
    from lstore.cli.main import main  # noqa: PLC0415

    main()


if __name__ == "__main__":
    main()
