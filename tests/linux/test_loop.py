"""Loop devices carry a file as a block device and vanish with their last user."""

import os
from pathlib import Path

import pytest

from layerstore import linux


@pytest.mark.root
def test_a_loop_device_shows_the_file_in_blocks_of_512(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"".join(bytes([number]) * 512 for number in range(8)))
    control = os.open(linux.LOOP_CONTROL, os.O_RDWR)
    backing = os.open(image, os.O_RDONLY)
    flags = linux.LO_FLAGS_READ_ONLY | linux.LO_FLAGS_AUTOCLEAR

    device, name = _bind_free(control, backing, flags)

    try:
        assert os.pread(device, 512, 512 * 3) == b"\x03" * 512
        assert Path(f"/sys/block/{name}/queue/logical_block_size").read_text().strip() == "512"
        assert Path(f"/sys/block/{name}/ro").read_text().strip() == "1"
    finally:
        for fd in (device, backing, control):
            os.close(fd)


def _bind_free(control: int, backing: int, flags: int) -> tuple[int, str]:
    """Binds the first device that nobody else takes meanwhile."""
    while True:
        name = f"loop{linux.loop_ctl_get_free(control)}"
        device = os.open(f"/dev/{name}", os.O_RDONLY)
        try:
            linux.loop_configure(device, backing, block_size=512, flags=flags)
        except OSError:
            os.close(device)
            continue
        return device, name
