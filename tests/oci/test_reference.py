"""References: docker's grammar and normalisation (distribution ``reference``, normalize_test.go)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidDigest, InvalidReference
from layerstore.oci.digest import Digest
from layerstore.oci.reference import MAX_LENGTH, Reference

SHA256 = "sha256:" + "ef" * 32
SHA512 = "sha512:" + "ab" * 64
HEX_64 = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"

NORMALISED = [
    ("debian", "docker.io/library/debian:latest", "debian:latest"),
    ("debian:12", "docker.io/library/debian:12", "debian:12"),
    ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
    ("fuzzy/bear", "docker.io/fuzzy/bear:latest", "fuzzy/bear:latest"),
    ("docker.io/fuzzy/bear", "docker.io/fuzzy/bear:latest", "fuzzy/bear:latest"),
    ("library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
    ("docker.io/library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
    ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
    ("localhost/debian", "localhost/debian:latest", "localhost/debian:latest"),
    ("localhost:5000/debian", "localhost:5000/debian:latest", "localhost:5000/debian:latest"),
    ("LOCALHOST/debian", "LOCALHOST/debian:latest", "LOCALHOST/debian:latest"),
    ("example.com/a/b/c:v1", "example.com/a/b/c:v1", "example.com/a/b/c:v1"),
    ("example.com:443/a", "example.com:443/a:latest", "example.com:443/a:latest"),
    ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest"),
    ("[::ffff:1.2.3.4]/debian", "[::ffff:1.2.3.4]/debian:latest", "[::ffff:1.2.3.4]/debian:latest"),
    ("example.com:65535/a", "example.com:65535/a:latest", "example.com:65535/a:latest"),
    ("[::1]/debian", "[::1]/debian:latest", "[::1]/debian:latest"),
    ("[::1]:5000/debian:12", "[::1]:5000/debian:12", "[::1]:5000/debian:12"),
    ("[2001:DB8::1]:5000/a/b", "[2001:DB8::1]:5000/a/b:latest", "[2001:DB8::1]:5000/a/b:latest"),
    ("xn--n3h.com/myimage", "xn--n3h.com/myimage:latest", "xn--n3h.com/myimage:latest"),
    ("example.com:5000", "docker.io/library/example.com:5000", "example.com:5000"),
    (f"debian@{SHA256}", f"docker.io/library/debian@{SHA256}", f"debian@{SHA256}"),
    (f"debian@{SHA512}", f"docker.io/library/debian@{SHA512}", f"debian@{SHA512}"),
    (f"a.io:1/b:t@{SHA256}", f"a.io:1/b:t@{SHA256}", f"a.io:1/b:t@{SHA256}"),
    (f"docker.io/{HEX_64}", f"docker.io/library/{HEX_64}:latest", f"{HEX_64}:latest"),
    ("a__b/c.d/e--f/g_h", "docker.io/a__b/c.d/e--f/g_h:latest", "a__b/c.d/e--f/g_h:latest"),
    ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080", "foo/foo_bar.com:8080"),
    ("lowercase:Uppercase", "docker.io/library/lowercase:Uppercase", "lowercase:Uppercase"),
]

REFUSED = [
    "",
    "/",
    ":latest",
    "/debian",
    "debian/",
    "debian:",
    "debian: 12",
    "https://github.com/docker/docker",
    "docker/Docker",
    "-docker",
    "-docker/docker",
    "-docker.io/docker/docker",
    "docker///docker",
    "docker.io/docker/Docker",
    "docker.io/docker///docker",
    "docker.io/",
    "[fc00::1]:5000",
    "[fc00::1%eth0]/debian",
    "[]/debian",
    "[:::]/debian",
    "[1.2.3.4]/debian",
    "example.com:65536/debian",
    "[::1]:99999/debian",
    "example.com:port/debian",
    "example.com:/debian",
    "a___b",
    "a..b",
    "a._b",
    "a-/b",
    "Debian",
    "debi an",
    "debian\n",
    "debian:12\n",
    "débian",
    "../etc",
    "a/../b",
    "a/./b",
    HEX_64,
    "debian:" + "t" * 129,
    "debian:.t",
    "debian:-t",
    "validname@invalid:tag",
]


@pytest.mark.parametrize(("text", "canonical", "familiar"), NORMALISED)
def test_a_name_is_normalised_as_docker_does(text: str, canonical: str, familiar: str) -> None:
    reference = Reference.parse(text)

    assert str(reference) == canonical
    assert reference.familiar == familiar


@pytest.mark.parametrize("text", REFUSED)
def test_text_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises((InvalidReference, InvalidDigest)):
        Reference.parse(text)


@pytest.mark.parametrize("digest", ["sha256:ab", "md5:" + "ab" * 16, "sha256:" + "EF" * 32, "", "@" + SHA256])
def test_a_malformed_digest_is_refused(digest: str) -> None:
    with pytest.raises(InvalidDigest):
        Reference.parse(f"debian@{digest}")


def test_the_longest_name_passes_and_a_longer_one_is_refused() -> None:
    longest = "a" * (MAX_LENGTH - len("example.com/"))

    accepted = Reference.parse(f"example.com/{longest}")

    assert accepted.repository == longest
    with pytest.raises(InvalidReference, match="longer than 255"):
        Reference.parse(f"example.com/{longest}a")


def test_upper_case_in_a_repository_is_explained() -> None:
    with pytest.raises(InvalidReference, match="must be lower case"):
        Reference.parse("example.com/Debian")


def test_a_registry_is_asked_for_the_digest_before_the_tag() -> None:
    tagged = Reference.parse("debian:12")
    pinned = Reference.parse(f"debian:12@{SHA256}")

    assert tagged.target == "12"
    assert pinned.target == SHA256


def test_a_repository_alone_has_neither_tag_nor_digest() -> None:
    repository = Reference.parse_repository("localhost:5000/a")

    assert (repository.tag, repository.digest) == (None, None)
    with pytest.raises(InvalidReference, match="names one image"):
        Reference.parse_repository("localhost:5000/a:b")


def test_tag_and_digest_replace_each_other() -> None:
    reference = Reference.parse("debian:12")

    pinned = reference.with_digest(Digest.parse(SHA256))

    assert str(pinned) == f"docker.io/library/debian@{SHA256}"
    assert str(pinned.with_tag("13")) == "docker.io/library/debian:13"
    with pytest.raises(InvalidReference):
        reference.with_tag("../13")


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(labels, min_size=2, max_size=3).map(".".join),
    st.just("localhost"),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
ports = st.one_of(st.just(""), st.integers(0, 65535).map(":{}".format))
components = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(hosts, ports, st.lists(components, min_size=1, max_size=4), tags)
def test_whatever_the_grammar_makes_is_parsed_and_printed_alike(
    host: str, port: str, path: list[str], tag: str
) -> None:
    text = f"{host}{port}/{'/'.join(path)}:{tag}"

    reference = Reference.parse(text)

    assert str(reference) == text
    assert (reference.registry, reference.tag) == (host + port, tag)


@given(st.text(alphabet="abAB09.:/@-_[]~ \n", max_size=40))
def test_parsing_ends_in_a_stable_value_or_a_typed_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except (InvalidReference, InvalidDigest):
        return

    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
