"""`layerstore.value`: what a frozen dataclass promises, and that it costs no import of one."""

import copy
import subprocess
import sys

import pytest

from layerstore.mount import Directory, ErofsImage, MountStack
from layerstore.value import Value


class Point(Value):
    x: int
    y: int = 0


def test_fields_come_in_order_by_name_or_by_default() -> None:
    assert (Point(1, 2).x, Point(1, 2).y) == (1, 2)
    assert Point(x=3) == Point(3, 0)


def test_equality_asks_for_the_same_type_and_the_same_values() -> None:
    assert Directory("/a") == Directory("/a")
    assert Directory("/a") != Directory("/b")
    assert Directory("/a") != ErofsImage("/a", ())
    assert hash(Point(1, 2)) == hash(Point(1, 2))


def test_a_value_cannot_be_changed() -> None:
    point = Point(1)

    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]  # what is tested
    with pytest.raises(AttributeError, match="frozen"):
        del point.x

    assert point.x == 1


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]
)
def test_wrong_arguments_are_refused(arguments: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments, **named)


def test_a_value_prints_as_it_is_written_and_copies() -> None:
    stack = MountStack((Directory("/l"),), "/u", "/w")

    assert repr(stack) == (
        "MountStack(lowers=(Directory(path='/l'),), upper='/u', work='/w', userxattr=False, is_volatile=False)"
    )
    assert copy.deepcopy(stack) == stack


def test_the_launch_path_imports_no_dataclasses_and_no_typing() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); import layerstore.linux, layerstore.mount, layerstore.errors;"
        "print(sorted({'dataclasses', 'typing', 'inspect', 're', 'socket'} & set(sys.modules)))"
    )

    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert found.stdout == "[]\n"
