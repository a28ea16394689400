"""Where the source of an ADD is: in the context, behind a URL, or in a git repository."""

import re
from enum import Enum
from typing import Final

_GIT_SCHEMES: Final = ("git://", "ssh://")
_HTTP: Final = ("http://", "https://")
_QUERY: Final = re.compile(r"[?#]")
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
        return SourceKind.GIT if _path(text).endswith(".git") else SourceKind.URL
    return SourceKind.PATH


def url_file_name(url: str) -> str:
    """What a download is called in its destination directory: the path's last component."""
    name = _path(url).rstrip("/").rpartition("/")[2]
    return "__unnamed__" if name in ("", ".", "..") else name


def _path(url: str) -> str:
    """A web address's path. Not urllib's, which raises for addresses that only the fetcher has to refuse."""
    before_query = _QUERY.split(url, maxsplit=1)[0]
    return "/" + before_query.partition("://")[2].partition("/")[2]
