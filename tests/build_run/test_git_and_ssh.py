"""Contexts and ADD from git repositories, and agents for steps: with git's own server and ssh's own agent."""

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root
git = pytest.mark.package("git")
ssh = pytest.mark.package("openssh-client")


class GitDaemon(socketserver.BaseRequestHandler):
    """Hands each connection to git-daemon(1)."""

    def handle(self) -> None:
        base = self.server.base  # type: ignore[attr-defined]  # set below
        command = ["git", "daemon", "--inetd", "--export-all", f"--base-path={base}", base]
        stream = self.request.fileno()
        subprocess.run(command, stdin=stream, stdout=stream, stderr=subprocess.DEVNULL, check=False)


class Repository:
    """A repository with two commits, the first one tagged, and the address of its server."""

    def __init__(self, path: Path, address: str) -> None:
        self.path = path
        self.address = address
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        dockerfile = "FROM scratch\nCOPY . /got/\n"
        self.commit(
            {"Dockerfile": dockerfile, "version": "1\n", "sub/Dockerfile": dockerfile, "sub/in": "s\n"}
        )
        self.git("tag", "v1")
        self.commit({"version": "2\n"})

    def git(self, *arguments: str) -> str:
        """What git prints."""
        names = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, **names}
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str]) -> None:
        """Commit `files`."""
        for name, text in files.items():
            (self.path / name).parent.mkdir(exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "change")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """A repository that git-daemon serves."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), GitDaemon) as server:
        server.base = str(tmp_path / "served")  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        address = f"git://127.0.0.1:{server.server_address[1]}/repository.git"
        yield Repository(tmp_path / "served" / "repository.git", address)
        server.shutdown()
        thread.join()


@git
@pytest.mark.parametrize(
    ("fragment", "version"), [("", "2\n"), ("#main", "2\n"), ("#v1", "1\n"), ("#refs/tags/v1", "1\n")]
)
def test_a_repository_is_a_context(
    builder: Builder, repository: Repository, fragment: str, version: str
) -> None:
    result = builder.build(f"{repository.address}{fragment}")

    assert result.status == 0, result.errors
    assert builder.read(result.id, "/got/version") == version
    assert not any(path.startswith("got/.git") for path in builder.tree(result.id))


@git
def test_a_directory_and_a_commit_of_a_repository_are_a_context(
    builder: Builder, repository: Repository
) -> None:
    commit = repository.git("rev-parse", "v1")

    result = builder.build(f"{repository.address}#{commit}:sub")

    assert result.status == 0, result.errors
    assert sorted(builder.tree(result.id)) == ["got", "got/Dockerfile", "got/in"]


@git
@pytest.mark.parametrize("fragment", ["#nowhere", "#main:../..", "#--upload-pack=x", "#main:missing"])
def test_what_no_repository_has_is_refused(builder: Builder, repository: Repository, fragment: str) -> None:
    result = builder.build(f"{repository.address}{fragment}")

    assert result.status not in (0, 70)
    assert "bug" not in result.errors


@git
def test_add_takes_a_repository(builder: Builder, repository: Repository) -> None:
    tree = builder.tree(builder.image(f"FROM scratch\nADD {repository.address}#v1:sub /x/"))

    assert sorted(tree) == ["x", "x/Dockerfile", "x/in"]


@git
def test_add_keeps_what_git_knows_and_is_cached_by_commit(builder: Builder, repository: Repository) -> None:
    context = builder.context(f"FROM scratch\nADD --keep-git-dir {repository.address} /x/\nCOPY Dockerfile /")
    first = builder.build(context, "-o", f"{builder.directory}/with-git")
    commit = repository.git("rev-parse", "HEAD")

    again = builder.build(context, quiet=False)
    repository.commit({"version": "3\n"})
    changed = builder.build(context, quiet=False)

    assert first.status == 0, first.errors
    kept = ["git", "-c", "safe.directory=*", "-C", f"{builder.directory}/with-git/x"]
    shown = subprocess.run([*kept, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    clean = subprocess.run([*kept, "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert (shown.stdout.strip(), clean.stdout) == (commit, "")
    assert again.step("ADD --keep-git-dir") == "CACHED"
    assert changed.step("ADD --keep-git-dir") == "DONE"


@git
def test_the_checksum_of_a_repository_is_its_commit(builder: Builder, repository: Repository) -> None:
    commit = repository.git("rev-parse", "v1")
    text = f"FROM scratch\nADD --checksum={{}} {repository.address}#v1 /x/"

    for good in (commit, commit[:12]):
        assert builder.build(builder.context(text.format(good)), "--no-cache").status == 0
    other = builder.build(builder.context(text.format("0" * 40)))
    digest = builder.build(builder.context(text.format(f"sha256:{'0' * 64}")))

    assert (other.status, digest.status) == (1, 1)
    assert f"has the commit {commit}, not {'0' * 40}" in other.errors
    assert "of a git repository it is a commit" in digest.errors


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The socket of an agent that knows one key, and that key's fingerprint."""
    key, socket = tmp_path / "key", tmp_path / "agent"
    quiet = {"check": True, "capture_output": True}
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], **quiet)  # type: ignore[call-overload]  # two flags
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it listens from then on
        subprocess.run(["ssh-add", str(key)], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, **quiet)  # type: ignore[call-overload]  # likewise
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True
        )
        yield str(socket), shown.stdout.split()[1]
        process.terminate()


@ssh
def test_a_step_speaks_with_the_agent(builder: Builder, agent: tuple[str, str]) -> None:
    socket, fingerprint = agent
    host = programs(builder.directory / "programs", "ssh-add")
    text = (
        "FROM busybox\nCOPY --from=host . /\n"
        "RUN --mount=type=ssh /ssh-add -l > /shown && test -S $SSH_AUTH_SOCK\n"
        'RUN ls /run >> /shown 2>&1; echo "[$SSH_AUTH_SOCK]" >> /shown'
    )
    flags = ("--ssh", f"default={socket}", "--build-context", f"host={host}")

    result = builder.build(builder.context(text), *flags)

    assert result.status == 0, result.errors
    shown = builder.read(result.id, "/shown")
    assert fingerprint in shown
    assert shown.endswith("[]\n")
    assert "buildkit" not in shown
    assert not any(path.startswith("run/") for path in builder.tree(result.id))


@ssh
def test_a_step_that_requires_an_agent_says_so(builder: Builder) -> None:
    result = builder.build(builder.context("FROM busybox\nRUN --mount=type=ssh,required echo"))

    assert result.status == 1
    assert "no SSH key" in result.errors
    assert "--ssh default" in result.errors


def programs(directory: Path, *names: str) -> Path:
    """A root with these programs of ours and the libraries that they are linked to."""
    directory.mkdir()
    for name in names:
        path = shutil.which(name)
        assert path is not None
        shutil.copy(path, directory / name)
        linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout.split()
        for library in filter(os.path.isfile, linked):
            target = directory / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    return directory
