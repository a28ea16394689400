"""The software packages that an image says it has: its package managers' own databases, read without a mount.

dpkg's status file and the ``status.d`` of distroless images (deb-control(5)), apk's ``installed`` (apk-installed(5)),
and ``*.dist-info/METADATA`` of Python's (PEP 376, core metadata). rpm's database is a binary one of three kinds and is
not read. Pure: from (path, content) to values. What an image says of itself is foreign text, and may be no truth.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

MAX_DATABASE = 256 << 20
"""Bytes of one file that are read at most; what is longer is no package database."""

_DPKG = re.compile(rb"var/lib/dpkg/(status|status\.d/[^/]+)\Z")
_APK = re.compile(rb"(usr/)?lib/apk/db/installed\Z")
_PYTHON = re.compile(rb"(.*/)?[^/]+\.dist-info/METADATA\Z")
_RELEASE = (b"etc/os-release", b"usr/lib/os-release")


class Package(NamedTuple):
    """One package as its manager names it."""

    kind: str
    """The type of its package URL: deb, apk or pypi."""
    name: str
    version: str
    architecture: str
    found_at: str

    def url(self, release: Mapping[str, str]) -> str:
        """Its package URL (purl-spec), for a distribution that calls itself by `release`."""
        vendor = quote(release.get("ID", self.kind).lower(), safe="")
        space = "" if self.kind == "pypi" else f"{vendor}/"
        name = re.sub(r"[-_.]+", "-", self.name).lower() if self.kind == "pypi" else self.name
        facts = {"arch": self.architecture}
        if self.kind != "pypi" and "VERSION_ID" in release:
            facts["distro"] = f"{release.get('ID', '')}-{release['VERSION_ID']}"
        more = "&".join(f"{key}={quote(value, safe='')}" for key, value in facts.items() if value)
        return f"pkg:{self.kind}/{space}{quote(name, safe='')}@{quote(self.version, safe='')}{more and '?' + more}"


def is_of_interest(path: bytes) -> bool:
    """Whether the file at `path` may say something of packages."""
    return path in _RELEASE or any(pattern.match(path) for pattern in (_DPKG, _APK, _PYTHON))


def packages(files: Iterable[tuple[bytes, bytes]]) -> tuple[Package, ...]:
    """All packages that `files`, by path, speak of; each once, sorted."""
    found = {package for path, data in files for package in _packages(path, data)}
    return tuple(sorted(found))


def release(files: Mapping[bytes, bytes]) -> dict[str, str]:
    """The fields of os-release(5), from the first of its places that is there."""
    raw = next((files[path] for path in _RELEASE if path in files), b"")
    pairs = (line.partition("=") for line in _text(raw).splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs if value}


def _packages(path: bytes, data: bytes) -> Iterator[Package]:
    where = _text(path)
    if _DPKG.match(path) and not path.endswith(b".md5sums"):
        for fields in _paragraphs(_text(data)):
            state = fields.get("Status", "install ok installed").split()
            if state[-1:] == ["installed"] and fields.get("Package") and fields.get("Version"):
                architecture = fields.get("Architecture", "")
                yield Package("deb", fields["Package"], fields["Version"], architecture, where)
    elif _APK.match(path):
        for block in _text(data).split("\n\n"):
            apk = dict(line.split(":", 1) for line in block.splitlines() if line[1:2] == ":")
            if apk.get("P") and apk.get("V"):
                yield Package("apk", apk["P"], apk["V"], apk.get("A", ""), where)
    elif _PYTHON.match(path):
        fields = next(_paragraphs(_text(data)), {})
        if fields.get("Name") and fields.get("Version"):
            yield Package("pypi", fields["Name"], fields["Version"], "", where)


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph, without their continuation lines."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            key, _, value = line.partition(":")
            fields.setdefault(key, value.strip())
    if fields:
        yield fields


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
