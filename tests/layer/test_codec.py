import gzip
import zlib
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidLayer, LimitExceeded, UnsupportedContent
from layerstore.layer.codec import MAX_CHUNK, compressor, decompressor, detect
from layerstore.oci.mediatype import Compression

KINDS: tuple[Compression, ...] = ("gzip", "zstd", "none")
SKIPPABLE_FRAME = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"


def compress(kind: Compression, data: bytes) -> bytes:
    stream = compressor(kind)
    return stream.compress(data) + stream.flush()


def decompress(kind: Compression, blob: bytes, step: int = 1 << 20, **options: int) -> bytes:
    stream = decompressor(kind, **options)
    parts = [part for at in range(0, len(blob), step) for part in stream.decompress(blob[at : at + step])]
    stream.finish()
    return b"".join(parts)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=5000), step=st.integers(1, 700))
def test_what_was_compressed_comes_back_however_it_is_cut(kind: Compression, data: bytes, step: int) -> None:
    assert decompress(kind, compress(kind, data), step) == data


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compression_is_told_by_its_magic_number(kind: Compression) -> None:
    assert detect(compress(kind, b"data")[:6]) == kind


def test_a_zstd_stream_may_start_with_a_skippable_frame() -> None:
    blob = SKIPPABLE_FRAME + zstandard.compress(b"data")

    assert detect(blob[:6]) == "zstd"
    assert decompress("zstd", blob) == b"data"


def test_a_plain_tar_and_nothing_at_all_are_not_compressed() -> None:
    assert detect(b"etc/ho") == "none"
    assert detect(b"") == "none"


@pytest.mark.parametrize("magic", [b"\xfd7zXZ\0", b"BZh91A"])
def test_xz_and_bzip2_are_refused_by_name(magic: bytes) -> None:
    with pytest.raises(UnsupportedContent, match=r"xz|bzip2"):
        detect(magic)


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_all_members_and_frames_are_read(step: int) -> None:
    members = b"".join(gzip.compress(part) for part in (b"one", b"", b"two"))
    frames = (
        zstandard.compress(b"one") + SKIPPABLE_FRAME + zstandard.compress(b"") + zstandard.compress(b"two")
    )

    assert decompress("gzip", members, step) == b"onetwo"
    assert decompress("zstd", frames, step) == b"onetwo"


def test_many_tiny_members_take_linear_time() -> None:
    blob = gzip.compress(b"x") * 20_000

    assert decompress("gzip", blob) == b"x" * 20_000


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("missing", [1, 5, 30])
def test_a_truncated_stream_is_an_error(kind: Compression, missing: int) -> None:
    blob = compress(kind, bytes(range(256)) * 400)

    with pytest.raises(InvalidLayer, match="truncated"):
        decompress(kind, blob[:-missing])


def test_an_empty_gzip_stream_is_truncated() -> None:
    with pytest.raises(InvalidLayer, match="truncated"):
        decompress("gzip", b"")


@pytest.mark.parametrize("garbage", [b"\0", b"x", b"garbage" * 10, bytes(512)])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_garbage_behind_the_stream_is_an_error(kind: Compression, garbage: bytes) -> None:
    with pytest.raises(InvalidLayer):
        decompress(kind, compress(kind, b"data") + garbage)


def test_a_wrong_checksum_is_an_error() -> None:
    blob = bytearray(gzip.compress(b"data" * 100))
    blob[-6] ^= 1

    with pytest.raises(InvalidLayer, match="gzip"):
        decompress("gzip", bytes(blob))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_comes_in_bounded_chunks_and_stops_at_the_limit(kind: Compression) -> None:
    bomb = compress(kind, bytes(64 << 20))
    stream = decompressor(kind, limit=32 << 20)
    sizes: list[int] = []

    with pytest.raises(LimitExceeded):
        sizes.extend(len(part) for part in stream.decompress(bomb))

    assert max(sizes) <= MAX_CHUNK
    assert sum(sizes) <= 32 << 20


def test_a_zstd_frame_that_asks_for_gigabytes_of_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    blob = stream.compress(b"data") + stream.flush()

    with pytest.raises(InvalidLayer):
        decompress("zstd", blob)


@pytest.mark.parametrize("kind", KINDS)
def test_compression_does_not_depend_on_how_input_is_cut(kind: Compression) -> None:
    data = zlib.compress(bytes(range(256)) * 9000, 0)
    expected = compress(kind, data)
    stream = compressor(kind)

    found = (
        b"".join(stream.compress(data[at : at + 1001]) for at in range(0, len(data), 1001)) + stream.flush()
    )

    assert found == expected


def test_gzip_headers_carry_neither_time_nor_name() -> None:
    assert compress("gzip", b"data")[3:8] == bytes(5)


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_bytes_either_decompress_or_are_refused(blob: bytes, kind: Compression) -> None:
    prefix = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd", "none": b""}[kind]

    with suppress(InvalidLayer, LimitExceeded):
        decompress(kind, prefix + blob, limit=1 << 20)
