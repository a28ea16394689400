"""Blobs as streams that mend themselves: what breaks off is asked for again from where it broke.

Distribution specification, "Pulling blobs"; RFC 9110, section 14. The bytes are unverified: who reads, verifies.
"""

import re
from functools import partial

from layerstore.dataclass import dataclass
from layerstore.errors import ContentMismatch, RegistryError, Unreachable
from layerstore.oci.descriptor import Descriptor
from registry_client.messages import Body, Response
from registry_client.mirrors import Mirrors
from registry_client.site import Site

MIN_PROGRESS = 64 << 10
"""Bytes that a connection must bring before its break is forgiven: else one byte a time could go on for ever."""
_SKIPPED = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\Z")


class ResumingReader:
    """A `Readable` over one blob from `offset` on. Use as a context manager.

    Opening raises what the registry's refusal stands for, reading `Unreachable` once patience ends and
    `ContentMismatch` for a blob of another size.
    """

    def __init__(self, mirrors: Mirrors, descriptor: Descriptor, offset: int) -> None:
        self._mirrors = mirrors
        self._descriptor = descriptor
        self._position = offset
        self._broken: set[Site] = set()
        self._opened = self._open()
        self._backoff = self._opened.site.exchange.pace.backoff()

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty at the blob's end."""
        while True:
            try:
                self._skip()
                data = self._opened.body.read(size)
            except Unreachable as error:
                self._resume(error)
                continue
            if data:
                self._position += len(data)
                if self._position > self._descriptor.size:
                    raise ContentMismatch(
                        f"{self._descriptor.digest} is longer than its {self._descriptor.size} bytes"
                    )
                return data
            if self._position == self._descriptor.size:
                return b""
            self._resume(self._ended_early())

    def close(self) -> None:
        """Let the connection go."""
        self._opened.body.close()

    def _skip(self) -> None:
        """Read away what comes before our position, from a server that ignores ranges."""
        while self._prefix:
            data = self._opened.body.read(min(_SKIPPED, self._prefix))
            if not data:
                raise self._ended_early()
            self._prefix -= len(data)

    def _resume(self, error: Unreachable) -> None:
        self.close()
        site = self._opened.site
        if site.host.is_mirror:
            self._broken.add(site)
        if self._position - self._opened_at >= MIN_PROGRESS:
            self._backoff.progressed()
        if not site.exchange.wait(self._backoff, error.message):
            raise error
        self._opened = self._open()

    def _open(self) -> "Opened":
        attempt = partial(open_blob, descriptor=self._descriptor, position=self._position)
        opened = self._mirrors.ask(attempt, skipping=self._broken)
        self._opened_at = self._position
        self._prefix = opened.prefix
        return opened

    def _ended_early(self) -> Unreachable:
        host = self._opened.site.host.authority
        return Unreachable(
            f"cannot read {self._descriptor.digest} from {host}: it ended early", is_temporary=True
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A blob at one site, on its way."""

    site: Site
    body: Body
    prefix: int
    """Bytes that come before those that were asked for."""


def open_blob(site: Site, *, descriptor: Descriptor, position: int) -> Opened:
    """The blob at `site`, asked for from byte `position` on. Raises what a refusal stands for."""
    headers = {"Range": f"bytes={position}-"} if position else {}
    response = site.send("GET", site.url(f"blobs/{descriptor.digest}"), headers=headers)
    what = f"blob {descriptor.digest} of {site.name}"
    if response.status == 416:
        response.close()
        raise ContentMismatch(f"{what} ends before byte {position} of {descriptor.size}")
    try:
        site.expect_success(response, site.asked(what))
        return Opened(site, response.body, _prefix(response, descriptor, position))
    except BaseException:
        response.close()
        raise


def _prefix(response: Response, descriptor: Descriptor, position: int) -> int:
    """How many bytes come before the one at `position`."""
    length = response.headers.natural("content-length")
    if response.status != 206:
        _check_size(descriptor, length)
        return position
    start, total = _content_range(response)
    if start != position:
        raise RegistryError(f"asked for {descriptor.digest} from byte {position}, it came from byte {start}")
    _check_size(descriptor, start + length if total is None and length is not None else total)
    return 0


def _check_size(descriptor: Descriptor, size: int | None) -> None:
    if size is not None and size != descriptor.size:
        raise ContentMismatch(f"{descriptor.digest} comes with {size} bytes, not {descriptor.size}")


def _content_range(response: Response) -> tuple[int, int | None]:
    """First byte, and size of the whole where it is told."""
    match = _CONTENT_RANGE.match(response.headers.get("content-range") or "")
    if match is None:
        raise RegistryError(f"{response.url.partition('?')[0]} came in part, without a valid Content-Range")
    return int(match[1]), None if match[3] == "*" else int(match[3])
