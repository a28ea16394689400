"""``lstore info``, ``lstore system info``."""

from typing import TYPE_CHECKING

import click

from lstore.cli.format import object_text
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Value
from lstore.cli.units import human_size
from lstore.cli.verbs import INFO

if TYPE_CHECKING:
    from lstore.engine.info import Info


@verb(INFO)
@click.option("-f", "--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.pass_obj
def command(session: Session, *, form: str | None) -> None:
    from lstore.engine.info import info

    found = info(session.engine())
    if form is not None:
        session.line(object_text(_as_value(found), form))
    else:
        session.lines(_lines(found))


def _as_value(info: "Info") -> dict[str, Value]:
    return {
        "Architecture": info.architecture,
        "CgroupVersion": str(info.cgroup_version),
        "Containers": info.containers,
        "Driver": info.driver,
        "DriverReason": info.driver_reason,
        "Images": info.images,
        "KernelVersion": info.kernel,
        "LstoreRootDir": info.root,
        "MemTotal": info.memory,
        "NCPU": info.cpus,
        "Name": info.host,
        "OSType": "linux",
        "OperatingSystem": info.operating_system,
        "PythonVersion": info.python,
        "Rootless": info.is_rootless,
        "ServerVersion": info.version,
    }


def _lines(info: "Info") -> list[str]:
    return [
        f"Containers: {info.containers}",
        f"Images: {info.images}",
        f"Version: {info.version}",
        f"Storage Driver: {info.driver}",
        f" Reason: {info.driver_reason}",
        f"Root Dir: {info.root}",
        f"Rootless: {str(info.is_rootless).lower()}",
        f"Cgroup Version: {info.cgroup_version}",
        f"Kernel Version: {info.kernel}",
        f"Operating System: {info.operating_system}",
        f"Architecture: {info.architecture}",
        f"CPUs: {info.cpus}",
        f"Total Memory: {human_size(info.memory)}",
        f"Name: {info.host}",
        f"Python Version: {info.python}",
    ]
