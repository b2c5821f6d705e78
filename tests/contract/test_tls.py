"""Whom the tap trusts: certificates of servers and clients, proxies; all for this tap only."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests import singer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from tests.conftest import Sync
    from tests.git_repository import GitRepository

EXPIRED = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
PROXY_PASSWORD = "pr0xy-geheim"


@pytest.fixture(autouse=True)
def ledger(repository: Callable[[str], GitRepository], monkeypatch: pytest.MonkeyPatch) -> None:
    repository("PAY/ledger").commits(3)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """A company's own certificate authority."""
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def client_pem(ca: trustme.CA, tmp_path: Path) -> str:
    """A client's certificate with its key in one file."""
    path = tmp_path / "client.pem"
    ca.issue_cert("tap@example.com").private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def server(root: Path, certificate: trustme.LeafCert) -> Iterator[Bitbucket]:
    with Bitbucket(root, ssl_context=context_of(certificate)) as bitbucket:
        yield bitbucket


@pytest.fixture
def secure(root: Path, ca: trustme.CA) -> Iterator[Bitbucket]:
    """A server whose certificate the company's authority has signed."""
    with server(root, ca.issue_cert("127.0.0.1")) as bitbucket:
        yield bitbucket


@pytest.fixture
def demanding(root: Path, ca: trustme.CA) -> Iterator[Bitbucket]:
    """A server that wants a client certificate, too."""
    context = context_of(ca.issue_cert("127.0.0.1"))
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with Bitbucket(root, ssl_context=context) as bitbucket:
        yield bitbucket


def read(bitbucket: Bitbucket, **settings: object) -> singer.Output:
    config = {"base_url": bitbucket.url, "token": "token", "max_retries": 0, **settings}
    return singer.sync(config)


def commits(output: singer.Output) -> int:
    assert output.exit_code == 0, output.log
    return len(output.records("commits"))


# Servers.


def test_a_company_s_own_ca_is_trusted_if_it_is_named(secure: Bitbucket, ca_file: str) -> None:
    assert commits(read(secure, ca_bundle=ca_file)) == 3


def test_requests_ca_bundle_works_as_everywhere(
    secure: Bitbucket, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)
    assert commits(read(secure)) == 3


def test_what_the_system_trusts_is_trusted(
    secure: Bitbucket, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)  # where OpenSSL looks for the system's
    assert commits(read(secure)) == 3


def test_ca_bundle_stands_before_the_environment(
    secure: Bitbucket, ca_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    assert commits(read(secure, ca_bundle=ca_file)) == 3
    assert read(secure).code == "tls_error"


def test_an_unknown_ca_is_a_tls_error_at_once(secure: Bitbucket) -> None:
    output = read(secure, max_retries=5)
    assert output.code == "tls_error"
    assert "`ca_bundle`" in output.last_line
    assert secure.requests == []


@pytest.mark.parametrize(
    ("host", "expires", "word"),
    [("127.0.0.1", EXPIRED, "expired"), ("b.example.com", None, "127.0.0.1")],
    ids=["expired", "of another host"],
)
def test_a_certificate_that_is_no_good_is_a_tls_error(
    root: Path,
    ca: trustme.CA,
    ca_file: str,
    host: str,
    expires: dt.datetime | None,
    word: str,
) -> None:
    begin = expires and expires - dt.timedelta(days=1)
    certificate = ca.issue_cert(host, not_before=begin, not_after=expires)
    with server(root, certificate) as bitbucket:
        output = read(bitbucket, ca_bundle=ca_file)
    assert output.code == "tls_error"
    assert word in output.last_line
    assert bitbucket.requests == []


def test_verify_tls_off_warns_at_each_run_and_holds_for_this_tap_only(secure: Bitbucket) -> None:
    for _ in range(2):
        output = read(secure, verify_tls=False)
        assert commits(output) == 3
        assert output.log.count("verify_tls is off") == 1
        assert "Insecure" not in output.log
    assert read(secure).code == "tls_error"


# Clients.


def test_a_client_certificate_is_presented(
    demanding: Bitbucket, ca: trustme.CA, ca_file: str, client_pem: str, tmp_path: Path
) -> None:
    assert commits(read(demanding, ca_bundle=ca_file, client_certificate=client_pem)) == 3
    pair = ca.issue_cert("tap@example.com")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    pair.cert_chain_pems[0].write_to_path(certificate)
    pair.private_key_pem.write_to_path(key)
    settings = {"client_certificate": str(certificate), "client_key": str(key)}
    assert commits(read(demanding, ca_bundle=ca_file, **settings)) == 3


def test_a_missing_client_certificate_is_a_tls_error(demanding: Bitbucket, ca_file: str) -> None:
    output = read(demanding, ca_bundle=ca_file)
    assert output.code == "tls_error"
    assert "`client_certificate`" in output.last_line


@pytest.mark.parametrize("setting", ["ca_bundle", "client_certificate", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe no PEM", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_that_is_not_a_certificate_is_named(
    secure: Bitbucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    content: bytes | None,
) -> None:
    path = tmp_path / "given.pem"
    if content is not None:
        path.write_bytes(content)
    if setting == "REQUESTS_CA_BUNDLE":
        monkeypatch.setenv(setting, str(path))
        output = read(secure)
    else:
        output = read(secure, **{setting: str(path)})
    assert output.code == "invalid_config"
    assert setting in output.last_line
    assert str(path) in output.last_line


def test_a_key_that_cannot_be_used_is_named(
    secure: Bitbucket, ca: trustme.CA, client_pem: str, tmp_path: Path
) -> None:
    other, locked = tmp_path / "other.pem", tmp_path / "locked.pem"
    ca.issue_cert("other@example.com").private_key_pem.write_to_path(other)
    key = serialization.load_pem_private_key(other.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for path in (other, locked, tmp_path / "none.pem"):
        output = read(secure, client_certificate=client_pem, client_key=str(path))
        assert output.code == "invalid_config"
        assert str(path) in output.last_line
    assert read(secure, client_key=str(other)).code == "invalid_config"


# On the way.


class Proxy:
    """Passes connections on (CONNECT), or refuses them with 407."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for open_socket in self._sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.heads.append(head.decode())
        if self.refuses:
            client.sendall(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")
            return
        port = int(head.split()[1].rpartition(b":")[2])
        server = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._sockets.append(server)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for one, other in ((client, server), (server, client)):
            self._threads.append(threading.Thread(target=self._pump, args=(one, other)))
            self._threads[-1].start()

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while data := one.recv(65536):
                other.sendall(data)


def test_an_https_proxy_of_the_environment_is_used_and_no_proxy_spares_it(
    secure: Bitbucket, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PROXY_PASSWORD}@{proxy.address}")
        output = read(secure, ca_bundle=ca_file)
        assert commits(output) == 3
        assert read(secure).code == "tls_error"  # the server's certificate is checked behind it
        login = base64.b64encode(f"ada:{PROXY_PASSWORD}".encode()).decode()
        assert all(f"Basic {login}" in head for head in proxy.heads)
        assert all("Bearer" not in head for head in proxy.heads)
        asked = len(proxy.heads)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert commits(read(secure, ca_bundle=ca_file)) == 3
        assert len(proxy.heads) == asked
    assert asked
    assert PROXY_PASSWORD not in output.log


def test_an_http_proxy_gets_the_whole_url(
    bitbucket: Bitbucket, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server of the test plays the proxy: it takes whole URLs for paths of its own.
    monkeypatch.setenv("HTTP_PROXY", bitbucket.url.removesuffix("/bitbucket"))
    output = sync(base_url="http://bitbucket.invalid/bitbucket", allow_http=True)
    assert commits(output) == 3
    assert "allow_http is on" in output.log
    assert bitbucket.requests[0].target.startswith("http://bitbucket.invalid/bitbucket/rest/")


def test_a_proxy_that_refuses_us_is_named_without_its_password(
    secure: Bitbucket, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(refuses=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PROXY_PASSWORD}@{proxy.address}")
        output = read(secure, ca_bundle=ca_file)
    assert output.code == "unreachable"
    assert "407" in output.last_line
    assert "HTTPS_PROXY" in output.last_line
    assert PROXY_PASSWORD not in output.log


@pytest.mark.parametrize(
    "proxy",
    ["http://ada:PASSWORD@127.0.0.1:port", "http://ada:PASS/WORD@127.0.0.1:1", "ada:PASSWORD@"],
)
def test_a_malformed_proxy_is_unreachable_and_keeps_its_password(
    secure: Bitbucket, ca_file: str, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    output = read(secure, ca_bundle=ca_file)
    assert output.code == "unreachable"
    assert "WORD" not in output.log


def test_a_netrc_does_not_replace_our_login(
    bitbucket: Bitbucket, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\ndefault login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert commits(sync()) == 3
    assert {request.headers["authorization"] for request in bitbucket.requests} == {"Bearer token"}


def test_cookies_are_not_kept(bitbucket: Bitbucket, sync: Sync) -> None:
    bitbucket.faults.append(Fault(status=503, headers={"Set-Cookie": "BITBUCKETSESSIONID=1"}))
    assert commits(sync()) == 3
    assert not any("cookie" in request.headers for request in bitbucket.requests)
