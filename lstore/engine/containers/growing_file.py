"""A file of one JSON object a line that another process appends to: a container's log, the log of events."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from layerstore.oci.document import Json


def records(stream: BinaryIO) -> Iterator[dict[str, Json]]:
    """The objects on the whole lines from here on; a line that is damaged, after a power cut, is left out.

    `stream` then stands before the line that has not ended, so that a later call goes on there. Raises ``OSError``.
    """
    while True:
        start = stream.tell()
        raw = stream.readline()
        if not raw.endswith(b"\n"):
            stream.seek(start)
            return
        try:
            record = json.loads(raw)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
