"""Files are compared by their bytes; holes cost nothing."""

from pathlib import Path

import pytest

from layerstore.disk.comparing import has_same_contents

HUGE = 1 << 40


def write(path: Path, *parts: tuple[int, bytes], size: int) -> str:
    with path.open("wb") as stream:
        for offset, data in parts:
            stream.seek(offset)
            stream.write(data)
        stream.truncate(size)
    return str(path)


def test_equal_bytes_are_equal_wherever_holes_are(tmp_path: Path) -> None:
    one = write(tmp_path / "one", (0, bytes(1 << 20)), (3 << 20, b"end"), size=4 << 20)
    other = write(tmp_path / "other", (3 << 20, b"end"), size=4 << 20)

    assert has_same_contents(one, other)


@pytest.mark.parametrize(
    ("parts", "size"), [([(HUGE - 3, b"enx")], HUGE), ([(5, b"x"), (HUGE - 3, b"end")], HUGE), ([], HUGE - 1)]
)
def test_any_difference_is_seen_in_a_terabyte_of_hole(
    tmp_path: Path, parts: list[tuple[int, bytes]], size: int
) -> None:
    one = write(tmp_path / "one", (HUGE - 3, b"end"), size=HUGE)
    other = write(tmp_path / "other", *parts, size=size)

    assert has_same_contents(one, one)
    assert not has_same_contents(one, other)
