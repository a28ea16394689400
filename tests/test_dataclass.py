"""`layerstore.dataclass` makes what the standard library makes, as far as this project uses that."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from itertools import product
from operator import lt
from typing import Any

import pytest

from layerstore.dataclass import dataclass, field, replace

Decorator = Callable[..., Any]


def make(decorator: Decorator, field: Callable[..., Any]) -> dict[str, Any]:
    """Classes of every kind that there is here, made by `decorator`."""

    @decorator(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 2

        @property
        def total(self) -> int:
            return self.x + self.y

    @decorator(frozen=True, slots=True)
    class Named(Point):
        name: str = field(default="", repr=False)
        tags: dict[str, str] = field(default_factory=dict, compare=False)

    @decorator(frozen=True)
    class Lazy:
        x: int

        @cached_property
        def double(self) -> int:
            return self.x * 2

    @decorator(slots=True)
    class Counter:
        count: int = 0
        seen: list[int] = field(default_factory=list)

    @decorator(frozen=True, slots=True, order=True)
    class Version:
        major: int
        minor: int = 0

        def __post_init__(self) -> None:
            if self.major < 0:
                raise ValueError("negative")

        def __str__(self) -> str:
            return f"{self.major}.{self.minor}"

    @decorator(frozen=True, slots=True)
    class Nothing:
        pass

    classes = (Point, Named, Lazy, Counter, Version, Nothing)
    return {each.__name__: each for each in classes}


OURS = make(dataclass, field)
THEIRS = make(dataclasses.dataclass, dataclasses.field)
globals().update({f"Pickled{name}": kind for name, kind in OURS.items()})
for known in OURS:
    OURS[known].__qualname__ = f"Pickled{known}"
    THEIRS[known].__qualname__ = f"Pickled{known}"


def outcome(call: Callable[..., object], *arguments: object) -> object:
    """What comes of a call: a value, or the kind of an error."""
    try:
        return call(*arguments)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), {}), ((1,), {}), ((1, 5), {}), ((1, 5, "n"), {}), ((-1,), {}), ((), {"x": 1}), ((1,), {"z": 1})],
)
def test_an_instance_is_made_shown_and_refused_alike(
    name: str, arguments: tuple[int, ...], named: dict[str, int]
) -> None:
    def show(kind: Any) -> str:
        return repr(kind(*arguments, **named))

    assert outcome(show, OURS[name]) == outcome(show, THEIRS[name])


@pytest.mark.parametrize("name", OURS)
def test_equality_and_hashes_go_by_what_is_compared(name: str) -> None:
    def is_equal(kind: Any, one: tuple[object, ...], other: tuple[object, ...]) -> bool:
        return bool(kind(*one) == kind(*other))

    def digest(made: tuple[object, ...]) -> int:
        return hash(OURS[name](*made))

    samples = [(), (1,), (1, 2), (2,), (1, 2, "n"), (1, 2, "n", {"a": "b"}), (1, 2, "m")]
    for one, other in product(samples, samples):
        said = outcome(is_equal, OURS[name], one, other)
        assert said == outcome(is_equal, THEIRS[name], one, other)
        assert said is not True or outcome(digest, one) == outcome(digest, other)
    assert OURS["Point"](1) != OURS["Named"](1)


def test_what_is_frozen_cannot_be_changed() -> None:
    point = OURS["Point"](1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.z = 2

    counter = OURS["Counter"]()
    counter.count += 1
    with pytest.raises(AttributeError):
        counter.other = 1
    assert (counter.count, outcome(hash, counter)) == (1, TypeError)


def test_order_is_that_of_the_fields() -> None:
    version = OURS["Version"]

    assert sorted([version(2), version(1, 5), version(1)]) == [version(1), version(1, 5), version(2)]
    assert outcome(lt, version(1), OURS["Point"](1)) is TypeError
    assert f"{version(1)}" == "1.0"


def test_defaults_are_made_anew_for_each() -> None:
    first, second = OURS["Counter"](), OURS["Counter"]()

    first.seen.append(1)

    assert second.seen == []
    assert OURS["Lazy"](3).double == 6


@pytest.mark.parametrize("replaced", [replace, dataclasses.replace])
def test_one_is_made_of_another(replaced: Callable[..., Any]) -> None:
    named = OURS["Named"](1, 2, "n", {"a": "b"})

    other = replaced(named, x=7)

    assert (other.x, other.y, other.name, other.tags) == (7, 2, "n", {"a": "b"})
    with pytest.raises(TypeError):
        replaced(named, z=1)


def test_they_match_by_position() -> None:
    match OURS["Named"](1, 2, "n"):
        case PickledNamed(x, y, name):  # type: ignore[name-defined]  # noqa: F821  # made above
            assert (x, y, name) == (1, 2, "n")
        case _:
            pytest.fail("it does not match")


@pytest.mark.parametrize("name", ["Point", "Named", "Lazy", "Counter", "Version"])
def test_they_travel_and_are_copied(name: str) -> None:
    made = OURS[name](3)

    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == copy.copy(made) == made


def test_the_standard_library_knows_them() -> None:
    def told(kind: Any) -> list[tuple[object, ...]]:
        return [(each.name, each.default, each.repr, each.compare) for each in dataclasses.fields(kind)]

    assert all(told(OURS[name]) == told(THEIRS[name]) for name in OURS)
    assert dataclasses.is_dataclass(OURS["Point"])


def test_making_them_imports_nothing() -> None:
    code = (
        "import sys; from layerstore.dataclass import dataclass, field\n"
        "@dataclass(frozen=True, slots=True)\nclass A:\n    x: int = 1\n    y: list = field(default_factory=list)\n"
        "A(); print(sorted({'dataclasses', 'typing', 'inspect', 're'} & set(sys.modules)))"
    )

    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == "[]\n"
