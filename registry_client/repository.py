"""One repository of one registry as a `layerstore.content.Target`. Stages "resolve" and "blobs" of docs/flow.md."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from layerstore.content import CHUNK, BytesReader, Opener, Readable, VerifyingReader, has_children
from layerstore.dataclass import dataclass
from layerstore.errors import ContentMismatch, LimitExceeded
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT
from layerstore.oci.manifest import parse
from layerstore.oci.reference import Reference
from layerstore.progress import Progress
from registry_client import documents, referrers
from registry_client.documents import Name
from registry_client.download import ResumingReader
from registry_client.listing import names
from registry_client.mirrors import Mirrors
from registry_client.site import Site
from registry_client.upload import BlobUpload

Candidates = Callable[[Digest], Iterable[str]]
"""Repositories of the same registry that have a blob: where it can be mounted from, best first."""


def no_candidates(digest: Digest) -> Iterable[str]:
    """Nowhere."""
    return ()


@dataclass(frozen=True, slots=True)
class Sites:
    """Where a repository is: everywhere it may be read from, the origin last."""

    reading: tuple[Site, ...]

    @property
    def origin(self) -> Site:
        """The registry itself, which alone is written to."""
        return self.reading[-1]


class Repository:
    """Reads through mirrors, writes to the origin. For any number of threads.

    All methods raise `Unauthorized`, `Unreachable`, `RegistryError` as the registry gives reason.
    """

    def __init__(
        self,
        reference: Reference,
        sites: Sites,
        progress: Progress,
        *,
        candidates: Candidates = no_candidates,
    ) -> None:
        self.reference = reference
        self._origin = sites.origin
        self._mirrors = Mirrors(sites.reading, progress)
        self._progress = progress
        self._candidates = candidates
        self._absent: set[Descriptor] = set()
        self._last: tuple[Descriptor, bytes] | None = None

    def resolve(self, name: str) -> Descriptor:
        """The manifest or index that the tag or digest `name` stands for now. Raises `NotFound`."""
        descriptor, raw = self._mirrors.ask(partial(documents.resolve, name=self._name(name)))
        if raw is not None:
            self._last = (descriptor, raw)
        return descriptor

    @contextmanager
    def fetch(self, descriptor: Descriptor, offset: int = 0) -> Iterator[Readable]:
        """The content from `offset` on: manifests verified, blobs as they come. Raises `NotFound`."""
        if has_children(descriptor):
            yield BytesReader(self._document(descriptor)[offset:])
        elif offset >= descriptor.size:
            yield BytesReader(b"")
        else:
            with closing(ResumingReader(self._mirrors, descriptor, offset)) as reader:
                yield reader

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the registry itself has the content. Raises `RegistryError`, `ContentMismatch`."""
        kind = "manifests" if has_children(descriptor) else "blobs"
        headers = {"Accept": descriptor.media_type} if has_children(descriptor) else {}
        url = self._origin.url(f"{kind}/{descriptor.digest}")
        with self._origin.send("HEAD", url, headers=headers) as response:
            if response.status == 404:
                self._absent.add(descriptor)
                return False
            what = f"{self._origin.name}@{descriptor.digest}"
            self._origin.expect_success(response, self._origin.asked(what))
            stated = documents.stated_digest(response.headers)
        # A registry may name by its own algorithm what we asked for by another.
        is_comparable = stated is not None and stated.algorithm == descriptor.digest.algorithm
        if is_comparable and stated != descriptor.digest:
            raise ContentMismatch(f"{self._origin.name} answers with {stated} for {descriptor.digest}")
        return True

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """See `Target.push`. The registry verifies blobs; manifests are verified here too."""
        if has_children(descriptor):
            self._push_document(descriptor, opener)
            return
        if descriptor in self._absent:  # `has` said so a moment ago
            self._absent.discard(descriptor)
        elif self.has(descriptor):
            return
        upload = BlobUpload(self._origin, descriptor, opener)
        if upload.run(self._candidates(descriptor.digest)):
            self._progress.phase(descriptor.digest.short, "mounted", descriptor.size)

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let the tag `name` stand for the manifest `descriptor`, which the registry has.

        Raises `RegistryError`, and as `fetch` does.
        """
        tag = self.reference.with_tag(name).target
        self._put(descriptor, self._document(descriptor), tag)

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order, page by page. Raises `RegistryError`, `LimitExceeded`."""
        yield from names(self._origin, "tags/list", "tags", f"tags of {self._origin.name}")

    def referrers(self, descriptor: Descriptor, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """The manifests whose subject `descriptor` is, those of `artifact_type` where it is given.

        Raises as `referrers.referrers` does.
        """
        return referrers.referrers(self._origin, descriptor.digest, artifact_type)

    def _name(self, text: str) -> Name:
        if ":" in text:
            digest = Digest.parse(text)
            return Name(str(digest), digest, str(self.reference.with_digest(digest)))
        reference = self.reference.with_tag(text)
        return Name(text, None, str(reference))

    def _document(self, descriptor: Descriptor) -> bytes:
        last = self._last
        if last is not None and last[0] == descriptor:
            return last[1]
        return self._mirrors.ask(partial(documents.fetch, descriptor=descriptor))

    def _push_document(self, descriptor: Descriptor, opener: Opener) -> None:
        if descriptor.size > MAX_DOCUMENT:
            raise LimitExceeded(f"manifest {descriptor.digest} is longer than {MAX_DOCUMENT} bytes")
        with opener(0) as stream:
            reader = VerifyingReader(stream, descriptor)
            raw = b"".join(iter(partial(reader.read, CHUNK), b""))
        self._put(descriptor, raw, str(descriptor.digest))
        self._last = (descriptor, raw)

    def _put(self, descriptor: Descriptor, raw: bytes, name: str) -> None:
        what = str(self.reference.with_tag(name)) if ":" not in name else f"{self._origin.name}@{name}"
        headers = {"Content-Type": descriptor.media_type}
        url = self._origin.url(f"manifests/{name}")
        with self._origin.send("PUT", url, headers=headers, body=raw) as response:
            self._origin.expect_success(response, self._origin.asked(what, "push"))
            stated = documents.stated_digest(response.headers)
            is_recorded = response.headers.get("oci-subject") is not None
        if stated is not None and stated != Digest.of(raw, stated.algorithm):
            raise ContentMismatch(f"{what}: the registry took it as {stated}, not {descriptor.digest}")
        parsed = parse(raw, descriptor.media_type)
        if parsed.subject is not None and not is_recorded:
            referrers.record_fallback(self._origin, parsed, parsed.subject.digest)
