"""One connection to a real Redis: answers go to their own questions, or it is dropped."""

import asyncio
from typing import Any

import pytest

from ml_pipeline.cache.redis_endpoint import RedisEndpoint, pack
from ml_pipeline.cache.redis_errors import CLUSTER, REPLICA, RefusedReply
from ml_pipeline.cache.redis_link import RedisLink
from tests.cache.conftest import NewLink
from tests.redis_cache import PATIENT_SECONDS, failure, until
from tests.redis_server import RedisServer


@pytest.fixture
async def link(server: RedisServer, new_link: NewLink) -> RedisLink:
    """Connected to a real Redis."""
    link = new_link(server.url)
    await link.connect()
    return link


async def test_replies_come_in_order_and_errors_in_their_place(link: RedisLink) -> None:
    """One refused command of several does not hide what the others were answered."""
    commands = [pack(b"SET", b"a", b"1"), pack(b"LPUSH", b"a", b"2"), pack(b"GET", b"a")]

    stored, refused, value = await link.exchange(commands, 3, PATIENT_SECONDS)

    assert (stored, value) == (b"OK", b"1")
    assert isinstance(refused, RefusedReply)
    assert link.failure(refused).kind == "refused"


async def test_connection_that_was_not_heard_out_is_not_used_again(
    server: RedisServer, link: RedisLink, client: Any
) -> None:
    """After a timeout the next exchange has a new connection, and its own answers."""
    await link.exchange([pack(b"MSET", b"a", b"1", b"b", b"2")], 1, PATIENT_SECONDS)
    (first,) = await link.exchange([pack(b"CLIENT", b"ID")], 1, PATIENT_SECONDS)
    server.freeze()
    error = await failure(link.exchange([pack(b"GET", b"a")], 1, 0.02))
    server.thaw()

    await link.connect()
    value, second = await link.exchange(
        [pack(b"GET", b"b"), pack(b"CLIENT", b"ID")], 2, PATIENT_SECONDS
    )

    assert error.kind == "timeout"
    assert value == b"2"
    assert second != first
    await until(lambda: len(client.client_list()) == 2)  # this link's, and the client's own


async def test_cancelled_exchange_leaves_no_answer_behind(
    server: RedisServer, link: RedisLink
) -> None:
    """Dropped after it was cancelled, a connection never gives its answer to another question."""
    await link.exchange([pack(b"MSET", b"a", b"1", b"b", b"2")], 1, PATIENT_SECONDS)
    server.freeze()
    asking = asyncio.create_task(link.exchange([pack(b"GET", b"a")], 1, PATIENT_SECONDS))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    link.drop()
    server.thaw()

    await link.connect()

    assert await link.exchange([pack(b"GET", b"b")], 1, PATIENT_SECONDS) == [b"2"]


async def test_connection_that_was_closed_while_idle_is_made_anew(
    link: RedisLink, client: Any
) -> None:
    """A hang-up while nothing was under way costs no answer."""
    client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.02)

    assert await link.exchange([pack(b"PING")], 1, PATIENT_SECONDS) == [b"PONG"]


async def test_drop_may_be_repeated(link: RedisLink) -> None:
    """A second drop finds nothing to do, and the link can be connected again."""
    link.drop()
    link.drop()

    await link.connect()

    assert await link.exchange([pack(b"PING")], 1, PATIENT_SECONDS) == [b"PONG"]


async def test_nobody_listening_is_a_failure(new_link: NewLink) -> None:
    """A port that refuses is a lost connection."""
    with RedisServer() as gone:
        url = gone.url

    assert (await failure(new_link(url).connect())).kind == "connection"


async def test_wrong_password_is_a_failure_that_does_not_tell_it(new_link: NewLink) -> None:
    """A real Redis that refuses the log-in is a lost connection, and the text says why."""
    with RedisServer("--requirepass", "right") as server:
        url = server.url.replace("redis://", "redis://:wr0ng@")
        error = await failure(new_link(url).connect())

    assert error.kind == "connection"
    assert "wr0ng" not in str(error)
    assert "password" in str(error)


async def test_right_password_connects(new_link: NewLink) -> None:
    """A percent-encoded password reaches Redis decoded."""
    with RedisServer("--requirepass", "p@ss/word") as server:
        link = new_link(server.url.replace("redis://", "redis://:p%40ss%2Fword@"))
        await link.connect()

        assert await link.exchange([pack(b"PING")], 1, PATIENT_SECONDS) == [b"PONG"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@localhost?no_such_option=1",
        "redis://:s3cret@localhost:port",
        "redis://:s3cret/rest@localhost",
        "redis://:s3cret@localhost:port/x",
        "s3cret",
    ],
)
def test_unusable_url_is_not_quoted(url: str) -> None:
    """A URL that cannot be used is a ValueError whose text holds nothing of it."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 what it may say is the point
        RedisEndpoint(url)

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("MOVED 3999 127.0.0.1:6381", "misfit", CLUSTER),
        ("CROSSSLOT Keys in request don't hash to the same slot", "misfit", CLUSTER),
        ("CLUSTERDOWN Hash slot not served", "misfit", CLUSTER),
        ("READONLY You can't write against a read only replica.", "replica", REPLICA),
        ("NOPERM no permissions", "refused", "NOPERM no permissions"),
        ("OOM command not allowed", "refused", "OOM command not allowed"),
        ("ERR of any kind", "refused", "of any kind"),
        ("NOSENSE of any kind", "refused", "NOSENSE of any kind"),
    ],
)
def test_a_reason_is_all_that_was_said(said: str, kind: str, told: str, new_link: NewLink) -> None:
    """From its first word, or what it means."""
    found = new_link("redis://127.0.0.1:1").failure(RefusedReply(said))

    assert (found.kind, str(found)) == (kind, told)
