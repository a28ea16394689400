"""``lstore version``."""

import os
import platform

import click

from layerstore.oci.platform import Platform
from lstore.cli.format import object_text
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Value
from lstore.cli.verbs import VERSION
from lstore.version import __version__


@verb(VERSION)
@click.option("-f", "--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.pass_obj
def command(session: Session, *, form: str | None) -> None:
    found: dict[str, Value] = {
        "Version": __version__,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": Platform.host(os.uname().machine).architecture,
        "KernelVersion": os.uname().release,
    }
    if form is not None:
        session.line(object_text({"Client": found}, form))
        return
    session.lines(
        [
            "lstore",
            f" Version:         {found['Version']}",
            f" Python version:  {found['PythonVersion']}",
            f" OS/Arch:         {found['Os']}/{found['Arch']}",
            f" Kernel version:  {found['KernelVersion']}",
        ]
    )
