"""Sockets: real connections to the embedded registry, and what goes wrong on them."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from fixtures.certificates import Authority
from fixtures.registry import Fault, Registry, Tls, actions
from layerstore.content import BytesReader, opened_bytes
from layerstore.errors import ContentMismatch, NotFound, RegistryError, Unreachable, UsageError
from registry_client.certificates import Trust
from registry_client.messages import Headers, Request, Upload
from registry_client.tls import tls_context
from registry_client.transport import RequestsTransport
from tests.registry_client.world import pattern

DATA = pattern(3_000_000)


def make(
    trust: Trust | None = None, environment: Mapping[str, str] | None = None, *, read_timeout: float = 60.0
) -> "closing[RequestsTransport]":
    return closing(
        RequestsTransport(environment or {}, lambda _authority: trust or Trust(), read_timeout=read_timeout)
    )


def status(transport: RequestsTransport, url: str) -> int:
    with transport.send(Request("GET", url)) as response:
        return response.status


@pytest.fixture
def blob_url(registry: Registry) -> str:
    """A blob at the embedded registry."""
    return f"{registry.url}/v2/a/blobs/{registry.storage.add_blob('a', DATA)}"


def test_a_body_arrives_as_it_was_sent(blob_url: str) -> None:
    with make() as transport, transport.send(Request("GET", blob_url, {"Range": "bytes=5-"})) as response:
        assert response.status == 206
        assert response.headers.natural("Content-Length") == len(DATA) - 5
        assert response.read_all(len(DATA), "blob") == DATA[5:]


def test_an_upload_streams_from_its_offset_with_its_length(registry: Registry) -> None:
    url = f"{registry.url}/v2/a/manifests/x"
    upload = Upload(lambda offset: opened_bytes(DATA, offset), 1_000_000, 1_500_000)

    with make() as transport:
        transport.send(Request("PUT", url, body=upload)).close()

    (entry,) = registry.requests
    assert entry.header("Content-Length") == "1500000"
    assert entry.header("Transfer-Encoding") is None


def test_content_that_ends_early_is_not_sent_as_whole(registry: Registry) -> None:
    upload = Upload(lambda offset: opened_bytes(DATA, offset), 0, len(DATA) + 1)

    with make() as transport, pytest.raises(ContentMismatch, match="1 bytes early"):
        transport.send(Request("PUT", f"{registry.url}/v2/a/manifests/x", body=upload))


def test_an_error_of_the_contents_own_comes_through(registry: Registry) -> None:
    class Broken(BytesReader):
        def read(self, size: int, /) -> bytes:
            raise NotFound("gone")

    class Opened:
        def __enter__(self) -> Broken:
            return Broken(b"")

        def __exit__(self, *_: object) -> None:
            pass

    with make() as transport, pytest.raises(NotFound):
        transport.send(
            Request("PUT", f"{registry.url}/v2/a/manifests/x", body=Upload(lambda _offset: Opened(), 0, 5))
        )


def test_nothing_is_decoded_and_nothing_is_asked_to_be_encoded(registry: Registry, blob_url: str) -> None:
    registry.faults.add(Fault(actions.ChangeHeaders(set={"Content-Encoding": "gzip"})))

    with make() as transport, transport.send(Request("GET", blob_url)) as response:
        assert response.read_all(len(DATA), "blob") == DATA
    assert registry.requests[0].header("Accept-Encoding") == "identity"


def test_nobody_adds_credentials_cookies_or_proxies(
    registry: Registry, blob_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login alice password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    registry.faults.add(Fault(actions.ChangeHeaders(set={"Set-Cookie": "session=1; Path=/"})))

    with make() as transport:
        assert status(transport, blob_url) == status(transport, blob_url) == 200

    assert {entry.header("Authorization") for entry in registry.requests} == {None}
    assert {entry.header("Cookie") for entry in registry.requests} == {None}


def test_a_redirect_is_an_answer_not_followed(registry: Registry, blob_url: str) -> None:
    registry.faults.add(Fault(actions.Redirect(registry.url)))

    with make() as transport:
        assert status(transport, blob_url) == 307
    assert len(registry.requests) == 1


class _Joining(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them


class _Counting(_Joining):
    connections = 0

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        type(self).connections += 1
        super().process_request(request, client_address)


class _Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"hello")

    do_HEAD = do_GET  # noqa: N815  # http.server looks this name up

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # the base class names it so
        pass


@pytest.fixture
def counting() -> Iterator[_Counting]:
    """A server that counts connections."""
    server = type("_FreshCount", (_Counting,), {})(("127.0.0.1", 0), _Hello)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_connection_serves_requests_in_a_row_read_or_not(counting: _Counting) -> None:
    url = f"http://127.0.0.1:{counting.server_address[1]}/"

    with make() as transport:
        for method in ("GET", "HEAD", "GET", "HEAD"):
            transport.send(Request(method, url)).close()
        with transport.send(Request("GET", url)) as response:
            assert response.read_all(5, "hello") == b"hello"
        transport.send(Request("GET", url)).close()

    assert counting.connections == 1


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_body_that_breaks_off_is_unreachable_and_temporary(
    registry: Registry, blob_url: str, is_reset: bool
) -> None:
    registry.faults.add(Fault(actions.Truncate(1000, is_reset=is_reset)))

    with (
        make() as transport,
        transport.send(Request("GET", blob_url)) as response,
        pytest.raises(Unreachable) as caught,
    ):
        response.read_all(len(DATA), "blob")
    assert caught.value.is_temporary


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_server_that_hangs_up_is_unreachable_and_temporary(
    registry: Registry, blob_url: str, is_reset: bool
) -> None:
    registry.faults.add(Fault(actions.Disconnect(is_reset=is_reset)))

    with make() as transport, pytest.raises(Unreachable) as caught:
        transport.send(Request("GET", blob_url))
    assert caught.value.is_temporary


def test_a_server_that_falls_silent_is_unreachable_and_temporary(registry: Registry, blob_url: str) -> None:
    registry.faults.add(Fault(actions.Slow(registry.faults.gate())))

    with (
        make(read_timeout=0.05) as transport,
        pytest.raises(Unreachable, match="no answer in time") as caught,
        transport.send(Request("GET", blob_url)) as response,
    ):
        response.read_all(len(DATA), "blob")
    assert caught.value.is_temporary


def test_a_server_that_never_answers_is_unreachable_and_temporary(registry: Registry, blob_url: str) -> None:
    registry.faults.add(Fault(actions.Hold(registry.faults.gate())))

    with (
        make(read_timeout=0.05) as transport,
        pytest.raises(Unreachable, match="no answer in time") as caught,
    ):
        transport.send(Request("GET", blob_url))
    assert caught.value.is_temporary


def test_a_closed_port_is_unreachable_and_temporary() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        with make() as transport, pytest.raises(Unreachable, match="connection refused") as caught:
            transport.send(Request("GET", url))
    assert caught.value.is_temporary


@pytest.mark.parametrize(("code", "is_temporary"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)])
def test_a_name_that_does_not_exist_is_unreachable_for_good(
    monkeypatch: pytest.MonkeyPatch, code: int, is_temporary: bool
) -> None:
    def look_up(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(code, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    with make() as transport, pytest.raises(Unreachable, match="no such host") as caught:
        transport.send(Request("GET", "http://registry.invalid/v2/"))
    assert caught.value.is_temporary == is_temporary


@pytest.mark.parametrize(
    "url", ["http://.example/", "http://" + "a" * 64 + ".example/", "http://é" + "é" * 63 + "/"]
)
def test_a_host_that_is_no_name_is_a_typed_error(url: str) -> None:
    with make() as transport, pytest.raises(RegistryError):
        transport.send(Request("GET", url))


def test_what_is_kept_public_does_not_reach_this_machine(registry: Registry) -> None:
    url = registry.url.replace("127.0.0.1", "localhost")

    with make() as transport, pytest.raises(RegistryError, match="this machine"):
        transport.send(Request("GET", f"{url}/v2/", is_kept_public=True))
    assert len(registry.requests) == 0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority of our own."""
    return Authority(tmp_path)


def tls(authority: Authority, *hosts: str, with_client: bool = False) -> Tls:
    identity = authority.server(*hosts)
    return Tls(identity.certificate, identity.key, authority.certificate if with_client else None)


def test_a_certificate_of_a_trusted_authority_is_taken(tmp_path: Path, authority: Authority) -> None:
    with (
        Registry(tmp_path / "r", tls=tls(authority)) as registry,
        make(Trust((str(authority.certificate),))) as transport,
    ):
        assert status(transport, f"{registry.url}/v2/") == 200


@pytest.mark.parametrize("hosts", [(), ("other.example",)])
def test_a_certificate_that_does_not_verify_is_refused_with_the_way_out(
    tmp_path: Path, authority: Authority, hosts: tuple[str, ...]
) -> None:
    trust = Trust((str(authority.certificate),)) if hosts else Trust()

    with (
        Registry(tmp_path / "r", tls=tls(authority, *hosts)) as registry,
        make(trust) as transport,
        pytest.raises(Unreachable, match="certificate does not verify") as caught,
    ):
        transport.send(Request("GET", f"{registry.url}/v2/"))
    assert not caught.value.is_temporary
    assert caught.value.hint is not None
    assert "certs.d" in caught.value.hint


def test_an_unverified_host_may_show_any_certificate(tmp_path: Path, authority: Authority) -> None:
    with (
        Registry(tmp_path / "r", tls=tls(authority, "other.example")) as registry,
        make(Trust(is_verified=False)) as transport,
    ):
        assert status(transport, f"{registry.url}/v2/") == 200


def test_a_server_that_wants_a_client_certificate_gets_it(tmp_path: Path, authority: Authority) -> None:
    client = authority.client()
    authorities = (str(authority.certificate),)

    with Registry(tmp_path / "r", tls=tls(authority, with_client=True)) as registry:
        with make(Trust(authorities, ((str(client.certificate), str(client.key)),))) as transport:
            assert status(transport, f"{registry.url}/v2/") == 200
        with make(Trust(authorities)) as transport, pytest.raises(Unreachable):
            transport.send(Request("GET", f"{registry.url}/v2/")).read_all(1000, "answer")


def test_a_server_without_tls_is_named_as_that(registry: Registry) -> None:
    with make() as transport, pytest.raises(Unreachable) as caught:
        transport.send(Request("GET", f"https://{registry.address}/v2/"))
    assert "TLS" in caught.value.message


@pytest.mark.parametrize("text", [None, "not PEM"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "broken.crt"
    if text is not None:
        path.write_text(text)

    for trust in (Trust((str(path),)), Trust((), ((str(path), str(path)),))):
        with make(trust) as transport, pytest.raises(UsageError, match=r"broken\.crt"):
            transport.send(Request("GET", "https://127.0.0.1:1/"))


def test_plain_http_goes_through_the_proxy(registry: Registry) -> None:
    with make(environment={"HTTP_PROXY": registry.url}) as transport:
        assert status(transport, "http://mirror.example/v2/") == 200

    assert registry.requests[0].target == "http://mirror.example/v2/"
    assert registry.requests[0].header("Host") == "mirror.example"


def test_a_host_exempt_from_the_proxy_is_reached_straight(registry: Registry, blob_url: str) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.0/8"}

    with make(environment=environment) as transport:
        assert status(transport, blob_url) == 200


class _Tunnel(BaseHTTPRequestHandler):
    """A proxy that leads every CONNECT to one port, whatever name it is for."""

    port = 0
    asked: ClassVar[list[str]] = []

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        with socket.create_connection(("127.0.0.1", self.port)) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = Thread(target=pump, args=(upstream, self.connection))
            back.start()
            pump(self.connection, upstream)
            back.join()
        self.close_connection = True

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # the base class names it so
        pass


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_https_goes_through_a_tunnel_and_the_host_behind_it_is_verified(
    tmp_path: Path, authority: Authority
) -> None:
    with Registry(tmp_path / "r", tls=tls(authority, "mirror.example")) as registry:
        port = int(registry.address.rpartition(":")[2])
        handler = type("_FreshTunnel", (_Tunnel,), {"port": port, "asked": []})
        server = _Joining(("127.0.0.1", 0), handler)
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{server.server_address[1]}"}

        with make(Trust((str(authority.certificate),)), environment) as transport:
            assert status(transport, "https://mirror.example/v2/") == 200
            with pytest.raises(Unreachable, match="certificate"):
                status(transport, "https://other.example/v2/")

        server.shutdown()
        thread.join()
        server.server_close()
    assert handler.asked == ["mirror.example:443", "other.example:443"]
    assert registry.requests[0].header("Host") == "mirror.example"


def test_a_proxy_that_does_not_connect_is_unreachable(registry: Registry) -> None:
    with (
        make(environment={"HTTPS_PROXY": registry.url}) as transport,
        pytest.raises(Unreachable, match="proxy"),
    ):
        transport.send(Request("GET", "https://mirror.example/v2/"))


def test_a_certificate_is_checked_with_the_bundle_where_the_system_has_no_authorities(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ssl.DefaultVerifyPaths(None, None, "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)

    context = tls_context(Trust(), bundle=str(authority.certificate))

    subjects = [certificate["subject"] for certificate in context.get_ca_certs()]
    assert ((("commonName", "lstore test authority"),),) in subjects


def test_a_proxy_address_that_makes_no_sense_is_a_typed_error() -> None:
    with make(environment={"HTTP_PROXY": "http://:0"}) as transport, pytest.raises(RegistryError):
        transport.send(Request("GET", "http://mirror.example/v2/"))


def test_secrets_are_not_printed() -> None:
    request = Request("GET", "https://registry.example/", {"Authorization": "Bearer secret"}, b"secret")

    assert "secret" not in repr(request)
    assert "secret" not in repr(Headers([("Set-Cookie", "secret")]))
