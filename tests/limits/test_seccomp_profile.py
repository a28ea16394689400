"""Profiles in docker's form, carried out by a small interpreter of the kernel's instructions."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import UsageError
from runner.seccomp_profile import Condition, Profile, Rule, assemble, parse
from runner.syscalls import SYSCALLS

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
X86_64 = 0xC000003E
READ = SYSCALLS["read"][0] or 0
NUMBERS = st.one_of(
    st.integers(0, 3), st.integers(0, 2**64 - 1), st.sampled_from([2**32 - 1, 2**32, 2**32 + 1])
)
OPERATORS = {
    "EQ": lambda argument, value, _: argument == value,
    "NE": lambda argument, value, _: argument != value,
    "LT": lambda argument, value, _: argument < value,
    "LE": lambda argument, value, _: argument <= value,
    "GT": lambda argument, value, _: argument > value,
    "GE": lambda argument, value, _: argument >= value,
    "MASKED_EQ": lambda argument, value, second: argument & value == second,
}


def decide(program: str, number: int, arguments: tuple[int, ...], arch: int = X86_64) -> int:
    """What the kernel would return for a call: linux/net/core/filter.c in a few lines."""
    code = bytes.fromhex(program)
    data = struct.pack("=iIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    accumulator, position = 0, 0
    while True:
        operation, if_true, if_false, operand = struct.unpack_from("=HBBI", code, position * 8)
        position += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x06:
                return operand
            case 0x15 | 0x25 | 0x35:
                tests = {
                    0x15: accumulator == operand,
                    0x25: accumulator > operand,
                    0x35: accumulator >= operand,
                }
                position += if_true if tests[operation] else if_false


@given(operator=st.sampled_from(sorted(OPERATORS)), argument=NUMBERS, value=NUMBERS, second=NUMBERS)
def test_each_comparison_is_one_of_64_bits(operator: str, argument: int, value: int, second: int) -> None:
    rule = Rule(("read",), ERRNO | 9, (Condition(2, operator, value, second),))
    program = assemble(Profile(ALLOW, (rule,)), "x86_64")

    verdict = decide(program, READ, (0, 0, argument))

    assert verdict == (ERRNO | 9 if OPERATORS[operator](argument, value, second) else ALLOW)


@given(first=NUMBERS, second=NUMBERS)
def test_all_conditions_of_a_rule_have_to_hold_and_the_first_rule_decides(first: int, second: int) -> None:
    both = Rule(("read",), ERRNO | 1, (Condition(0, "GE", 5), Condition(1, "MASKED_EQ", 0xF0, 0x10)))
    either = Rule(("read",), ERRNO | 2, (Condition(0, "GE", 5),))
    program = assemble(Profile(ALLOW, (both, either)), "x86_64")

    verdict = decide(program, READ, (first, second))

    expected = ERRNO | 1 if first >= 5 and second & 0xF0 == 0x10 else ERRNO | 2 if first >= 5 else ALLOW
    assert verdict == expected


def test_a_rule_of_every_call_reaches_each_of_them() -> None:
    program = assemble(Profile(KILL, (Rule(tuple(SYSCALLS), ALLOW),)), "x86_64")

    known = [numbers[0] for numbers in SYSCALLS.values() if numbers[0] is not None]
    assert {decide(program, number, ()) for number in known} == {ALLOW}
    assert decide(program, max(known) + 1, ()) == KILL
    assert decide(program, READ, (), arch=0x40000003) == KILL


def test_rules_are_for_machines_and_capabilities() -> None:
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "syscalls": [
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["sync"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
                {"name": "read", "action": "SCMP_ACT_LOG", "comment": "the older form"},
            ],
        }
    )

    def names(kept: set[str], machine: str) -> list[str]:
        return [name for rule in parse(text, frozenset(kept), machine).rules for name in rule.names]

    assert names(set(), "x86_64") == ["sync", "arch_prctl", "read"]
    assert names({"CAP_SYS_ADMIN"}, "aarch64") == ["mount", "read"]
    assert parse(text, frozenset(), "x86_64").default == ERRNO | 38


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": "SCMP_ACT_NONE"}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": "read", "action": "SCMP_ACT_ALLOW"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "x"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",'
        ' "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]}',
        "[" * 100000,
    ],
)
def test_what_is_no_profile_is_one_error(text: str) -> None:
    with pytest.raises(UsageError, match="cannot use the seccomp profile"):
        parse(text, frozenset(), "x86_64")


def test_a_profile_of_too_many_rules_is_refused() -> None:
    rules = tuple(Rule(("read",), ALLOW, (Condition(0, "EQ", value),)) for value in range(1000))

    with pytest.raises(UsageError, match="instructions"):
        assemble(Profile(KILL, rules), "x86_64")
