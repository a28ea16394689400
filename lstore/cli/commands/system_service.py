"""``lstore system service``."""

import os
import shlex
import sys

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_SERVICE

_UNIT = """[Unit]
Description=Containers of lstore that are to run
After=local-fs.target network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} system restore
# Monitors and their containers are not this unit's to end when it is stopped or started again; each
# ends its container in its own way when the machine goes down.
KillMode=none
SendSIGKILL=no
Delegate=yes

[Install]
WantedBy={target}
"""


@verb(SYSTEM_SERVICE)
@click.pass_obj
def command(session: Session) -> None:
    """Install it with:

    \b
    lstore system service > /etc/systemd/system/lstore.service
    systemctl enable lstore.service
    """
    words = [sys.executable, "-m", "lstore", "--root", session.engine().root]
    target = "multi-user.target" if os.geteuid() == 0 else "default.target"
    session.streams.out.write(_UNIT.format(command=shlex.join(words), target=target))
