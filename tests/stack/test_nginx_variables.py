"""Variables with values that make no sense, trusted proxies, and routes that are closed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.native import nginx
from ops.native.state import StackError
from tests.server import ROOT, Server, free_port
from tests.stack.native import Stack
from tests.stack.nginx import Gateway, Stub, new_address

FORGED = {
    "nothing": {},
    "loopback": {"X-Forwarded-For": "127.0.0.1"},
    "real ip": {"X-Real-IP": "127.0.0.1"},
    "forwarded": {"Forwarded": "for=127.0.0.1"},
    "all": {"X-Forwarded-For": "::1, 127.0.0.1", "X-Real-IP": "::1", "Host": "localhost"},
    "connection": {"Connection": "close, X-Forwarded-For", "X-Forwarded-For": "127.0.0.1"},
}
BAD = [
    *((name, "x") for name in ("RATE_LIMIT_PREDICT", "RATE_LIMIT_API", "CONNECTIONS_PER_CLIENT")),
    *((name, "0") for name in ("RATE_LIMIT_PREDICT", "RATE_LIMIT_API", "CONNECTIONS_PER_CLIENT")),
    *(("RATE_LIMIT_PREDICT", value) for value in ("-1", "1.5", "010", "10r/m", "1 2", "9" * 25)),
    ("RATE_LIMIT_PREDICT_BURST", "-1"),
    ("RATE_LIMIT_API_BURST", "x"),
    ("CONNECTIONS_PER_CLIENT", "70000"),
    ("RATE_LIMIT_EXEMPT", "10.0.0.0/8 nonsense"),
    ("RATE_LIMIT_EXEMPT", "10.0.0.0/99"),
    ("RATE_LIMIT_EXEMPT", "10.0.0.0/8; deny all"),
    *(("RATE_LIMIT_KEYS", value) for value in ("alice", "alice=", "=5", "alice=0", "alice=1.5")),
    *(("RATE_LIMIT_KEYS", value) for value in ("Alice=5", "a.b=5", "a=5;", "a=5 b=x", "a=5 a=6")),
    ("RATE_LIMIT_KEYS", "x" * 64 + "=5"),
    ("TRUSTED_PROXIES", "10.0.0.0/99"),
    ("TRUSTED_PROXIES", "10.0.0.1;"),
    ("MAX_BODY_SIZE", "much"),
    ("MAX_BODY_SIZE", "1m; deny all"),
    ("HTTPS_ONLY", "yes"),
    ("HTTPS_ONLY", "true"),
    ("WORKER_PROCESSES", "many"),
]
"""Variable and a value that it cannot have."""


@pytest.fixture(scope="module")
def behind(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Behind the proxies 127.8.0.0/24 and 127.8.1.1; two predictions at once for everybody."""
    variables = {"TRUSTED_PROXIES": "127.8.0.0/24 127.8.1.1", "RATE_LIMIT_PREDICT": "1"}
    variables |= {"RATE_LIMIT_PREDICT_BURST": "1", "RATE_LIMIT_EXEMPT": "198.51.100.0/24"}
    with Gateway(tmp_path_factory.mktemp("behind"), stub.port, settings=variables) as gateway:
        yield gateway


@pytest.mark.parametrize(("variable", "value"), BAD, ids=[f"{a}={b[:20]}" for a, b in BAD])
def test_a_value_that_makes_no_sense(tmp_path: Path, variable: str, value: str) -> None:
    """`ops/stack up` starts nothing, and says which variable expects what and what it found."""
    stack = Stack(tmp_path / "s", settings={variable: value})
    done = stack.run("up", "--profile", "default")
    if done.returncode == 0:
        assert stack.run("down").returncode == 0

    assert done.returncode == 1
    assert re.search(rf"{variable}: expected .+, found .*{re.escape(value[:10])}", done.stderr)


def test_the_smallest_limits(tmp_path: Path) -> None:
    """One a minute without a burst is a limit as good as any."""
    variables = {"RATE_LIMIT_PREDICT": "1", "RATE_LIMIT_PREDICT_BURST": "0"}
    with Stub() as stub, Gateway(tmp_path, stub.port, settings=variables) as gateway:
        assert gateway.statuses(2, "/api/predict", "POST") == [200, 429]


@pytest.mark.parametrize("variable", ["RATE_LIMIT_PREDICT", "MAX_BODY_SIZE", "RATE_LIMIT_EXEMPT"])
def test_an_empty_variable_counts_as_unset(tmp_path: Path, variable: str) -> None:
    """As with the server's settings."""
    gateway = Gateway(tmp_path, free_port(), settings={variable: ""})
    with gateway:
        text = (gateway.folder.nginx / "nginx.conf").read_text()

    assert "rate=10r/m" in text
    assert "client_max_body_size 1m;" in text


def test_a_bad_value_leaves_the_files_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that Nginx refuses does not take the place of the one that runs."""
    gateway = Gateway(tmp_path, free_port())
    gateway.folder.make()
    nginx.render(gateway.folder, gateway.state)
    monkeypatch.setenv("MAX_BODY_SIZE", "much")
    with pytest.raises(StackError):
        nginx.render(gateway.folder, gateway.state)

    nginx.check(gateway.folder)


@pytest.mark.parametrize("proxy", ["127.8.0.1", "127.8.0.255", "127.8.1.1"])
def test_a_trusted_proxy_names_the_client(behind: Gateway, stub: Stub, proxy: str) -> None:
    """The limits and the replica get the address that the proxy has named."""
    name = f"203.0.113.{sum(map(int, proxy.split('.'))) % 250}"
    headers = {"X-Forwarded-For": f"192.0.2.66, {name}"}
    statuses = [behind.predict(proxy, headers=headers).status for _ in range(3)]
    other = behind.predict(proxy, headers={"X-Forwarded-For": f"2001:db8::{name[-1]}{proxy[-1]}"})

    assert (statuses, other.status) == ([200, 200, 429], 200)
    assert name in [dict(headers).get("x-forwarded-for") for _, headers in stub.asked]


def test_proxies_in_a_row(behind: Gateway) -> None:
    """Of several addresses the last that is no trusted proxy is the client in the log."""
    headers = {"X-Forwarded-For": "192.0.2.1, 203.0.113.7, 127.8.1.1, 127.8.0.9"}
    behind.predict("127.8.0.1", headers={**headers, "X-Request-ID": "row"})

    assert behind.logged("row")[0]["client"] == "203.0.113.7"


def test_a_client_behind_a_proxy_may_be_exempt(behind: Gateway) -> None:
    """RATE_LIMIT_EXEMPT means clients, wherever they come from."""
    headers = {"X-Forwarded-For": "198.51.100.7"}

    assert [behind.predict("127.8.0.1", headers=headers).status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("sent", FORGED.values(), ids=FORGED)
def test_nobody_else_is_believed(behind: Gateway, stub: Stub, sent: dict[str, str]) -> None:
    """What any other client says of its address changes neither limits nor the request."""
    client = new_address()
    stub.asked.clear()
    statuses = [behind.predict(client, headers=sent).status for _ in range(3)]

    assert statuses == [200, 200, 429]
    passed_on = [value for name, value in stub.asked[0][1] if name == "x-forwarded-for"]
    assert passed_on == [client]


def test_nobody_else_is_logged(behind: Gateway) -> None:
    """Nor does it change the client of the log's line."""
    clients = {name: new_address() for name in FORGED}
    for name, client in clients.items():
        behind.predict(client, headers={**FORGED[name], "X-Request-ID": f"forged-{client}"})

    found = {
        name: behind.logged(f"forged-{client}")[0]["client"] for name, client in clients.items()
    }
    assert found == clients


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
@pytest.mark.parametrize("sent", FORGED.values(), ids=FORGED)
def test_admin_routes_are_closed(gateway: Gateway, address: str, sent: dict[str, str]) -> None:
    """Without ADMIN_TOKEN nobody reloads models through Nginx, not even from this machine."""
    answer = gateway.ask("/api/models/reload", "POST", address, headers=sent)

    assert answer.status == 403
    assert "ADMIN_TOKEN" in answer.json()["detail"]


def test_admin_routes_behind_a_proxy_on_loopback(replica: Server, tmp_path: Path) -> None:
    """Nor does who comes by a trusted proxy that names this machine as the client."""
    with Gateway(tmp_path, replica.port, TRUSTED_PROXIES="127.0.0.0/8") as gateway:
        for sent in FORGED.values():
            assert gateway.ask("/api/models/reload", "POST", headers=sent).status == 403


def test_the_admin_token(tmp_path: Path) -> None:
    """With ADMIN_TOKEN whoever sends it may, and nobody else."""
    with Server(ADMIN_TOKEN="secret") as replica, Gateway(tmp_path, replica.port) as gateway:
        sent = [{}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer secret"}]
        answers = [gateway.ask("/api/models/reload", "POST", headers=headers) for headers in sent]

    assert [answer.status for answer in answers] == [401, 401, 200]


def test_the_readme_says_how_many_large_bodies_there_may_be(tmp_path: Path) -> None:
    """For each size that it names: of all clients, and of one, as Nginx counts them."""
    [row] = re.findall(r"^\| `MAX_BODY_SIZE` \|.*", (ROOT / "README.md").read_text(), re.MULTILINE)
    told = re.findall(r"`(\d+m)`: (\d+), (\d+) of one client", row)

    found = []
    for size, _, _ in told:
        gateway = Gateway(tmp_path / size, free_port(), MAX_BODY_SIZE=size)
        gateway.render()
        text = (gateway.folder.nginx / "nginx.conf").read_text()
        found += [(size, *re.findall(r"limit_conn large(?:_client)? (\d+);", text))]

    assert {size for size, _, _ in told} >= {"1m", "16m"}
    assert found == told
