"""RUN as a task: its keys, its mounts, its process."""

import os
from functools import cached_property
from typing import TYPE_CHECKING

from layerstore.build.evaluate import Step
from layerstore.build.executor import Root
from layerstore.build.instruction import Run
from layerstore.build.step_key import definition_key, image_key, result_key
from layerstore.dataclass import dataclass
from layerstore.errors import LaunchError, StepFailed, UsageError
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.tasks import Cancellation
from lstore.engine.build.mount_sources import MountSources
from lstore.engine.build.request import Surroundings
from lstore.engine.build.site import Site, Workplace

if TYPE_CHECKING:
    from lstore.engine.build.step_work import RunWork
    from runner.spec import ProcessSpec

_HOSTNAME = "buildkitsandbox"
"""What BuildKit calls the host, so that what a step writes of it is the same everywhere."""


@dataclass(frozen=True)
class RunTask:
    """One RUN on `root`."""

    site: Site
    step: Step
    instruction: Run
    root: Root
    sources: MountSources
    around: Surroundings
    clamp: int | None

    @cached_property
    def definition(self) -> Digest:
        """See `Task`."""
        return self._key(self.sources.origins())

    def content_key(self, cancellation: Cancellation) -> Digest | None:
        """See `Task`."""
        contents = self.sources.contents(cancellation)
        return None if contents is None else self._key(contents)

    def _key(self, inputs: tuple[Digest, ...]) -> Digest:
        settings = {
            "epoch": str(self.clamp),
            "hosts": " ".join(f"{name}={address}" for name, address in self.around.hosts),
            "network": self._network(),
            "shm": str(self.around.limits.shm_size),
            "ulimits": " ".join(self.around.limits.ulimits),
        }
        parent = image_key(self.root.chain, self.step.before.image.platform)
        definition = definition_key(self.step, parent, inputs=inputs, settings=settings)
        return result_key(definition, self.sources.contexts())

    def perform(self, vertex: int, cancellation: Cancellation) -> Descriptor | None:
        """See `Task`."""
        from lstore.engine.build.step_work import parse_layer

        if self.instruction.security == "insecure" and not self.around.may_be_insecure:
            raise self.instruction.origin.error(
                "RUN --security=insecure was not allowed", hint="lstore build --allow security.insecure …"
            )
        with self.sources.held(cancellation), self.site.workplace() as place:
            if self.around.shell_at == self.instruction.position.line:
                shell_status = self._work(place).open_shell()
                raise self._failure(shell_status, vertex)
            try:
                answer = self.site.perform(self._work(place), vertex, cancellation)
            except LaunchError as error:
                raise StepFailed(
                    error.message,
                    vertex=vertex,
                    line=self.instruction.position.line,
                    status=error.exit_status,
                    hint=error.hint,
                ) from error
            status, _, layer = answer.partition(b" ")
            if int(status):
                raise self._failure(int(status), vertex)
            return self.site.keep(parse_layer(layer), place.made)

    def _failure(self, status: int, vertex: int) -> StepFailed:
        command = " ".join(self.step.command)
        return StepFailed(
            f"process {command[:500]!r} did not complete successfully: exit code: {status}",
            vertex=vertex,
            line=self.instruction.position.line,
            status=status,
        )

    def _network(self) -> str:
        return self.around.network if self.instruction.network == "default" else self.instruction.network

    def spec(self, state: str) -> "ProcessSpec":
        """The process; `state` is the directory of its step, which gets the script that it is to run."""
        from lstore.engine.isolation import IsolationRequest, isolated
        from runner.limits import Limits
        from runner.spec import Mount as SpecMount
        from runner.spec import ProcessSpec

        before, run, limits = self.step.before, self.instruction, self.around.limits
        mounts: tuple[SpecMount, ...] = ()
        if run.script is not None:
            path = _write_script(state, run.script.content)
            mounts = (SpecMount(f"/dev/pipes/{run.script.name}", path, is_read_only=True),)
        env = {**dict(self.around.proxies), **before.variables, **self.sources.environment()}
        spec = ProcessSpec(
            args=self.step.command,
            env=tuple(f"{key}={value}" for key, value in env.items()),
            cwd=before.image.working_dir or "/",
            user=before.image.user,
            hostname=_HOSTNAME,
            mounts=mounts,
        )
        request = IsolationRequest(
            limits=Limits(memory=limits.memory, cpus=limits.cpus),
            is_privileged=run.security == "insecure",
            ulimits=limits.ulimits,
            shm_size=limits.shm_size,
            hosts=tuple(f"{name}:{address}" for name, address in self.around.hosts),
        )
        return isolated(spec, request, _no_container, network=self._network())

    def _work(self, place: Workplace) -> "RunWork":
        from lstore.engine.build.step_work import RunWork

        view = self.site.view(self.root)
        stack = self.site.snapshotter.prepare(
            place.key, self.root.diff_ids
        ).volatile()  # a crash begins it anew
        network = self._network()
        if network not in ("host", "none"):
            raise UsageError(f"cannot run a build step in network {network!r}")
        return RunWork(
            stack,
            view,
            self.spec(place.state),
            self.sources.mounts(),
            "none" if network == "none" else "host",
            place.state,
            place.made,
            self.clamp,
            self.site.owners(self.root),
        )


def _write_script(state: str, content: str) -> str:
    path = os.path.join(state, "script")
    with open(path, "x", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o755)
        file.write(content)
    return path


def _no_container(name: str) -> str:
    raise AssertionError(f"a step shares nothing with {name}")
