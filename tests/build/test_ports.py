"""Port specifications."""

import pytest

from layerstore.build.ports import parse_port
from layerstore.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "ports", "has_host_part"),
    [
        ("80", ("80/tcp",), False),
        ("80/UDP", ("80/udp",), False),
        ("80-82/sctp", ("80/sctp", "81/sctp", "82/sctp"), False),
        ("8080:80", ("80/tcp",), True),
        ("127.0.0.1:8080:80", ("80/tcp",), True),
        ("127.0.0.1::80", ("80/tcp",), True),
        ("[::1]:8080:80/udp", ("80/udp",), True),
        ("8000-8001:80-81", ("80/tcp", "81/tcp"), True),
        ("8000-8010:80", ("80/tcp",), True),
    ],
)
def test_a_specification_names_ports(text: str, ports: tuple[str, ...], has_host_part: bool) -> None:
    spec = parse_port(text)

    assert spec.ports() == ports
    assert spec.has_host_part is has_host_part


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/tcp",
        "x",
        "80/xyz",
        "82-80",
        "1-2-3",
        "65536",
        "x:80:80",
        "8000-8002:80-81",
        "-1",
        "80-",
        "1" * 5000,
    ],
)
def test_what_names_no_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_port(text)
