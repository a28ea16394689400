"""docs/ordering.md names every point at which a write path can be stopped, and none that does not exist."""

import re
from pathlib import Path

from fixtures.crash.points import declared

PAGE = Path(__file__).parents[2] / "docs" / "ordering.md"


def test_the_table_has_every_declared_crash_point_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), flags=re.MULTILINE)

    assert sorted(rows) == sorted(declared())
