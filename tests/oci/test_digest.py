"""Digests: nothing but two algorithms, lower-case and at full length."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidDigest
from layerstore.oci.digest import Digest

EMPTY_256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_digest_of_either_algorithm_parses_and_prints_alike(algorithm: str) -> None:
    text = f"{algorithm}:{hashlib.new(algorithm, b'x').hexdigest()}"

    digest = Digest.parse(text)

    assert str(digest) == text
    assert digest == Digest.of(b"x", algorithm)


def test_the_empty_content_has_its_known_digest() -> None:
    assert str(Digest.of(b"")) == EMPTY_256


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "e3b0c442",
        "sha256",
        "sha256:",
        EMPTY_256[:-1],
        EMPTY_256 + "0",
        EMPTY_256 + "\n",
        EMPTY_256.upper(),
        EMPTY_256.replace("e3", "E3"),
        "sha1:" + "a" * 40,
        "md5:" + "a" * 32,
        "sha512:" + "a" * 64,
        "sha384:" + "a" * 96,
        "sha256:" + "g" * 64,
        "sha256:" + "../" * 21 + "a",
        "sha256:" + "\u0661" * 64,
        "../sha256:" + "a" * 64,
    ],
)
def test_what_could_not_stand_in_a_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


def test_an_invalid_digest_cannot_be_made_by_hand() -> None:
    with pytest.raises(InvalidDigest):
        Digest("sha256", "../../etc/passwd")


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_hashing_piece_by_piece_gives_the_digest_of_the_whole(data: bytes, algorithm: str) -> None:
    whole = Digest.of(data, algorithm)
    hasher = whole.new_hasher()

    for start in range(0, len(data), 7):
        hasher.update(data[start : start + 7])

    assert hasher.hexdigest() == whole.encoded


def test_the_short_form_has_twelve_digits() -> None:
    assert Digest.parse(EMPTY_256).short == "e3b0c44298fc"
