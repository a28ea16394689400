import os
import struct
import subprocess
from pathlib import Path

import pytest

from layerstore.errors import InvalidLayer, UnsupportedContent
from layerstore.layer.acl import ACCESS, encode_acl, is_equivalent_to_mode

TEXT = b"user::rw-\nuser:1000:r-x\nuser:2:rwx\ngroup::r--\ngroup:7:-w-\nmask::rwx\nother::---\n"


def test_entries_are_sorted_as_the_kernel_wants_them() -> None:
    acl = encode_acl(b"other::r--,user::rw-,user:9:r--,user:3:-w-,group::r--,mask::rwx")

    tags = [entry[0] for entry in struct.iter_unpack("<HHI", acl[4:])]
    ids = [entry[2] for entry in struct.iter_unpack("<HHI", acl[4:])]
    assert tags == [1, 2, 2, 4, 0x10, 0x20]
    assert ids[1:3] == [3, 9]


def test_the_short_and_the_long_form_and_star_s_ids_say_the_same() -> None:
    short = encode_acl(b"u::rwx,u:joe:r--:1000,g::r-x,m:r-x,o:---  # nobody else")
    long = encode_acl(b"user::rwx\nuser:1000:r--\ngroup::r-x\nmask::r-x\nother::---")

    assert short == long


def test_only_three_entries_say_no_more_than_a_mode() -> None:
    assert is_equivalent_to_mode(encode_acl(b"user::rwx,group::r-x,other::r--"))
    assert not is_equivalent_to_mode(encode_acl(TEXT))


def test_a_name_without_an_id_is_refused() -> None:
    with pytest.raises(UnsupportedContent):
        encode_acl(b"user::rwx,user:joe:r--,group::r-x,mask::r-x,other::---")


@pytest.mark.parametrize("text", [b"user", b"user:1", b"owner::rwx", b"user::rwz", b"user::", b"user::rwxr"])
def test_what_is_no_acl_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidLayer):
        encode_acl(text)


@pytest.mark.root
@pytest.mark.package("acl")
def test_the_binary_form_is_what_setfacl_makes(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    subprocess.run(["setfacl", "--set-file=-", target], input=TEXT, check=True)

    assert os.getxattr(target, ACCESS) == encode_acl(TEXT)
