"""A user's own filter: a profile in docker's form (JSON) → a program of the kernel's, for this machine.

github.com/moby/moby ``profiles/seccomp``; a call gets the action of the first rule that fits, else the default one.
Not on the path that starts a process: a profile is assembled once, when the container is made.
"""

from __future__ import annotations

import errno
import json
import os
import struct

from layerstore.errors import MissingFeature, UsageError
from layerstore.value import Value
from runner.syscalls import SYSCALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PROFILE = 4 << 20
_MAX_INSTRUCTIONS = 4096  # linux/bpf_common.h BPF_MAXINSNS
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
_KILL = 0x80000000
# linux/audit.h; the name in profiles; the column of `SYSCALLS`; the name in rules' "arches".
_MACHINES = {"x86_64": (0xC000003E, 0, "amd64"), "aarch64": (0xC00000B7, 1, "arm64")}
_LOAD, _AND, _EQUAL, _GREATER, _GREATER_EQUAL, _JUMP, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x05, 0x06
_LOW = 0xFFFFFFFF
_DATA_NUMBER, _DATA_ARGUMENTS = 0, 16
_CHUNK = 128  # a conditional jump passes at most 255


class Condition(Value):
    """A test of one argument, as libseccomp's SCMP_CMP_*."""

    index: int
    operator: str
    value: int
    second: int = 0


class Rule(Value):
    """What is done about calls of these `names`, if all `conditions` hold."""

    names: tuple[str, ...]
    action: int
    conditions: tuple[Condition, ...] = ()


class Profile(Value):
    """All rules that hold for some set of capabilities on some machine."""

    default: int
    rules: tuple[Rule, ...]


def parse(text: str, kept: frozenset[str], machine: str) -> Profile:
    """The rules of the profile `text` for a container with the capabilities `kept`. Raises `UsageError`."""
    try:
        document = json.loads(text)
        default = _action(document["defaultAction"], document.get("defaultErrnoRet"))
        rules = [_rule(each) for each in document.get("syscalls") or () if _holds(each, kept, machine)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"cannot use the seccomp profile: {type(error).__name__}: {error}") from error
    return Profile(default, tuple(rules))


def _rule(plain: dict[str, object]) -> Rule:
    names = plain.get("names") or [plain["name"]]
    conditions = plain.get("args") or []
    if not isinstance(names, list) or not isinstance(conditions, list):
        raise TypeError("names and args must be lists")
    action = _action(plain["action"], plain.get("errnoRet"))
    return Rule(tuple(map(str, names)), action, tuple(_condition(each) for each in conditions))


def _action(name: object, number: object) -> int:
    if name not in _ACTIONS:
        raise ValueError(f"no action {name!r}")
    action = _ACTIONS[str(name)]
    if name == "SCMP_ACT_ERRNO":
        action |= (number if isinstance(number, int) else errno.EPERM) & 0xFFFF
    return action


def _condition(plain: dict[str, object]) -> Condition:
    operator = str(plain["op"]).removeprefix("SCMP_CMP_")
    index, value, second = (plain.get(name) or 0 for name in ("index", "value", "valueTwo"))
    numbers = isinstance(index, int) and isinstance(value, int) and isinstance(second, int)
    if operator not in _OPERATORS or not numbers or not 0 <= int(str(index)) < 6:
        raise ValueError(f"no condition {plain!r}")
    return Condition(int(str(index)), operator, int(str(value)), int(str(second)))


def _holds(plain: dict[str, object], kept: frozenset[str], machine: str) -> bool:
    """Whether a rule is for this machine and these capabilities; kernels older than any rule asks for do not run us."""
    includes, excludes = (_filter(plain.get(name)) for name in ("includes", "excludes"))
    arch = _MACHINES[machine][2]
    if (includes[0] and not set(includes[0]) <= kept) or (includes[1] and arch not in includes[1]):
        return False
    return not (set(excludes[0]) & kept or arch in excludes[1])


def _filter(plain: object) -> tuple[list[str], list[str]]:
    if not isinstance(plain, dict):
        return [], []
    return list(plain.get("caps") or ()), list(plain.get("arches") or ())


def assemble(profile: Profile, machine: str) -> str:
    """The program that carries out `profile`, in hexadecimal. Raises `UsageError` where it is too long."""
    arch, column, _ = _MACHINES[machine]
    program = [_code(_LOAD, 4), _code(_EQUAL, arch, 1, 0), _code(_RETURN, _KILL)]
    for rule in profile.rules:
        numbers = [numbers[column] for name in rule.names if (numbers := SYSCALLS.get(name))]
        program += _rule_code([number for number in numbers if number is not None], rule)
    program.append(_code(_RETURN, profile.default))
    if len(program) > _MAX_INSTRUCTIONS:
        raise UsageError(
            f"cannot use the seccomp profile: it takes {len(program)} instructions of {_MAX_INSTRUCTIONS}"
        )
    return b"".join(program).hex()


def _rule_code(numbers: Sequence[int], rule: Rule) -> Iterable[bytes]:
    """Falls through to what follows where the rule does not fit."""
    body = [_code(_RETURN, rule.action)]
    for condition in reversed(rule.conditions):
        body = [*_test(condition, len(body)), *body]
    for first in range(0, len(numbers), _CHUNK):
        chunk = numbers[first : first + _CHUNK]
        yield _code(_LOAD, _DATA_NUMBER)
        for position, number in enumerate(chunk):
            yield _code(_EQUAL, number, len(chunk) - position, 0)
        yield _code(_JUMP, len(body))
        yield from body


def _test(condition: Condition, rest: int) -> list[bytes]:
    """Goes on where the condition holds, else jumps over the `rest` instructions that follow.

    Arguments have 64 bits and the machine 32, so the upper half is looked at first.
    """
    at = _DATA_ARGUMENTS + 8 * condition.index
    low, high = condition.value & _LOW, condition.value >> 32 & _LOW
    load_low, load_high = _code(_LOAD, at), _code(_LOAD, at + 4)
    match condition.operator:
        case "EQ":
            return [load_high, _code(_EQUAL, high, 0, 2 + rest), load_low, _code(_EQUAL, low, 0, rest)]
        case "NE":
            return [load_high, _code(_EQUAL, high, 0, 2), load_low, _code(_EQUAL, low, rest, 0)]
        case "GT" | "GE":
            last = _code(_GREATER if condition.operator == "GT" else _GREATER_EQUAL, low, 0, rest)
            above = _code(_GREATER, high, 3, 0)
            return [load_high, above, _code(_EQUAL, high, 0, 2 + rest), load_low, last]
        case "LT" | "LE":
            last = _code(_GREATER_EQUAL if condition.operator == "LT" else _GREATER, low, rest, 0)
            above = _code(_GREATER, high, 3 + rest, 0)
            return [load_high, above, _code(_EQUAL, high, 0, 2), load_low, last]
    # MASKED_EQ: the first value is the mask.
    wanted_low, wanted_high = condition.second & _LOW, condition.second >> 32 & _LOW
    upper = [load_high, _code(_AND, high), _code(_EQUAL, wanted_high, 0, 3 + rest)]
    return [*upper, load_low, _code(_AND, low), _code(_EQUAL, wanted_low, 0, rest)]


def _code(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def compile_profile(text: str, kept: frozenset[str]) -> str:
    """The program of the profile `text` for this machine, in hexadecimal. Raises `UsageError`, `MissingFeature`."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise MissingFeature(f"cannot filter system calls on {machine}")
    return assemble(parse(text, kept, machine), machine)
