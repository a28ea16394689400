"""One blob on its way up: monolithic where the registry takes it, in chunks where it must, resumed where it broke.

Distribution specification, "Pushing blobs": POST starts a session, PUT ends it with the digest, PATCH
adds to it, GET tells how far it is.
"""

import re
from collections.abc import Iterable
from contextlib import suppress

from layerstore.content import Opener
from layerstore.errors import Unauthorized, Unreachable
from layerstore.oci.descriptor import Descriptor
from registry_client.failures import failure
from registry_client.messages import Response, Upload
from registry_client.redirect import locate
from registry_client.retry import TEMPORARY, retry_after
from registry_client.scope import PULL, Scope
from registry_client.site import Site

CHUNK_SIZE = 32 << 20
"""Bytes of one PATCH, unless the registry wants more."""
MAX_CHUNK_SIZE = 1 << 30
"""The largest minimum that a registry may ask for."""
_WANTS_CHUNKS = frozenset({405, 411, 413, 501})
_PASSING = TEMPORARY | {404, 416}
"""Within a session also: it is gone, or stands elsewhere than we thought."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})\Z")
_OCTETS = {"Content-Type": "application/octet-stream"}


class BlobUpload:
    """Brings one blob to one site, by whatever number of requests it takes."""

    def __init__(self, site: Site, descriptor: Descriptor, opener: Opener) -> None:
        self._site = site
        self._descriptor = descriptor
        self._opener = opener
        self._asked = site.asked(f"blob {descriptor.digest} to {site.name}", "push")
        self._backoff = site.exchange.pace.backoff()
        self._location = ""
        self._position = 0
        self._best = 0
        self._chunk: int | None = None
        self._minimum = 0
        self._wait_asked: float | None = None

    def run(self, candidates: Iterable[str]) -> bool:
        """Upload the blob, or mount it from one of the repositories `candidates`; whether it was mounted.

        Raises `ContentMismatch` where content and descriptor differ, else what the registry's refusal stands for.
        """
        if self._mount(candidates):
            return True
        if not self._location:
            self._begin()
        while True:
            try:
                if self._step():
                    return False
            except Unreachable as error:
                self._wait(error)
                if self._is_there():  # the registry took it, and its answer was lost
                    return False
                self._find_position()

    def _mount(self, candidates: Iterable[str]) -> bool:
        """Whether one of `candidates` gave the blob. A registry that does not mount opens an upload instead."""
        for source in candidates:
            query = (("mount", str(self._descriptor.digest)), ("from", source))
            scopes = (Scope.repository(source, PULL),)
            url = self._site.url("blobs/uploads/", query)
            with suppress(Unauthorized), self._site.send("POST", url, more_scopes=scopes) as response:
                if response.status == 201:
                    return True
                if response.status == 202:
                    self._start(response)
                    return False
        return False

    def _begin(self) -> None:
        with self._site.send("POST", self._site.url("blobs/uploads/")) as response:
            self._site.expect_success(response, self._asked)
            self._start(response)

    def _start(self, response: Response) -> None:
        self._location = locate(response)
        self._position = 0
        self._minimum = min(response.headers.natural("oci-chunk-min-length") or 0, MAX_CHUNK_SIZE)

    def _step(self) -> bool:
        """One request further; whether the blob is there now."""
        size = self._descriptor.size
        if self._position == 0 and self._chunk is None:
            return self._finish(Upload(self._opener, 0, size))
        if self._position < size:
            self._patch()
            return False
        return self._finish(b"")

    def _finish(self, body: Upload | bytes) -> bool:
        separator = "&" if "?" in self._location else "?"
        url = f"{self._location}{separator}digest={self._descriptor.digest}"
        with self._site.send("PUT", url, headers=_OCTETS, body=body) as response:
            if response.status in _WANTS_CHUNKS and self._chunk is None and isinstance(body, Upload):
                self._chunk = max(CHUNK_SIZE, self._minimum)
                self._begin()
                return False
            self._expect(response, 201)
        return True

    def _patch(self) -> None:
        remaining = self._descriptor.size - self._position
        count = remaining if self._chunk is None else min(self._chunk, remaining)
        last = self._position + count - 1
        headers = {**_OCTETS, "Content-Range": f"{self._position}-{last}"}
        body = Upload(self._opener, self._position, count)
        with self._site.send("PATCH", self._location, headers=headers, body=body) as response:
            self._expect(response, 202)
            self._location = locate(response)
            self._position = _next_byte(response, default=last + 1)
            self._note_progress()

    def _expect(self, response: Response, status: int) -> None:
        """Raises what an answer other than `status` stands for, `Unreachable` where going on may help."""
        if response.status == status:
            return
        asked = retry_after(response.headers.get("retry-after"), self._site.exchange.pace.now())
        error = failure(response, self._asked)
        if response.status not in _PASSING:
            raise error
        self._wait_asked = asked
        raise Unreachable(
            error.message, hint=error.hint, status=response.status, is_temporary=True
        ) from error

    def _wait(self, error: Unreachable) -> None:
        """Sleep before going on. Raises `error` where that would be once too often."""
        asked, self._wait_asked = self._wait_asked, None
        if not error.is_temporary or not self._site.exchange.wait(self._backoff, error.message, asked=asked):
            raise error

    def _find_position(self) -> None:
        """Learn how much of the blob the registry has, and start afresh where it lost the session."""
        with self._site.send("GET", self._location) as response:
            if response.status != 204:
                position = None
            else:
                position = _next_byte(response, default=0)
                self._location = locate(response, self._location)
        # A session with nothing in it cannot be told from one with a single byte.
        if not position or position > self._descriptor.size:
            self._begin()
        else:
            self._position = position
            self._note_progress()

    def _note_progress(self) -> None:
        if self._position > self._best:
            self._best = self._position
            self._backoff.progressed()

    def _is_there(self) -> bool:
        url = self._site.url(f"blobs/{self._descriptor.digest}")
        with self._site.send("HEAD", url) as response:
            return response.status == 200


def _next_byte(response: Response, default: int) -> int:
    """The first byte that the registry does not have yet; 0 for "0-0", its word for an empty session."""
    match = _RANGE.match(response.headers.get("range") or "")
    if match is None:
        return default
    return int(match[1]) + 1 if int(match[1]) else 0
