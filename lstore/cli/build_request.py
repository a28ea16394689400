"""What the options of ``lstore build`` ask the engine for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass
from layerstore.errors import UsageError
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from lstore.cli import build_options
from lstore.cli.quantities import parse_binary_size
from lstore.cli.units import parse_size

if TYPE_CHECKING:
    from lstore.cli.flags import Given
    from lstore.engine.build.inputs import Inputs
    from lstore.engine.build.request import BuildRequest, Surroundings

_EPOCH = "SOURCE_DATE_EPOCH"
_KEEP_STORAGE = "LSTORE_BUILD_KEEP_STORAGE"
_INSECURE = "security.insecure"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options that make the request."""

    tags: Sequence[str]
    target: str
    arguments: Sequence[str]
    labels: Sequence[str]
    annotations: Sequence[str]
    platforms: Sequence[str]
    contexts: Sequence[str]
    secrets: Sequence[str]
    ssh: Sequence[str]
    hosts: Sequence[str]
    network: str
    allowed: Sequence[str]
    memory: str | None
    cpus: str | None
    shm_size: str | None
    ulimits: Sequence[str]
    no_cache: bool
    filters: Sequence[str]
    cache_from: Sequence[str]
    cache_to: Sequence[str]
    pull: bool
    is_squashed: bool
    provenance: str
    sbom: str
    attests: Sequence[str]

    @classmethod
    def of(cls, given: "Given") -> "BuildOptions":
        """As the command line has them."""
        return cls(
            tags=given.texts("tags"),
            target=given.text("target") or "",
            arguments=given.texts("arguments"),
            labels=given.texts("labels"),
            annotations=given.texts("annotations"),
            platforms=given.texts("platforms"),
            contexts=given.texts("contexts"),
            secrets=given.texts("secrets"),
            ssh=given.texts("ssh"),
            hosts=given.texts("hosts"),
            network=given.text("network") or "default",
            allowed=given.texts("allowed"),
            memory=given.text("memory"),
            cpus=given.text("cpus"),
            shm_size=given.text("shm_size"),
            ulimits=given.texts("ulimits"),
            no_cache=given.is_on("no_cache"),
            filters=given.texts("filters"),
            cache_from=given.texts("cache_from"),
            cache_to=given.texts("cache_to"),
            pull=given.is_on("pull"),
            is_squashed=given.is_on("is_squashed"),
            provenance=given.text("provenance") or "",
            sbom=given.text("sbom") or "",
            attests=given.texts("attests"),
        )

    def request(self, inputs: "Inputs", environment: Mapping[str, str]) -> "BuildRequest":
        """What the engine is asked for. Raises `UsageError`, `InvalidReference`, `InvalidPlatform`, `NotFound`."""
        from layerstore.build.solver import CachePolicy
        from lstore.engine.build.request import BuildRequest

        given = build_options.build_arguments(self.arguments, environment)
        platforms = [each for text in self.platforms for each in text.split(",")]
        return BuildRequest(
            inputs.dockerfile,
            inputs.dockerfile_name,
            inputs.context,
            tags=tuple(dict.fromkeys(map(Reference.parse, self.tags))),
            target=self.target,
            arguments=given,
            labels=build_options.labels(self.labels),
            annotations=build_options.key_values(self.annotations, "--annotation"),
            platforms=tuple(dict.fromkeys(map(Platform.parse, platforms))),
            named_contexts=build_options.key_values(self.contexts, "--build-context"),
            surroundings=self._surroundings(given, environment),
            policy=CachePolicy(self.no_cache, frozenset(self.filters)),
            cache_from=build_options.caches(self.cache_from, "--cache-from"),
            cache_to=build_options.caches(self.cache_to, "--cache-to"),
            pull=self.pull,
            is_squashed=self.is_squashed,
            has_provenance=build_options.wants("provenance", self.provenance, self.attests),
            has_sbom=build_options.wants("sbom", self.sbom, self.attests),
            epoch=_epoch(given.get(_EPOCH, environment.get(_EPOCH, ""))),
            keep_storage=_keep_storage(environment.get(_KEEP_STORAGE, "")),
        )

    def _surroundings(self, given: Mapping[str, str], environment: Mapping[str, str]) -> "Surroundings":
        from layerstore.build.arguments import proxy_environment
        from lstore.engine.build.request import StepLimits, Surroundings

        unknown = set(self.allowed) - {_INSECURE, "network.host"}
        if unknown:
            raise UsageError(f"invalid --allow {sorted(unknown)[0]!r}", hint=f"--allow {_INSECURE}")
        return Surroundings(
            hosts=build_options.hosts(self.hosts),
            network="host" if self.network == "default" else self.network,
            proxies=proxy_environment(given),
            secrets=build_options.secrets(self.secrets, environment),
            ssh=build_options.agents(self.ssh, environment),
            may_be_insecure=_INSECURE in self.allowed,
            limits=StepLimits(
                memory=None if self.memory is None else parse_binary_size(self.memory),
                cpus=build_options.processors(self.cpus),
                shm_size=None if self.shm_size is None else parse_binary_size(self.shm_size),
                ulimits=tuple(self.ulimits),
            ),
        )


def _keep_storage(text: str) -> int:
    from lstore.engine.build.request import KEEP_STORAGE

    return parse_size(text) if text else KEEP_STORAGE


def _epoch(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 33:
        raise UsageError(f"{_EPOCH} is no time: {text[:40]!r}")
    return int(text)
