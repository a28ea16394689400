"""The build cache elsewhere: finished steps as an artifact in a registry or an image layout, out and back in.

The artifact's layers are the steps' layers, its configuration says which key stands for which of them. Only what
``--cache-from`` names is looked into (CVE-2024-24557); every layer is verified as it comes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.build.cache import Record
from layerstore.content import Source, Target, opened_bytes, read_document, read_manifest
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDocument, NotFound
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, as_object, dump, items, natural, parse_object, required_text, text
from layerstore.oci.manifest import Manifest, build_manifest
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT
from layerstore.snapshot.unpack import unpack_layers
from lstore.engine.build.request import CachePlace

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

CONFIG: Final = "application/vnd.lstore.buildcache.config.v1+json"
MAX_RECORDS: Final = 100_000
_NAME: Final = "buildcache"
"""What a layout calls the artifact."""


@dataclass(frozen=True, slots=True)
class ImportedCache:
    """Finished steps at one place."""

    source: Source
    records: Mapping[Digest, Record]

    def fetch(self, engine: "Engine", key: Digest) -> Record | None:
        """The record under `key`, its layer now in our store, unpacked. Raises what the source does."""
        record = self.records.get(key)
        if record is None or record.layer is None:
            return record
        with engine.store.transaction(unpack_layers) as transaction:
            if not transaction.has(record.layer):
                transaction.push(record.layer, partial(self.source.fetch, record.layer))
                transaction.commit()
        return record


@contextmanager
def opened_caches(engine: "Engine", places: Iterable[CachePlace]) -> Iterator[tuple[ImportedCache, ...]]:
    """What is at each of `places` that holds a cache; where there is none yet, a build makes one."""
    with ExitStack() as opened:
        found = []
        for place in places:
            try:
                source = _source(engine, place, opened)
                found.append(ImportedCache(source, _records(source, source.resolve(_tag(place)))))
            except NotFound:
                continue
        yield tuple(found)


def export(engine: "Engine", records: Iterable[Record], place: CachePlace) -> None:
    """Let `place` hold exactly these finished steps. Durable. Raises what the target raises."""
    unique = sorted({record.key: record for record in records}.values(), key=lambda record: record.key)
    layers = tuple(dict.fromkeys(record.layer for record in unique if record.layer is not None))
    config = dump({"records": [_spell(record) for record in unique]})
    manifest = build_manifest(Descriptor.of(CONFIG, config), layers)
    with ExitStack() as opened:
        target = _target(engine, place, opened)
        for layer in layers:
            if not target.has(layer):
                target.push(layer, partial(engine.store.blobs.fetch, layer))
        target.push(manifest.config, partial(opened_bytes, config))
        target.push(manifest.descriptor, partial(opened_bytes, manifest.raw))
        target.tag(manifest.descriptor, _tag(place))


def _records(source: Source, root: Descriptor) -> Mapping[Digest, Record]:
    manifest = read_manifest(source, root)
    if not isinstance(manifest, Manifest) or manifest.config.media_type != CONFIG:
        raise InvalidDocument("cannot use it as a build cache: it is something else")
    layers = {layer.digest: layer for layer in manifest.layers}
    document = parse_object(read_document(source, manifest.config), "build cache")
    found = items(document, "records", partial(_parse, layers), limit=MAX_RECORDS)
    return {record.key: record for record in found}


def _spell(record: Record) -> Json:
    layer = "" if record.layer is None else str(record.layer.digest)
    return {"created": record.created, "key": str(record.key), "layer": layer, "title": record.title}


def _parse(layers: Mapping[Digest, Descriptor], value: Json) -> Record:
    source = as_object(value)
    named = text(source, "layer")
    layer = layers.get(Digest.parse(named)) if named else None
    if named and layer is None:
        raise InvalidDocument(f"build cache with a record of layer {named}, which it does not have")
    key = Digest.parse(required_text(source, "key"))
    return Record(key, layer, required_text(source, "title"), natural(source, "created"))


def _source(engine: "Engine", place: CachePlace, opened: ExitStack) -> Source:
    if place.type == "local":
        return LayoutDirectory.open(place.where)
    return _repository(engine, place, opened)


def _target(engine: "Engine", place: CachePlace, opened: ExitStack) -> Target:
    if place.type == "local":
        return LayoutDirectory.create(place.where)
    return _repository(engine, place, opened)


def _repository(engine: "Engine", place: CachePlace, opened: ExitStack) -> Target:
    client = opened.enter_context(engine.registries(SILENT))
    return client.repository(Reference.parse(place.where))


def _tag(place: CachePlace) -> str:
    return _NAME if place.type == "local" else Reference.parse(place.where).target
