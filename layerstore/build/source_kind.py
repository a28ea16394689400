"""Where the source of an ADD is: in the context, behind a URL, or in a git repository."""

import re
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

_GIT_SCHEMES: Final = ("git://", "ssh://")
_HTTP: Final = ("http://", "https://")
_SCP_LIKE: Final = re.compile(r"[\w.-]+@[\w.-]+:[^/\s].*\Z")


class SourceKind(Enum):
    """What an ADD fetches."""

    PATH = "path"
    URL = "url"
    GIT = "git"


def source_kind(text: str) -> SourceKind:
    """What `text` is: git for ``git://``, ``ssh://``, ``user@host:path`` and web addresses of ``….git``.

    What BuildKit's ``gitutil.ParseGitRef`` tells apart, but for ``github.com/owner/name`` without a scheme,
    which could as well be a directory.
    """
    if text.startswith(_GIT_SCHEMES) or _SCP_LIKE.match(text):
        return SourceKind.GIT
    if text.startswith(_HTTP):
        return SourceKind.GIT if urlsplit(text).path.endswith(".git") else SourceKind.URL
    return SourceKind.PATH


def url_file_name(url: str) -> str:
    """What a download is called in its destination directory: the path's last component."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2] or "__unnamed__"
