"""`info`: what this host and this store offer."""

import os
import platform
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass
from lstore.engine import catalog
from lstore.version import __version__

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

_CGROUP2 = "/sys/fs/cgroup/cgroup.controllers"


@dataclass(frozen=True, slots=True)
class Info:
    """Facts, each by the name that docker's info has for it where docker knows it. Memory in bytes."""

    version: str
    root: str
    images: int
    containers: int
    driver: str
    driver_reason: str
    is_rootless: bool
    cgroup_version: int
    kernel: str
    operating_system: str
    architecture: str
    cpus: int
    memory: int
    host: str
    python: str


def info(engine: "Engine") -> Info:
    """The facts as of now. Raises `StorageError`, `StoreDamaged`."""
    names = os.uname()
    return Info(
        version=__version__,
        root=engine.root,
        images=len({image.id for image in catalog.images(engine.store, engine.store.refs.read())}),
        containers=len(engine.snapshotter.active()),
        driver=engine.driver_choice.driver.name,
        driver_reason=engine.driver_choice.reason,
        is_rootless=os.geteuid() != 0,
        cgroup_version=2 if os.path.exists(_CGROUP2) else 1,
        kernel=names.release,
        operating_system=_operating_system(),
        architecture=names.machine,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        host=names.nodename,
        python=platform.python_version(),
    )


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
