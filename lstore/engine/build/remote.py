"""What ADD and contexts fetch from elsewhere: downloads and git checkouts, each as a directory of ours."""

import hashlib
import os
import re
import shutil
import subprocess
import urllib.request
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit

from layerstore.build.source_kind import url_file_name
from layerstore.content import CHUNK
from layerstore.dataclass import dataclass
from layerstore.errors import (
    ContentMismatch,
    InvalidInput,
    LimitExceeded,
    MissingFeature,
    Unreachable,
    UsageError,
)
from layerstore.oci.digest import Digest

MAX_DOWNLOAD: Final = 16 << 30
_TIMEOUT: Final = 60.0
_FILE_MODE: Final = 0o600
"""Docker's for what ADD downloads."""
_REVISION: Final = re.compile(r"[\w./@^~-]+\Z")
_GIT_ENVIRONMENT: Final = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


def download(url: str, directory: str, checksum: Digest | None) -> str:
    """Fetch `url` into a file in `directory`, whose name is the result.

    Raises `ContentMismatch` where the bytes are not what `checksum` says, `Unreachable`, `LimitExceeded`.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"cannot fetch {url}: only http and https")
    name = url_file_name(url)
    hasher = hashlib.sha256() if checksum is None else checksum.new_hasher()
    request = urllib.request.Request(url, headers={"User-Agent": "lstore"})  # noqa: S310  # scheme checked above
    try:
        with (
            urllib.request.urlopen(request, timeout=_TIMEOUT) as answer,  # noqa: S310  # likewise
            open(os.path.join(directory, name), "xb") as file,
        ):
            os.fchmod(file.fileno(), _FILE_MODE)
            while data := answer.read(CHUNK):
                hasher.update(data)
                file.write(data)
                if file.tell() > MAX_DOWNLOAD:
                    raise LimitExceeded(f"{url} has more than {MAX_DOWNLOAD} bytes")
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"cannot fetch {url}: {str(reason).lower()}") from error
    if checksum is not None and hasher.hexdigest() != checksum.encoded:
        raise ContentMismatch(
            f"{url} has the digest {checksum.algorithm}:{hasher.hexdigest()}, not {checksum}"
        )
    return name


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checked out repository: the directory in it that is meant, and the commit, in hexadecimal."""

    path: str
    commit: str


def check_out(url: str, directory: str, *, keeps_git: bool = False, commit: str = "") -> Checkout:
    """Check a git repository out into the empty `directory`.

    `url` may end in ``#revision`` or ``#revision:subdirectory``. Raises `MissingFeature` without git,
    `InvalidInput` for a revision that is none, `ContentMismatch` where its commit does not start with `commit`,
    `Unreachable`.
    """
    git = shutil.which("git")
    if git is None:
        raise MissingFeature(
            "cannot check out a git repository: git is not installed", hint="apt-get install git"
        )
    address, _, fragment = url.partition("#")
    revision, _, below = fragment.partition(":")
    if address.startswith("-") or (revision and not _REVISION.match(revision)) or revision.startswith("-"):
        raise InvalidInput(f"cannot check out {url!r}: no such revision can be")
    _git(git, directory, "init", "--quiet")
    _git(git, directory, "fetch", "--quiet", "--depth=1", "--", address, revision or "HEAD")
    found_commit = _git(git, directory, "rev-parse", "FETCH_HEAD^{commit}").strip()
    if not found_commit.startswith(commit.lower()):
        raise ContentMismatch(f"{url} has the commit {found_commit}, not {commit}")
    _git(git, directory, "checkout", "--quiet", "--recurse-submodules", "FETCH_HEAD")
    if not keeps_git:
        shutil.rmtree(os.path.join(directory, ".git"))
    found = os.path.realpath(os.path.join(directory, below.strip("/")))
    if os.path.commonpath((found, os.path.realpath(directory))) != os.path.realpath(directory):
        raise InvalidInput(f"cannot use {below!r}: it is outside the repository")
    return Checkout(found, found_commit)


def _git(git: str, directory: str, *arguments: str) -> str:
    """What git prints. Raises `Unreachable`."""
    environment = {**_GIT_ENVIRONMENT, "PATH": os.defpath, "HOME": directory}
    done = subprocess.run(
        [git, "-c", "protocol.ext.allow=never", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Unreachable(f"cannot check out the git repository: {lines[-1].removeprefix('fatal: ')}")
    return done.stdout
