"""`export`: the whole root filesystem of a container as a tar."""

from __future__ import annotations

import os

from layerstore.errors import file_error
from layerstore.layer.diff import diff, members
from layerstore.layer.pack import pieces
from lstore.engine.containers import places
from lstore.engine.containers.insides import view
from lstore.engine.containers.look import look
from runner import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from lstore.engine.engine import Engine


def export(engine: Engine, text: str, out: BinaryIO) -> None:
    """Write the container's whole root filesystem, without what is mounted on it, as a tar to `out`.

    Raises `NotFound`, `StorageError`, `LaunchError`.
    """
    container = look(engine, text)

    def write(root: int) -> None:
        top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
        try:
            for piece in pieces(members(diff(top, None), is_live=True), None):
                out.write(piece)
            out.flush()
        except BrokenPipeError as error:
            raise file_error(error, "write the archive") from error

    view(engine, container, write)
    events.record(places.containers_of(engine), "export", container.config)
