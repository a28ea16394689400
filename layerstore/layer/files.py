"""The two files that a layer is kept as, in a directory of its own. Whoever needs their names alone imports no more."""

from typing import Final

TAR: Final = "tar"
"""What the diff_id names."""
INDEX: Final = "index"
"""An EROFS over it, and the table of its changes."""
