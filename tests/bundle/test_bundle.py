"""Bundles are valid, run under runc and crun, and give what our own launcher gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

pytestmark = pytest.mark.root

SCHEMAS = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
FLAGS = [
    "-e", "GREETING=hello", "-u", "1000:1001", "--group-add", "10", "-w", "/work", "-h", "probe", "--read-only",
    "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--oom-score-adj", "100", "--shm-size", "1m",
    "--sysctl", "net.ipv4.ip_forward=1", "--tmpfs", "/scratch:size=1m", "--cap-drop", "NET_RAW",
    "-m", "64m", "--pids-limit", "64", "--add-host", "db:10.0.0.7",
]  # fmt: skip
# Left out: /dev/core, which runc makes only where there is a /proc/kcore, and /dev/console of terminals.
PROBE = r"""
env | grep -vE '^(SHLVL|_|PWD|OLDPWD)=' | sort | sed 's/^/env /'
echo "id $(id -u):$(id -g):$(id -G)"; echo "cwd $(pwd)"; echo "hostname $(hostname)"
grep -E '^(Cap|Seccomp:|NoNewPrivs:|SigBlk)' /proc/self/status
grep -E 'open files|core file' /proc/self/limits
echo "oom $(cat /proc/self/oom_score_adj)"; echo "umask $(umask)"
echo "forward $(cat /proc/sys/net/ipv4/ip_forward)"; echo "db $(grep db /etc/hosts)"; echo "links $(ls /sys/class/net)"
for f in kcore keys timer_list; do echo "masked $f $(wc -c 2>&1 < /proc/$f)"; done
for p in /proc/sys/kernel/hostname /x /sys/x /etc/hostname /scratch/x /dev/shm/x; do
  (echo probe > $p) 2> /dev/null && echo "write $p yes" || echo "write $p no"; done
while read -r _ _ _ _ point options _; do
  case $point in /proc | /sys | /dev/shm | /dev/mqueue | /scratch) ;; *) continue ;; esac
  safe=$(echo "$options" | tr , '\n' | grep -E '^(nosuid|noexec|nodev|ro)$' | sort | tr '\n' ' ')
  echo "mount $point $safe"; done < /proc/self/mountinfo | sort
ls /dev | sort | grep -vE 'console|core' | sed 's/^/dev /'
unshare -r true 2> /dev/null && echo "unshare yes" || echo "unshare no"
"""


def command(store: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lstore.cli.main", "--root", str(store), *arguments]


def output(words: list[str]) -> str:
    """What a command prints, where crun's refusal of hybrid hosts is worked around: it looks for the mount."""
    script = 'test -d /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified; exec "$@"'
    wrapped = ["unshare", "--mount", "sh", "-c", script, "sh", *words]
    done = subprocess.run(
        wrapped, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it."""
    root = tmp_path_factory.mktemp("bundle") / "store"
    subprocess.run(command(root, "load", "-q", "-i", str(busybox_layout)), check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def bundle(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with all that the probe looks at."""
    directory = tmp_path_factory.mktemp("bundles") / "bundle"
    subprocess.run(command(store, "bundle", *FLAGS, "busybox", str(directory), "sh", "-c", PROBE), check=True)
    return directory


@pytest.fixture(scope="module")
def ours(store: Path) -> list[str]:
    """What the probe sees under our own launcher."""
    return output(command(store, "run", "--rm", *FLAGS, "busybox", "sh", "-c", PROBE)).splitlines()


@pytest.mark.package("golang-github-opencontainers-specs-dev")
@pytest.mark.parametrize(
    "flags",
    [
        FLAGS,
        ["--privileged"],
        [
            "--security-opt",
            "seccomp=unconfined",
            "--pid",
            "host",
            "--ipc",
            "host",
            "--uts",
            "host",
            "--network",
            "host",
        ],
        [
            "--device",
            "/dev/null:/dev/x:rw",
            "--cpus",
            "1.5",
            "--cpu-shares",
            "512",
            "--cpuset-cpus",
            "0",
            "--blkio-weight",
            "300",
        ],
    ],
    ids=["many", "privileged", "shared", "limited"],
)
def test_config_json_is_valid_by_the_runtime_spec(store: Path, tmp_path: Path, flags: list[str]) -> None:
    subprocess.run(command(store, "bundle", *flags, "busybox", str(tmp_path / "b")), check=True)

    resources = [
        (path.name, Resource(json.loads(path.read_text()), DRAFT4)) for path in SCHEMAS.glob("*.json")
    ]
    registry = Registry().with_resources([(name, each) for name, each in resources])
    schema = json.loads((SCHEMAS / "config-schema.json").read_text())
    schema.pop("id", None)
    validator = Draft4Validator(schema, registry=registry)
    document = json.loads((tmp_path / "b" / "config.json").read_text())
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.package("runc")
@pytest.mark.package("crun")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_bundle_runs_as_our_own_launcher_runs_it(runtime: str, bundle: Path, ours: list[str]) -> None:
    found = output(
        [runtime, "run", "--bundle", str(bundle), f"lstore-test-{os.urandom(4).hex()}"]
    ).splitlines()

    assert found == ours


@pytest.mark.package("runc")
@pytest.mark.package("crun")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_run_with_another_runtime_gives_the_same(runtime: str, store: Path, ours: list[str]) -> None:
    words = command(store, "run", "--rm", "--runtime", runtime, *FLAGS, "busybox", "sh", "-c", PROBE)

    assert output(words).splitlines() == ours


@pytest.mark.package("runc")
def test_a_limit_holds_under_another_runtime_and_nothing_is_left(store: Path) -> None:
    script = "head -c 100m /dev/zero | tail > /dev/null; echo $?"

    printed = output(
        command(store, "run", "--rm", "--runtime", "runc", "-m", "20m", "busybox", "sh", "-c", script)
    )

    assert printed == "137\n"
    assert list((store / "containers").glob("?" * 64)) == []
    assert str(store) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.package("runc")
def test_nothing_is_left_of_a_runtime_that_is_killed(store: Path) -> None:
    name = f"killed-{os.urandom(4).hex()}"
    started = command(store, "run", "-d", "--runtime", "runc", "--name", name, "busybox", "sleep", "1000")
    identifier = subprocess.run(started, check=True, capture_output=True, text=True).stdout[:12]

    subprocess.run(command(store, "rm", "-f", name), check=True, capture_output=True)

    groups = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup" in line]
    assert [path for root in groups for path in Path(root).glob(f"**/*{identifier}*")] == []


def test_a_directory_with_files_is_left_alone(store: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")

    done = subprocess.run(
        command(store, "bundle", "busybox", str(tmp_path)), capture_output=True, text=True, check=False
    )

    assert "it is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_what_a_bundle_cannot_say_leaves_no_half_bundle(store: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(store, "bundle", "-u", "nobody-there", "busybox", str(tmp_path / "b")),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "no user 'nobody-there'" in done.stderr
    assert list((tmp_path / "b").iterdir()) == []
