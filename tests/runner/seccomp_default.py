"""``python -m tests.runner.seccomp_default > runner/seccomp_default.py``: the default filter, assembled."""

from runner.capabilities import DEFAULT
from runner.seccomp_filter import assemble

_WIDTH = 96
_HEAD = '''"""The filter of `runner.seccomp_filter` for docker's default capabilities, assembled once: that takes time.

Written by `python -m tests.runner.seccomp_default`; a test keeps it in step.
"""

# uname(2)'s machine → instructions in hexadecimal.
PROGRAMS = {
'''


def page() -> str:
    """The text of runner/seccomp_default.py."""
    return _HEAD + "".join(_entry(machine) for machine in ("x86_64", "aarch64")) + "}\n"


def _entry(machine: str) -> str:
    text = b"".join(assemble(machine, DEFAULT)).hex()
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return f'    "{machine}": (\n' + "".join(f'        "{line}"\n' for line in lines) + "    ),\n"


if __name__ == "__main__":
    print(page(), end="")
