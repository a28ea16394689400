"""A container's system call filter as the runtime-spec's ``linux.seccomp`` (config-linux.md, "Seccomp")."""

from __future__ import annotations

import errno
import os

from runner import seccomp_filter, seccomp_profile
from runner.confinement import UNCONFINED
from runner.syscalls import SYSCALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from layerstore.oci.document import Json
    from runner.confinement import Confinement

_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_ACTIONS = {
    0x00000000: "SCMP_ACT_KILL",
    0x80000000: "SCMP_ACT_KILL_PROCESS",
    0x00030000: "SCMP_ACT_TRAP",
    0x00050000: "SCMP_ACT_ERRNO",
    0x7FFC0000: "SCMP_ACT_LOG",
    0x7FFF0000: "SCMP_ACT_ALLOW",
}
_LOOKS_AT_ARGUMENTS = frozenset({"personality", "socket", "clone", "clone3"})


def filter_of(confinement: Confinement, kept: frozenset[str]) -> dict[str, Json] | None:
    """The filter for the capabilities `kept`; None for no filter."""
    if confinement.seccomp == UNCONFINED:
        return None
    machine = os.uname().machine
    architectures: list[Json] = [_ARCHITECTURES[machine]]
    if confinement.seccomp_profile:
        profile = seccomp_profile.parse(confinement.seccomp_profile, kept, machine)
        rules: list[Json] = [_rule(rule.names, rule.action, rule.conditions) for rule in profile.rules]
        return {**_default(profile.default), "architectures": architectures, "syscalls": rules}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": architectures,
        "syscalls": _default_rules(kept),
    }


def _default_rules(kept: frozenset[str]) -> list[Json]:
    """What `runner.seccomp_filter` assembles."""
    allow, deny = 0x7FFF0000, 0x00050000 | errno.EPERM
    denied = set(seccomp_filter.NEVER.split())
    for capability, names in seccomp_filter.WITH_CAPABILITY.items():
        if capability not in kept:
            denied.update(names.split())
    may_make_namespaces = "CAP_SYS_ADMIN" in kept
    plain = {"clone", "clone3"} if may_make_namespaces else set()
    allowed = SYSCALLS.keys() - denied - (_LOOKS_AT_ARGUMENTS - plain)
    condition = seccomp_profile.Condition
    rules: list[Json] = [_rule(sorted(allowed), allow), _rule(sorted(denied - _LOOKS_AT_ARGUMENTS), deny)]
    for value in seccomp_filter.PERSONALITIES:
        rules.append(_rule(["personality"], allow, [condition(0, "EQ", value)]))
    rules.append(_rule(["socket"], allow, [condition(0, "NE", seccomp_filter.AF_VSOCK)]))
    rules.append(_rule(["socket"], deny, [condition(0, "EQ", seccomp_filter.AF_VSOCK)]))
    if not may_make_namespaces:
        rules.append(_rule(["clone"], allow, [condition(0, "MASKED_EQ", seccomp_filter.NEW_NAMESPACES, 0)]))
        bits = [1 << place for place in range(32) if seccomp_filter.NEW_NAMESPACES >> place & 1]
        rules += [_rule(["clone"], deny, [condition(0, "MASKED_EQ", bit, bit)]) for bit in bits]
    return rules


def _default(action: int) -> dict[str, Json]:
    name, number = _action(action)
    return {"defaultAction": name, **({} if number is None else {"defaultErrnoRet": number})}


def _action(action: int) -> tuple[str, int | None]:
    name = _ACTIONS[action & 0xFFFF0000]
    return name, action & 0xFFFF if name == "SCMP_ACT_ERRNO" else None


def _rule(
    names: Iterable[str], action: int, conditions: Iterable[seccomp_profile.Condition] = ()
) -> dict[str, Json]:
    name, number = _action(action)
    args: list[Json] = [
        {"index": each.index, "value": each.value, "valueTwo": each.second, "op": f"SCMP_CMP_{each.operator}"}
        for each in conditions
    ]
    rule: dict[str, Json] = {"names": list(names), "action": name}
    if number is not None:
        rule["errnoRet"] = number
    if args:
        rule["args"] = args
    return rule
