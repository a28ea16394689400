"""Builds of an ordinary user: with one id, and with subordinate ones."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.builds import REPOSITORY, Builder

pytestmark = pytest.mark.root  # to become that user

UID = 54322
FIRST_SUBORDINATE = 800000
AS_USER = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all")
TEXT = """
FROM busybox AS made
COPY --chown=5:6 f /owned/
RUN --mount=type=cache,target=/c --mount=type=secret,id=s touch /c/x && test -s /run/secrets/s && echo made > /made
RUN --mount=type=bind,target=/ctx cat /ctx/f >> /made && rm /etc/group
FROM busybox
COPY --from=made /made /owned /result/
RUN echo >> /result/made && ! test -e /etc/hosts.never
"""


@pytest.fixture(params=["one id", "subordinate ids"])
def user_builder(request: pytest.FixtureRequest, tmp_path: Path, busybox_layout: Path) -> Iterator[Builder]:
    """A store of a user who exists in no file of this machine, or in those that are bound over them.

    Not below pytest's own directory, which each new session closes to others again.
    """
    prefix = ("env", "--unset=COVERAGE_PROCESS_CONFIG", "--unset=COVERAGE_PROCESS_START", *AS_USER)
    if request.param == "subordinate ids":
        prefix = (*with_subordinate_ids(tmp_path), *prefix)
    opened = str(REPOSITORY / "lstore" / "__init__.py")
    probe = [*prefix, sys.executable, "-I", "-c", f"import ctypes; open({opened!r})"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip("this checkout or its interpreter is closed to other users")
    with tempfile.TemporaryDirectory(prefix="lstore-rootless-") as directory:
        home = Path(directory)
        shutil.copytree(busybox_layout, home / "busybox")
        builder = Builder(home, prefix)
        own(home)
        loaded = builder.call("load", "-q", "-i", str(home / "busybox"))
        assert loaded.returncode == 0, loaded.stderr
        yield builder


def with_subordinate_ids(directory: Path) -> tuple[str, ...]:
    """Starts what follows where the user has subordinate ids: the files that grant them are bound for it alone."""
    files = {
        "passwd": f"tester:x:{UID}:{UID}::/:/bin/sh\n",
        "subuid": f"tester:{FIRST_SUBORDINATE}:65536\n",
        "subgid": f"{UID}:{FIRST_SUBORDINATE}:65536\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    binds = " && ".join(f"mount --bind {directory}/{name} /etc/{name}" for name in files)
    return ("unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh")


def own(path: Path) -> None:
    """Give all below `path` to the user."""
    for directory, _, names in os.walk(path):
        for name in (".", *names):
            os.chown(os.path.join(directory, name), UID, UID, follow_symlinks=False)


def test_everything_works_without_a_privilege(user_builder: Builder) -> None:
    context = user_builder.context(TEXT, {"f": "f\n"})
    (context / "secret").write_text("secret")
    own(context)
    flags = ("--secret", f"id=s,src={context}/secret", "-t", "mine")

    first = user_builder.build(context, *flags)
    second = user_builder.build(context, *flags, quiet=False)
    third = user_builder.build(context, *flags)

    assert first.status == 0, first.errors
    assert second.step("RUN echo") == "CACHED"
    assert first.id == third.id
    shown = user_builder.call("cat", "mine", "/result/made")
    assert (shown.stdout, shown.stderr) == ("made\nf\n\n", "")
    assert user_builder.call("builder", "prune", "-a", "-f").returncode == 0
    assert user_builder.call("fsck").returncode == 0
    # Last, as the test itself is root, and leaves root's files.
    owners = {path: facts[2:4] for path, facts in user_builder.tree("mine").items()}
    assert owners["result/f"] == (5, 6)
    assert owners["result/made"] == (0, 0)


def test_files_stay_whose_they_were_in_the_image(user_builder: Builder) -> None:
    text = """
        FROM busybox
        COPY f /f
        COPY --chown=5:6 f /owned
        RUN mkdir /d && stat -c '%u:%g' /bin/busybox /f /d / > /owners
        RUN touch /bin/made && echo more >> /owned
    """
    context = user_builder.context(text, {"f": "f\n"})
    own(context)

    result = user_builder.build(context, "-t", "owned")

    assert result.status == 0, result.errors
    assert user_builder.call("cat", "owned", "/owners").stdout.split() == ["0:0"] * 4
    owners = {path: facts[2:4] for path, facts in user_builder.tree("owned").items()}
    assert {owners[path] for path in ("bin/made", "d", "f", "bin/busybox")} == {(0, 0)}
    assert owners["owned"] == (5, 6)
