"""Where an ADD fetches from."""

import pytest

from layerstore.build.source_kind import SourceKind, source_kind, url_file_name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("dir/file", SourceKind.PATH),
        ("./a@b", SourceKind.PATH),
        ("http:/x", SourceKind.PATH),
        ("http://x/y.tar.gz", SourceKind.URL),
        ("https://x/y?z=a.git", SourceKind.URL),
        ("https://github.com/a/b.git", SourceKind.GIT),
        ("https://github.com/a/b.git#v1:sub", SourceKind.GIT),
        ("git://x/y", SourceKind.GIT),
        ("ssh://git@x/y", SourceKind.GIT),
        ("git@github.com:a/b", SourceKind.GIT),
        ("https://[x", SourceKind.URL),
    ],
)
def test_a_source_is_a_path_a_url_or_a_repository(text: str, kind: SourceKind) -> None:
    assert source_kind(text) is kind


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://x/a/b.bin", "b.bin"),
        ("http://x/a/b/?q", "b"),
        ("http://x", "__unnamed__"),
        ("http://x/?q=/y", "__unnamed__"),
        ("http://x/a/..", "__unnamed__"),
        ("http://x/a/.", "__unnamed__"),
    ],
)
def test_a_download_is_named_by_its_url(url: str, name: str) -> None:
    assert url_file_name(url) == name
