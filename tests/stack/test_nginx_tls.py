"""Nginx with a certificate, as a deployment that mounts one has it."""

import re
import socket
import ssl
import warnings
from collections.abc import Iterator

import httpx
import pytest

from tests.server import Server, new_client
from tests.stack.nginx import PREDICTION, PROBLEM_TYPE, Https, Stub, read_answer


def handshake(gateway: Https, version: ssl.TLSVersion) -> str | None:
    """Connect with one version of TLS, whatever this machine thinks of it; what was agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    address = ("127.0.0.1", gateway.tls_port)
    with (
        socket.create_connection(address, 10.0) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return connection.version()


@pytest.fixture(scope="module")
def https(replica: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """Both ports answer."""
    with Https(tmp_path_factory.mktemp("https"), replica.port) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """The port without TLS sends everybody to the other."""
    with (
        Stub() as stub,
        Https(tmp_path_factory.mktemp("only"), stub.port, HTTPS_ONLY="on") as gateway,
    ):
        yield gateway


@pytest.fixture(scope="module")
def client(https: Https) -> Iterator[httpx.Client]:
    """Asks by TLS."""
    with new_client(f"https://127.0.0.1:{https.tls_port}") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/nope", "/api/health", "/api/docs", "/prometheus/x"])
def test_answers_by_tls_ask_for_it_ever_after(client: httpx.Client, path: str) -> None:
    """HSTS stands once on every answer, for a year."""
    answer = client.get(path)

    assert answer.status_code in (200, 404)
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
    assert len(answer.headers.get_list("content-security-policy")) == 1


def test_predictions_by_tls(client: httpx.Client) -> None:
    """A prediction is the same as without."""
    assert client.post("/api/predict", json=PREDICTION).json()["labels"] == ["class_2"]


def test_answers_without_tls_do_not(https: Https) -> None:
    """On the other port of the same Nginx there is no HSTS (RFC 6797, 7.2)."""
    answer = https.ask("/")

    assert answer.status == 200
    assert answer.all("strict-transport-security") == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_of_today(https: Https, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 are spoken."""
    assert handshake(https, version) == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_versions_of_old(https: Https, version: ssl.TLSVersion) -> None:
    """TLS 1.0 and 1.1 are refused, by Nginx and not by this client."""
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        handshake(https, version)


def test_who_forgets_tls(https: Https) -> None:
    """A plain request to the port of TLS is a problem document with status 400."""
    with socket.create_connection(("127.0.0.1", https.tls_port), 10.0) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_answer(connection)

    assert (answer.status, answer.all("content-type")) == (400, [PROBLEM_TYPE])
    assert answer.json()["status"] == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/api/predict?a=b%26c&d", "/x%2Fy//z?%0A", "/%FF"])
def test_https_only(only: Https, method: str, path: str) -> None:
    """Who comes without TLS is sent on, with method, path and query."""
    request = f"{method} {path} HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\n\r\n{{}}"
    answer = only.send(request.encode())

    assert answer.status == 308
    assert answer.all("location") == [f"https://example.org{path}"]
    assert answer.all("x-content-type-options") == ["nosniff"]


def test_https_only_leaves_tls_alone(only: Https) -> None:
    """By TLS everything is answered."""
    with new_client(f"https://127.0.0.1:{only.tls_port}") as client:
        assert client.post("/api/predict", json=PREDICTION).status_code == 200
        assert client.get("/").status_code == 200


def test_https_only_leaves_health_checks_alone(only: Https) -> None:
    """The port of health checks is not for clients, so it needs no TLS."""
    with new_client(f"http://127.0.0.1:{only.state.status_port}") as client:
        assert client.get("/healthz").status_code == 204
        assert re.match("Active connections: ", client.get("/stub_status").text)
