"""Bytes that Nginx and a replica could read in two ways: nothing gets past one inside the other."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.http.hostile import (
    REFUSED,
    Flatness,
    assert_none_smuggled,
    assert_none_too_many,
    assert_well,
    attack,
    corpus,
    mutate,
    shapes,
)
from tests.server import Server, wait_until
from tests.stack.nginx import Gateway, new_client

NUM_STREAMS = int(os.environ.get("HOSTILE_STREAMS", "3000"))
NUM_AT_ONCE = 300
TAKEN_BY_NGINX = {
    *("chunk with a space", "LF in an extension", "malformed trailers"),
    *("chunk ends in LF", "last chunk in LF", "CR before a line end", "bare LF"),
    *("behind a bare LF, no length", "length behind a bare LF"),
    *("HTTP/1.10", "DEL in a value", "control in a value", "no colon", "bare LF at the end"),
}
"""What a strict reader refuses and Nginx reads. No replica sees it: Nginx leaves out what is no
header, and writes head and body anew, the latter with a length."""

PROTOCOL_ANSWERS = frozenset({501, 505})
"""Nginx' words for a transfer coding, and a version of HTTP, that it does not know."""


@pytest.fixture(scope="module")
def replica() -> Iterator[Server]:
    """A replica that logs whatever it is asked."""
    with Server(ACCESS_LOG="all", ALLOWED_HOSTS="*") as server:
        yield server
        assert "Traceback" not in server.stderr + server.stdout


@pytest.fixture(scope="module")
def front(replica: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx before it, without limits for this machine."""
    folder = tmp_path_factory.mktemp("front")
    with Gateway(folder, replica.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(front: Gateway) -> Iterator[httpx.Client]:
    """A client that is well-behaved."""
    with new_client(front.port, "127.0.0.1") as client:
        yield client


def passed_on(front: Gateway) -> Counter[str]:
    """Count what Nginx says that it has given to the replica, by id."""
    return Counter(line["request_id"] for line in front.log_lines() if line["upstream"])


def asked(replica: Server) -> list[dict[str, Any]]:
    """Give the replica's log of what it was asked, but for what the test itself asks."""
    lines = [line for line in replica.log_lines() if line["event"] == "request"]
    return [line for line in lines if line["path"] != "/health/ready"]


def assert_same_requests(front: Gateway, replica: Server) -> None:
    """Assert that the replica was asked what Nginx knows of, each as often, and nothing else.

    What the replica refuses by its head has no id of Nginx' yet, and is only counted.
    """
    read = Counter(line["request_id"] for line in asked(replica) if line["status"] not in REFUSED)
    with suppress(TimeoutError):  # Nginx writes its log a second late
        wait_until(lambda: not read - passed_on(front))
    assert read - passed_on(front) == Counter()
    assert len(asked(replica)) <= passed_on(front).total()


async def test_shapes_of_smuggling(
    replica: Server,
    front: Gateway,
    client: httpx.Client,
    record_property: Callable[[str, object], None],
) -> None:
    """No more is answered than a strict reader sees, and what is hidden reaches no replica."""
    named = shapes("/api")

    attacks = await attack(front.port, list(named.values()))

    refused = [
        each for name, each in zip(named, attacks, strict=True) if name not in TAKEN_BY_NGINX
    ]
    assert_none_too_many(refused)
    assert_none_smuggled(replica, refused)
    assert_same_requests(front, replica)
    assert_well(attacks, client, "/api/predict", PROTOCOL_ANSWERS)
    record_property("streams", len(attacks))


async def test_mutated_requests(
    replica: Server,
    front: Gateway,
    client: httpx.Client,
    record_property: Callable[[str, object], None],
) -> None:
    """Of requests with bytes changed, lost, doubled and put in a replica sees those Nginx sees."""
    draw = random.Random(NUM_STREAMS)
    streams = corpus("/api")
    flatness = Flatness(replica.pid)
    for start in range(0, NUM_STREAMS, NUM_AT_ONCE):
        numbers = range(start + 10_000, start + 10_000 + NUM_AT_ONCE)
        mutated = [mutate(draw, draw.choice(streams), number) for number in numbers]

        attacks = await attack(front.port, mutated)

        assert_well(attacks, client, "/api/predict", PROTOCOL_ANSWERS)
        flatness.note()
    record_property("streams", NUM_STREAMS)
    assert_same_requests(front, replica)
    flatness.check()
