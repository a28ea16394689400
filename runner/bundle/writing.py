"""Writing a bundle around a root filesystem that is there: DIRECTORY/config.json for DIRECTORY/rootfs."""

from __future__ import annotations

import os

from runner import etc_files, identity
from runner.bundle.config import FILE, ROOT, Bundled, render
from runner.failure import Doing
from runner.inside import make_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.spec import Network, ProcessSpec


def write(
    directory: str,
    spec: ProcessSpec,
    network: Network,
    *,
    has_terminal: bool,
    size: tuple[int, int] = (0, 0),
) -> None:
    """Write config.json, and the files of /etc that it binds, into `directory`, an absolute path.

    The user is looked up in the root filesystem, and the working directory made there, as our launcher does it.
    Raises `LaunchError`, `MissingFeature`.
    """
    with Doing("open the root filesystem"):
        root = os.open(f"{directory}/{ROOT}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        who = identity.with_groups(identity.resolve(spec.user, root), spec.groups, root)
        with Doing(f"make the working directory {spec.cwd}"):
            os.close(make_directory(root, spec.cwd))
    finally:
        os.close(root)
    mounts = (*etc_files.write(spec, network, directory), *spec.mounts)
    with Doing("write config.json"):
        text = render(Bundled(spec, who, mounts, network, has_terminal, size))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{directory}/{FILE}", flags, 0o644), "wb") as file:
            file.write(text)
