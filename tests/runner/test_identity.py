"""`runner.identity`: docker's rules for "user[:group]", over files that an image may fill as it likes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import LaunchError
from runner.identity import MAX_ID, Identity, resolve

PASSWD = """# accounts
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1001:Alice:/home/alice:/bin/sh
1000:x:2000:2000::/home/thousand:/bin/sh
short:x
homeless:x:5:5
twice:x:7:7::/first:/bin/sh
twice:x:8:8::/second:/bin/sh
"""
GROUP = """root:x:0:
wheel:x:10:root,alice
alice:x:1001:alice
staff:x:50:bob,alice
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0, 10), "/root")),
        ("root", Identity(0, 0, (0, 10), "/root")),
        ("alice", Identity(1000, 1001, (1001, 10, 50), "/home/alice")),
        ("alice:", Identity(1000, 1001, (1001, 10, 50), "/home/alice")),
        ("alice:staff", Identity(1000, 50, (50,), "/home/alice")),
        ("alice:99", Identity(1000, 99, (99,), "/home/alice")),
        ("1000", Identity(2000, 2000, (2000,), "/home/thousand")),
        ("31", Identity(31, 0, (0,), "/")),
        (f"{MAX_ID}:{MAX_ID}", Identity(MAX_ID, MAX_ID, (MAX_ID,), "/")),
        ("homeless", Identity(5, 5, (5,), "/")),
        ("twice", Identity(7, 7, (7,), "/first")),
    ],
)
def test_names_come_before_numbers_and_the_first_entry_counts(
    root: int, user: str, expected: Identity
) -> None:
    assert resolve(user, root) == expected


@pytest.mark.parametrize("user", ["", "0", "0:0"])
def test_an_image_without_accounts_still_has_root(empty: int, user: str) -> None:
    assert resolve(user, empty) == Identity(0, 0, (0,), "/")


@pytest.mark.parametrize(
    "user", ["bob", "short", "-1", "+1", "1e3", "٣", "alice:nobody", str(MAX_ID + 1), " "]
)
def test_what_is_no_user_is_refused(root: int, user: str) -> None:
    with pytest.raises(LaunchError, match="cannot run as"):
        resolve(user, root)


@given(passwd=st.binary(max_size=200), group=st.binary(max_size=200), user=st.text(max_size=12))
def test_no_content_of_the_files_gives_anything_but_valid_ids(
    tmp_path_factory: pytest.TempPathFactory, passwd: bytes, group: bytes, user: str
) -> None:
    directory = tmp_path_factory.mktemp("root")
    (directory / "etc").mkdir()
    (directory / "etc" / "passwd").write_bytes(b"a:x:" + passwd)
    (directory / "etc" / "group").write_bytes(group)
    root = os.open(directory, os.O_PATH)

    try:
        found = resolve(user, root)
    except LaunchError:
        return
    finally:
        os.close(root)

    assert all(0 <= number <= MAX_ID for number in (found.uid, found.gid, *found.groups))
    assert found.groups[0] == found.gid
