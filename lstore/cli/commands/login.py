"""``lstore login``."""

import getpass

import click

from layerstore.errors import UsageError
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LOGIN

MAX_SECRET = 64 << 10
"""Bytes of a user name or password."""


@verb(LOGIN)
@click.argument("server", metavar="[SERVER]", default="")
@click.option("-u", "--username", metavar="STRING", help="The user name")
@click.option("-p", "--password", metavar="STRING", help="The password or access token")
@click.option("--password-stdin", is_flag=True, help="Take the password from standard input")
@click.pass_obj
def command(
    session: Session, *, server: str, username: str | None, password: str | None, password_stdin: bool
) -> None:
    from lstore.engine.login import login, registry_name

    registry = registry_name(server)
    if password is not None:
        session.streams.err.line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if password_stdin:
        if password is not None:
            raise UsageError("--password and --password-stdin contradict each other")
        if username is None:
            raise UsageError("--password-stdin needs --username", hint="lstore login --help")
        password = _decoded(session.streams.stdin.read(MAX_SECRET)).rstrip("\r\n")
    name = username if username is not None else _ask(session, f"Username for {registry}: ")
    secret = password if password is not None else _ask_secret(session)
    if not name or not secret:
        raise UsageError("a user name and a password are needed", hint="lstore login --help")
    login(session.engine(), registry, name, secret)
    session.line("Login Succeeded")


def _ask(session: Session, question: str) -> str:
    _check_interactive(session)
    session.streams.out.write(question)
    session.streams.out.flush()
    return _decoded(session.streams.stdin.readline(MAX_SECRET)).strip()


def _ask_secret(session: Session) -> str:
    _check_interactive(session)
    return getpass.getpass("Password: ")


def _check_interactive(session: Session) -> None:
    if not session.streams.stdin.isatty():
        raise UsageError(
            "cannot ask for credentials: standard input is no terminal",
            hint="lstore login --username NAME --password-stdin",
        )


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError("credentials must be UTF-8 text") from error
