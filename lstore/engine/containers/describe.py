"""`inspect` for containers: all there is to know about one, in docker's JSON."""

from __future__ import annotations

from runner.container import NO_LOG, rfc3339
from runner.log_file import log_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.oci.document import Json
    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine
    from runner.spec import Mount


def describe(engine: Engine, container: Container) -> dict[str, Json]:
    """`container` as ``docker container inspect`` prints it; fields that only docker's engine has are left out."""
    config = container.config
    return {
        "Id": config.id,
        "Created": rfc3339(config.created_ns),
        "Path": config.spec.args[0],
        "Args": list(config.spec.args[1:]),
        "State": _state(container),
        "Image": config.image_id,
        "ResolvConfPath": container.home.file("resolv.conf"),
        "HostnamePath": container.home.file("hostname"),
        "HostsPath": container.home.file("hosts"),
        "LogPath": "" if config.log_driver == NO_LOG else log_path(container.home.path),
        "Name": f"/{config.name}",
        "RestartCount": container.state.restarts,
        "Driver": engine.driver_choice.driver.name,
        "Platform": "linux",
        "HostConfig": _host_config(container),
        "GraphDriver": {"Name": "overlay", "Data": _stack(engine, config.id)},
        "Mounts": [_mount(each) for each in config.spec.mounts],
        "Config": _config(container),
        "NetworkSettings": {"Ports": {}, "Networks": {config.network: {}}},
    }


def _state(container: Container) -> dict[str, Json]:
    state = container.state
    described: dict[str, Json] = {
        "Status": "paused" if state.is_paused else state.status,
        "Running": state.is_alive,
        "Paused": state.is_paused,
        "Restarting": state.status == "restarting",
        "OOMKilled": state.is_oom_killed,
        "Dead": False,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_at,
        "FinishedAt": state.finished_at,
    }
    if container.config.health is not None:
        described["Health"] = {
            "Status": state.health or "none",
            "FailingStreak": state.failing,
            "Log": [
                {"Start": each.start, "End": each.end, "ExitCode": each.exit_code, "Output": each.output}
                for each in state.probes
            ],
        }
    return described


def _host_config(container: Container) -> dict[str, Json]:
    config, spec = container.config, container.config.spec
    limits, confinement = spec.limits, spec.confinement
    return {
        "Binds": [_bind(each) for each in spec.mounts if each.source],
        "LogConfig": {
            "Type": config.log_driver,
            "Config": {}
            if config.log_driver == NO_LOG
            else {"max-size": str(config.log_size), "max-file": str(config.log_files)},
        },
        "NetworkMode": config.network,
        "RestartPolicy": {"Name": config.restart.name, "MaximumRetryCount": config.restart.most},
        "AutoRemove": config.is_removed_at_end,
        "CapEff": sorted(spec.capabilities),
        "Privileged": confinement.is_privileged,
        "ReadonlyRootfs": spec.is_read_only,
        "Init": spec.has_init,
        "PidMode": confinement.sharing.pid,
        "IpcMode": confinement.sharing.ipc or "private",
        "UTSMode": confinement.sharing.uts,
        "ShmSize": confinement.shm_size,
        "OomScoreAdj": confinement.oom_score_adj or 0,
        "Memory": limits.memory or 0,
        "MemorySwap": limits.memory_swap or 0,
        "MemoryReservation": limits.memory_reservation or 0,
        "NanoCpus": limits.cpus or 0,
        "CgroupParent": limits.parent,
        "CpuQuota": limits.cpu_quota or 0,
        "CpuPeriod": limits.cpu_period or 0,
        "CpuShares": limits.cpu_shares or 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "PidsLimit": limits.pids,
        "BlkioWeight": limits.blkio_weight or 0,
    }


def _config(container: Container) -> dict[str, Json]:
    config, spec = container.config, container.config.spec
    described: dict[str, Json] = {
        "Hostname": spec.hostname,
        "User": spec.user,
        **{f"Attach{name.title()}": name in config.attached for name in ("stdin", "stdout", "stderr")},
        "Tty": config.has_terminal,
        "OpenStdin": config.has_input,
        "StdinOnce": config.closes_input,
        "Env": list(spec.env),
        "Cmd": list(config.command),
        "Image": config.image,
        "WorkingDir": spec.cwd,
        "Entrypoint": list(config.entrypoint) or None,
        "Labels": dict(config.labels),
        "StopSignal": str(config.stop_signal),
        "StopTimeout": config.stop_timeout,
    }
    check = config.health
    if check is not None:
        described["Healthcheck"] = {
            "Test": ["CMD", *check.args],
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    return described


def _bind(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.is_read_only else "")


def _mount(mount: Mount) -> dict[str, Json]:
    return {
        "Type": "tmpfs" if mount.source is None else "bind",
        "Source": mount.source or "",
        "Destination": mount.target,
        "RW": not mount.is_read_only,
        "Propagation": mount.propagation,
    }


def _stack(engine: Engine, identifier: str) -> dict[str, Json]:
    stack = engine.snapshotter.mounts(identifier)
    return {"UpperDir": stack.upper, "WorkDir": stack.work}
