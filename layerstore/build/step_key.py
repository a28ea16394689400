"""Cache keys of steps: what a step's result depends on, and nothing else.

Only layers are cached. Metadata (ENV, LABEL, HEALTHCHECK, ONBUILD, …) is evaluated afresh in every build, so
that no cached answer about it can be wrong (CVE-2024-24557), and a new label does not cost a RUN its layer.
Every key contains the parent's, and so the whole history of the file system. What is in a secret or an
agent never enters a key, only which one is asked for; nor do proxies, nor what is in a cache mount.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from layerstore.build.evaluate import Step
from layerstore.build.instruction import Instruction, Run, Transfer, Workdir
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.platform import Platform

_VERSION: Final = 1
"""Counts up when a step of one key would be done another way."""
_NOT_IN_KEY: Final = frozenset({"origin", "mount_flags"})
_NO_SETTINGS: Final[Mapping[str, str]] = {}


def scratch_key(platform: Platform) -> Digest:
    """The key of the empty file system."""
    return _key({"scratch": str(platform)})


def image_key(chain_id: Digest, platform: Platform) -> Digest:
    """The key of a base image's file system, by its layers: another tag or configuration changes nothing."""
    return _key({"image": str(chain_id), "platform": str(platform)})


def definition_key(
    step: Step,
    parent: Digest,
    *,
    inputs: Sequence[Digest] = (),
    settings: Mapping[str, str] = _NO_SETTINGS,
) -> Digest:
    """The key of `step` on a file system of key `parent`, before anybody has looked at the build context.

    `inputs` are the keys of what `Step.origins` name, in that order. `settings` is what the command line
    says about how steps run (network, hosts, limits, SOURCE_DATE_EPOCH). A step that makes no layer leaves
    the file system as it is: its key is the parent's. So it is with ``--link``, whose layer does not
    depend on the parent: give `scratch_key` for one then.
    """
    if not step.makes_layer:
        return parent
    return _key(
        {
            "parent": str(parent),
            "platform": str(step.before.image.platform),
            "instruction": step.instruction.name,
            "fields": _fields(step.instruction),
            "surroundings": _surroundings(step),
            "inputs": [str(each) for each in inputs],
            "settings": dict(settings),
        }
    )


def result_key(definition: Digest, contents: Sequence[Digest]) -> Digest:
    """The key of a step that takes files from the build context, by what is in them: `content_key`'s."""
    return _key({"definition": str(definition), "contents": [str(each) for each in contents]})


def _surroundings(step: Step) -> Json:
    """What of the image's state so far has a part in the step."""
    image = step.before.image
    match step.instruction:
        case Run():
            return {
                "command": list(step.command),
                "environment": dict(step.before.variables),
                "user": image.user,
                "workdir": image.working_dir,
            }
        case Transfer():
            return {"destination": image.resolve(step.instruction.destination)}
        case Workdir():
            return {"path": step.after.image.working_dir, "user": image.user}
    return None


def _fields(instruction: Instruction) -> Json:
    return {
        name: _json(getattr(instruction, name))
        for name in instruction.__match_args__
        if name not in _NOT_IN_KEY
    }


def _json(value: object) -> Json:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    names: tuple[str, ...] = getattr(value, "__match_args__", ())
    if names:
        return {name: _json(getattr(value, name)) for name in names}
    raise AssertionError(f"no key for {type(value).__name__}")


def _key(parts: Mapping[str, Json]) -> Digest:
    return Digest.of(dump({"version": _VERSION, **parts}))
