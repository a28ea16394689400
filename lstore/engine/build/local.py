"""Directories of the host that steps take files from: the build context, and named ones."""

import os
from contextlib import ExitStack

from layerstore.build.content_key import content_key
from layerstore.build.context import Context, read_ignore_file
from layerstore.build.digest_cache import DigestCache
from layerstore.build.selection import Selection
from layerstore.errors import NotFound, file_error
from layerstore.oci.digest import Digest
from lstore.engine.build.site import Site


class LocalContext:
    """One directory, open, and what is known of its files' digests."""

    def __init__(self, site: Site, path: str, dockerfile: str, opened: ExitStack) -> None:
        """`dockerfile` is the Dockerfile's path relative to it, whose ignore file counts. Raises `NotFound`."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"cannot use the build context {path}: no such directory") from error
        except OSError as error:
            raise file_error(error, f"open the build context {path}") from error
        opened.callback(os.close, fd)
        self.context = Context(fd, read_ignore_file(fd, dockerfile))
        self._digests = DigestCache(site.cache.context_digests(os.path.realpath(path)))

    def key(self, selections: tuple[Selection, ...]) -> Digest:
        """The content key of `selections`; what it took to compute it is remembered."""
        key = content_key(self.context, selections, self._digests)
        self._digests.save()
        return key
