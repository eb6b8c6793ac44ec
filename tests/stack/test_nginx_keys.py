"""API keys at Nginx: a rate for each name, what forged keys gain, the log, and the cache.

Nginx does not know which keys are right, so the replica here takes any.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ml_pipeline.api_keys import make_key
from tests.keys import write_keys
from tests.server import Server, settled
from tests.stack.nginx import PROBLEM_TYPE, Answer, Gateway, Stub, new_address

LONG = "0" * 63


@pytest.fixture(scope="module")
def keyed(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Six predictions a minute by name, two by address, 127.9.1.0/24 exempt."""
    names = ["alice", "bob", "forged", "many", "both", "default", LONG, "a-1_x"]
    names += [f"n{number}" for number in range(9)]
    variables = {
        "RATE_LIMIT_KEYS": " ".join(f"{name}=6" for name in names),
        "RATE_LIMIT_PREDICT": "2",
        "RATE_LIMIT_PREDICT_BURST": "0",
        "RATE_LIMIT_EXEMPT": "127.9.1.0/24",
    }
    with Gateway(tmp_path_factory.mktemp("keyed"), stub.port, settings=variables) as gateway:
        yield gateway


fresh_names = (f"n{number}" for number in itertools.count())


@pytest.fixture
def key() -> str:
    """A key of a name whose rate no test has spent."""
    return make_key(next(fresh_names))[0]


def predict(
    gateway: Gateway, key: str, count: int = 1, client: str = "", header: str = "X-API-Key"
) -> list[int]:
    """Ask so often with a key, from one address (else each time from a new one)."""
    sent = {header: f"Bearer {key}" if header == "Authorization" else key}
    return [gateway.predict(client, headers=sent).status for _ in range(count)]


def forged(client: str) -> dict[str, str]:
    """Headers by which a client would be another one, were it believed."""
    return {"X-Forwarded-For": client, "X-Real-IP": client, "Forwarded": f"for={client}"}


def anonymous(gateway: Gateway, count: int, client: str) -> list[int]:
    """The same without a key."""
    return gateway.statuses(count, "/api/predict", "POST", client)


def test_a_name_has_its_rate(keyed: Gateway, key: str) -> None:
    """Who claims a listed name may ask at its rate, not at that of an address."""
    assert predict(keyed, key, 7, new_address()) == [200] * 6 + [429]


@pytest.mark.parametrize("name", ["default", LONG, "a-1_x"])
def test_names_that_could_be_trouble(keyed: Gateway, name: str) -> None:
    """So may the longest name, one with signs, and one that is a word of Nginx'."""
    assert predict(keyed, make_key(name)[0], 7, new_address()) == [200] * 6 + [429]


def told_late(answer: Answer) -> tuple[int, list[str], str]:
    """Status and Retry-After of a refusal, and what it says."""
    body = answer.json()
    return answer.status, answer.all("retry-after"), body.get("detail") or body["error"]


def test_a_refusal_tells_the_rate_of_the_name(keyed: Gateway, key: str) -> None:
    """The problem document and Retry-After are those of the key's rate, and of an address' else."""
    client, headers = new_address(), {"X-API-Key": key}
    predict(keyed, key, 6, client)
    by_name = keyed.predict(client, headers=headers)
    protocol = keyed.ask("/v2/models/x/infer", "POST", client, headers=headers)
    anonymous(keyed, 2, client)
    by_address = keyed.predict(client)

    found = "rate: expected at most 6 requests a minute of a client, found more"
    assert by_name.all("content-type") == [PROBLEM_TYPE]
    assert told_late(by_name) == told_late(protocol) == (429, ["10"], found)
    assert told_late(by_address) == (429, ["31"], found.replace("6", "2"))


def test_a_key_counts_wherever_it_is_used(keyed: Gateway, key: str) -> None:
    """More addresses bring no more."""
    assert predict(keyed, key, 7) == [200] * 6 + [429]


def test_a_key_counts_however_it_is_sent(keyed: Gateway, key: str) -> None:
    """As a bearer token, in any case, it is the same key."""
    asked = predict(keyed, key, 3) + predict(keyed, key, 3, header="Authorization")
    lower = keyed.predict(headers={"Authorization": f"bearer  {key}"}).status

    assert (asked, lower) == ([200] * 6, 429)


def test_a_key_does_not_count_by_address(keyed: Gateway, key: str) -> None:
    """Who shares an address with the owner of a key has what others have, and the owner too."""
    client = new_address()

    assert predict(keyed, key, 7, client) == [200] * 6 + [429]
    assert anonymous(keyed, 3, client) == [200, 200, 429]


def test_a_forged_key_takes_nothing_from_the_owner(keyed: Gateway) -> None:
    """Others who claim the name, even for long, leave the owner's rate as it is."""
    for _ in range(3):
        predict(keyed, make_key("forged")[0], 7, new_address())

    assert predict(keyed, make_key("forged")[0], 7) == [200] * 6 + [429]


def test_many_forged_keys_gain_nothing(keyed: Gateway) -> None:
    """From one address a name has its rate once, however many keys are made up."""
    client = new_address()
    asked = [predict(keyed, make_key("many")[0], 1, client)[0] for _ in range(9)]

    assert asked == [200] * 6 + [429] * 3


def test_nobody_has_another_address_by_saying_so(keyed: Gateway) -> None:
    """Nor do made-up keys together with made-up addresses, but from TRUSTED_PROXIES."""
    client = new_address()
    sent = [{"X-API-Key": make_key("both")[0], **forged(new_address())} for _ in range(7)]

    statuses = [keyed.predict(client, headers=headers).status for headers in sent]
    assert statuses == [200] * 6 + [429]


@pytest.mark.parametrize(
    "key",
    [
        f"carol.{'x' * 43}",
        f"alice.{'x' * 31}",
        f"alice.{'x' * 201}",
        f"alice.{'x' * 31}!",
        f"Alice.{'x' * 43}",
        f"alice{'x' * 43}",
        f"alice.{'x' * 20} {'x' * 30}",
        f"{LONG}0.{'x' * 43}",
        f"Bearer alice.{'x' * 43}",
        "",
    ],
)
def test_anything_else_counts_by_address(keyed: Gateway, key: str) -> None:
    """A name that is not listed, or what is no key by its form, changes nothing."""
    client = new_address()

    assert predict(keyed, key, 3, client) == [200, 200, 429]
    assert anonymous(keyed, 1, client) == [429]


def test_exempt_clients_stay_exempt(keyed: Gateway) -> None:
    """A key does not limit who has no limits."""
    assert predict(keyed, make_key("bob")[0], 20, "127.9.1.7") == [200] * 20


def test_other_requests_count_by_address(keyed: Gateway, key: str) -> None:
    """The rate of a name is one of predictions."""
    client = new_address()
    statuses = [
        keyed.ask("/api/models", client=client, headers={"X-API-Key": key}).status
        for _ in range(60)
    ]

    assert statuses[0] == 200
    assert 429 in statuses


def test_the_replica_gets_the_key(keyed: Gateway, stub: Stub, key: str) -> None:
    """Both headers go through as they were sent, behind /api as under /v2, and none is added."""
    for path in ("/api/predict", "/v2/models/x/infer", "/api/models/info", "/api/models"):
        stub.asked.clear()
        keyed.ask(path, "POST", headers={"X-API-Key": key, "Authorization": "Bearer other"})
        keyed.ask(path, "POST")

        found = [
            {name: value for name, value in headers if name in ("x-api-key", "authorization")}
            for _, headers in stub.asked
        ]
        assert found == [{"x-api-key": key, "authorization": "Bearer other"}, {}], path


def test_of_two_keys_one_counts_and_is_passed_on(keyed: Gateway, stub: Stub) -> None:
    """Nobody asks at the rate of one name with the key of another."""
    keys = [make_key(name)[0] for name in ("alice", "carol")]
    lines = "".join(f"X-API-Key: {key}\r\n" for key in keys)
    stub.asked.clear()
    keyed.send(f"GET /api/predict HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())

    sent = [value for name, value in stub.asked[0][1] if name == "x-api-key"]
    assert sent in ([keys[0]], [", ".join(keys)])


def test_the_log_has_the_name_and_not_the_key(keyed: Gateway) -> None:
    """A line says which name was claimed, if what was sent has the form of a key."""
    secret = "planted-secret-of-43-characters-0123456789a"
    sent = {
        "good": {"X-API-Key": f"alice.{secret}"},
        "bearer": {"Authorization": f"Bearer bob.{secret}"},
        "form": {"X-API-Key": f"alice:{secret}"},
        "none": {},
    }
    for name, headers in sent.items():
        keyed.predict(headers={**headers, "X-Request-ID": f"log-{name}"})

    logged = {name: keyed.logged(f"log-{name}")[0]["key"] for name in sent}
    assert logged == {"good": "alice", "bearer": "bob", "form": "", "none": ""}
    assert secret not in keyed.log.decode()


def test_an_answer_for_a_key_is_for_nobody_else(tmp_path: Path) -> None:
    """What Nginx keeps for a second is not given to who has no key, or another."""
    keys = write_keys(tmp_path / "keys", "alice")
    with (
        Server(API_KEYS_FILE=str(tmp_path / "keys")) as replica,
        Gateway(tmp_path / "g", replica.port) as gateway,
    ):
        for path in ("/api/sample", "/api/models/info"):
            sent = [{"X-API-Key": keys["alice"]}, {}, {"X-API-Key": "x"}] * 2
            found = [gateway.ask(path, headers=headers).status for headers in sent]

            assert found == [200, 401, 401] * 2


SPELT = {
    "X-API-Key": "X-API-Key: {}",
    "lower case": "x-api-key: {}",
    "bearer": "Authorization: Bearer {}",
    "lower case bearer": "authorization: bearer {}",
    "spaces": "Authorization: Bearer    {}   ",
    "a tab before": "Authorization:\tBearer {}",
    "a tab before X-API-Key": "X-API-Key: \t{}",
    "a space and a tab behind": "Authorization: Bearer {} \t",
    "a tab behind": "Authorization: Bearer {}\t",
    "a tab behind X-API-Key": "X-API-Key: {}\t",
    "a tab within": "Authorization: Bearer\t{}",
    "blank X-API-Key": "X-API-Key: \t\r\nAuthorization: Bearer {}",
    "empty X-API-Key first": "X-API-Key:\r\nX-API-Key: {}",
    "twice": "X-API-Key: {}\r\nX-API-Key: {}",
    "two bearers": "Authorization: Bearer {}\r\nAuthorization: Bearer {}",
    "basic, then bearer": "Authorization: Basic eDp5\r\nAuthorization: Bearer {}",
    "zero": "X-API-Key: 0\r\nAuthorization: Bearer {}",
    "an underscore": "X_API_Key: {}",
}
"""How a key may be sent, or nearly; `{}` is the key."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """Nginx before a replica that asks for a key, without limits, and a key."""
    folder = tmp_path_factory.mktemp("guarded")
    key = write_keys(folder / "keys", "alice")["alice"]
    with (
        Server(API_KEYS_FILE=str(folder / "keys"), ALLOWED_HOSTS="*") as replica,
        Gateway(folder / "g", replica.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as gateway,
    ):
        yield gateway, key


@pytest.mark.parametrize("lines", SPELT.values(), ids=SPELT)
@pytest.mark.parametrize("path", ["/api/sample", "/api/models/info", "/api/sample/"])
def test_no_spelling_of_a_key_leaves_an_answer_for_others(
    guarded: tuple[Gateway, str], path: str, lines: str
) -> None:
    """Whatever a replica takes for a key, who sends none gets a 401 behind it."""
    gateway, key = guarded
    head = f"GET {path}?{uuid4()} HTTP/1.1\r\nHost: x\r\n"
    with_key = f"{head}{lines.replace('{}', key)}\r\n\r\n".encode()
    without = f"{head}\r\n".encode()

    found = [gateway.send(each).status for each in (with_key, without, with_key, without)]

    assert found[0] in (200, 400, 401)  # one that is there twice some Nginx refuse themselves
    assert found[1::2] == [401, 401]
    assert found[2] == found[0]


@pytest.mark.parametrize("lines", SPELT.values(), ids=SPELT)
def test_nginx_and_a_replica_read_the_same_key(guarded: tuple[Gateway, str], lines: str) -> None:
    """Nginx logs a name where the replica behind it lets in, and no name where it does not."""
    gateway, key = guarded
    request_id = f"same-{uuid4()}"
    head = f"GET /api/models HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n"
    status = gateway.send(f"{head}{lines.replace('{}', key)}\r\n\r\n".encode()).status

    line = gateway.logged(request_id)[0]
    if line["upstream"]:  # else Nginx itself has refused it
        assert line["key"] == {200: "alice", 401: ""}[status]


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_takes_the_place_of_an_older_answer(tmp_path: Path, status: int) -> None:
    """Who goes on asking is told within a second that he may no more, or that it is gone."""
    with Stub() as replica, Gateway(tmp_path, replica.port) as gateway:
        before = gateway.ask("/api/models/info").status
        replica.status = status

        def now() -> int:
            return gateway.ask("/api/models/info").status

        assert (before, settled(now, status)) == (200, status)
