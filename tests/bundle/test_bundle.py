"""Bundles are valid, run under runc and crun, and give what our own launcher gives."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from runner.syscalls import SYSCALLS

pytestmark = pytest.mark.root

SCHEMAS = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
PROBE = Path(__file__).with_name("probe.py")
FLAGS = [
    "-e", "GREETING=hello", "-u", "1000:1001", "--group-add", "10", "-w", "/work", "-h", "probe", "--read-only",
    "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--oom-score-adj", "100", "--shm-size", "1m",
    "--sysctl", "net.ipv4.ip_forward=1", "--tmpfs", "/scratch:size=1m", "--cap-drop", "NET_RAW",
    "-m", "64m", "--pids-limit", "64", "--add-host", "db:10.0.0.7",
]  # fmt: skip
# SHARED stands for a directory of the host, PROFILE for a file.
COMBINATIONS = {
    "many": FLAGS,
    "none": [],
    "shared": ["--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host", "--network", "host"],
    "capable": ["--cap-drop", "ALL", "--cap-add", "SYS_ADMIN", "--cap-add", "CHOWN"],
    "strict": ["-u", "nobody", "--security-opt", "no-new-privileges", "--security-opt", "seccomp=PROFILE"],
    "open": ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"],
    "bound": [
        "-v", "SHARED:/rw", "-v", "SHARED:/ro:ro", "--mount", "type=tmpfs,dst=/scratch,tmpfs-size=2m,tmpfs-mode=700",
        "--tmpfs", "/free:exec,suid", "--device", "/dev/zero:/dev/zeros", "--device", "/dev/full:/dev/half:r",
        "--cpuset-cpus", "0", "--domainname", "example", "--dns", "10.1.1.1", "--dns-search", "example.org",
    ],
}  # fmt: skip
PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        {
            "names": ["getpgid"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 0, "value": 2**64 - 1, "op": "SCMP_CMP_EQ"}],
        },
    ],
}
# What takes the machine down, makes what outlives the probe, or returns twice.
COLUMN = 0 if os.uname().machine == "x86_64" else 1  # of SYSCALLS
UNTRIED = (
    "clone", "exit", "exit_group", "fork", "kexec_file_load", "kexec_load", "msgget", "reboot", "restart_syscall",
    "rt_sigreturn", "semget", "shmget", "sync", "vfork", "vhangup",
)  # fmt: skip


def command(store: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "lstore", "--root", str(store), *arguments]


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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to bind, that everybody may read."""
    directory = tmp_path_factory.mktemp("shared")
    directory.chmod(0o755)
    shutil.copy(PROBE, directory)
    (directory / "profile.json").write_text(json.dumps(PROFILE))
    (directory / "probe").touch()
    return directory


def probing(shared: Path, flags: Sequence[str]) -> list[str]:
    """Options, image and command: the probe, run by this machine's Python."""
    given = [
        word.replace("SHARED", str(shared)).replace("PROFILE", f"{shared}/profile.json") for word in flags
    ]
    binds = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
    binds.append(f"{shared}:/probe:ro")
    skipped = ",".join(str(SYSCALLS[name][COLUMN]) for name in UNTRIED if SYSCALLS[name][COLUMN] is not None)
    namespaces = [os.readlink(entry.path) for entry in os.scandir("/proc/self/ns")]
    options = [word for bind in binds for word in ("-v", bind)]
    program = ["python3", "-I", "-S", "/probe/probe.py", skipped, *namespaces]
    return [*options, "-h", "probe", *given, "busybox", *program]


def comparable(output: str) -> list[str]:
    """The facts without those that differ on purpose, or by what is another's: docs/isolation.md."""
    return [fact for line in output.splitlines() if (fact := _comparable(line))]


def _comparable(line: str) -> str:
    match line.split():
        case ["link", name, _] if name.startswith("veth"):
            return ""  # of other containers on this host, which come and go meanwhile
        case ["dev", "core", *_]:
            return ""  # runc makes it only where there is a /proc/kcore
        case ["call", number, *_] if int(number) == SYSCALLS["personality"][COLUMN]:
            return (
                ""  # a bundle cannot say that a value is none of several; libseccomp looks at 64 bits of it
            )
        case ["dev", "null", mode, _, *rest]:
            return f"dev null {mode} {rest}"  # crun gives what is its standard input or output to the user inside
        case ["mount", point, _, options, *_]:
            return _comparable_mount(line, point, options.split(","))
    return line


def _comparable_mount(line: str, point: str, options: list[str]) -> str:
    is_read_only = "ro" if "ro" in options else "rw"
    if point.startswith("/sys/fs/cgroup"):
        return ""  # how many there are is the host's
    if point.startswith("/dev/") and point not in ("/dev/pts", "/dev/shm", "/dev/mqueue"):
        return ""  # our devices are bound
    if point in ("/", "/dev"):
        return f"mount {point} {is_read_only}"  # ours lets no device node work
    if point.startswith(("/proc/", "/sys/")):
        # What masks a file is never written to, and crun has no other flags on these.
        return f"mount {point} {is_read_only if point in READ_ONLY else 'masked'}"
    return line


READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
OURS: dict[str, list[str]] = {}


def ours(store: Path, shared: Path, combination: str) -> list[str]:
    """What the probe sees under our own launcher, found out once."""
    if combination not in OURS:
        words = command(store, "run", "--rm", *probing(shared, COMBINATIONS[combination]))
        OURS[combination] = comparable(output(words))
    return OURS[combination]


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
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_bundle_runs_as_our_own_launcher_runs_it(
    store: Path, shared: Path, tmp_path: Path, combination: str
) -> None:
    bundle = str(tmp_path / "bundle")
    image_and_words = probing(shared, COMBINATIONS[combination])
    split = image_and_words.index("busybox") + 1
    subprocess.run(
        command(store, "bundle", *image_and_words[:split], bundle, *image_and_words[split:]), check=True
    )

    for runtime in ("runc", "crun"):
        name = f"lstore-test-{os.urandom(4).hex()}"
        found = comparable(output([runtime, "run", "--bundle", bundle, name]))

        assert found == ours(store, shared, combination), runtime


@pytest.mark.package("runc")
@pytest.mark.package("crun")
@pytest.mark.parametrize("combination", ["many", "bound"])
def test_run_with_another_runtime_gives_the_same(store: Path, shared: Path, combination: str) -> None:
    for runtime in ("runc", "crun"):
        flags = ["--rm", "--runtime", runtime]
        found = comparable(output(command(store, "run", *flags, *probing(shared, COMBINATIONS[combination]))))
        expected = ours(store, shared, combination)

        # The limit holds for the runtime's own threads, too.
        assert [fact for fact in found if not fact.startswith("forks ")] == [
            fact for fact in expected if not fact.startswith("forks ")
        ], runtime
        assert sum(fact.startswith("forks ") for fact in found) == sum(
            fact.startswith("forks ") for fact in expected
        )


def test_what_only_our_own_launcher_can_do_is_refused(store: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    ids.write_text("lstore:1000000:65536\n")
    bind = (
        'touch /etc/subuid /etc/subgid; for f in subuid subgid; do mount --bind $0 /etc/$f; done; exec "$@"'
    )
    mapped = ["unshare", "--mount", "sh", "-c", bind, str(ids)]
    for flags, message in (["--init"], "with an init"), (["--userns", "remap"], "other ids inside"):
        words = command(store, "run", "--rm", "--runtime", "runc", *flags, "busybox", "true")
        done = subprocess.run([*mapped, *words], capture_output=True, text=True, check=False)

        assert (done.returncode, message in done.stderr) == (125, True), done


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


@pytest.mark.package("runc")
def test_a_bundle_has_the_quota_and_its_period(store: Path, tmp_path: Path) -> None:
    flags = ["--cpu-quota", "20000", "--cpu-period", "50000"]
    script = "cd /sys/fs/cgroup; cat cpu.max 2> /dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"
    bundle = str(tmp_path / "b")
    subprocess.run(command(store, "bundle", *flags, "busybox", bundle, "sh", "-c", script), check=True)

    document = json.loads((tmp_path / "b" / "config.json").read_text())
    printed = output(["runc", "run", "--bundle", bundle, f"lstore-test-{os.urandom(4).hex()}"])

    assert document["linux"]["resources"]["cpu"] == {"quota": 20000, "period": 50000}
    assert printed.split() == ["20000", "50000"]


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
