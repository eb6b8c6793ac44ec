"""What is not Redis, or never answers, is a failure in time that tells no password."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from ml_pipeline.cache.redis_endpoint import CONNECT_SECONDS, pack
from tests.cache.conftest import NewLink
from tests.redis_cache import PATIENT_SECONDS, RedisTier, failure, look, named, until

Answer = Callable[[bytes], bytes | None]


class Stranger:
    """A TCP server that answers what it is told to.

    Attributes:
        heard: What each connection sent.
        num_gone: Connections that the other end has closed.
    """

    def __init__(self, answer: Answer) -> None:
        self.heard: list[bytes] = []
        self.num_gone = 0
        self.answer = answer
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each piece that is read; an answer of None hangs up."""
        index = len(self.heard)
        self.heard.append(b"")
        self._writers.append(writer)
        try:
            while piece := await reader.read(65536):
                self.heard[index] += piece
                if (answer := self.answer(piece)) is None:
                    return
                writer.write(answer)
            self.num_gone += 1
        except ConnectionError:
            self.num_gone += 1
        finally:
            writer.close()

    def say(self, words: bytes) -> None:
        """Say something to everybody, unasked."""
        for writer in self._writers:
            writer.write(words)

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def stranger(answer: Answer) -> AsyncIterator[Stranger]:
    """Listen on a free port."""
    server = Stranger(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.hang_up()


def echoing(piece: bytes, refusal: bytes = b"unknown command, with args beginning with: ") -> bytes:
    """Answer as an old Redis does that knows no HELLO: with what it was told."""
    words = [word for word in piece.split(b"\r\n") if word[:1] not in (b"*", b"$")]
    return b"-ERR " + refusal + b", ".join(words) + b"\r\n"


def complaining(piece: bytes) -> bytes:
    """Answer as a proxy does that repeats what it was told in words of its own."""
    return echoing(piece, b"not supported: ")


echoes = pytest.mark.parametrize("echo", [echoing, complaining], ids=lambda echo: echo.__name__)


def greeting(piece: bytes) -> bytes:
    """Answer as Redis does."""
    return b"%1\r\n$5\r\nproto\r\n:3\r\n" if b"HELLO" in piece else b"*1\r\n_\r\n"


garbage: dict[str, Answer] = {
    "http": lambda _: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "ssh": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n",
    "binary": lambda _: bytes(range(256)),
    "negative length": lambda _: b"*-7\r\n$-9\r\n",
    "status for all": lambda _: b"+OK\r\n",
    "number for all": lambda _: b":7\r\n",
    "error for all": lambda _: b"-ERR no\r\n",
    "long error for all": lambda _: b"-ERR " + b"no " * 1000 + b"\r\n",
    "null for all": lambda _: b"_\r\n",
    "hangs up": lambda _: None,
    "bomb": lambda _: b"*2000000000\r\n",
}


@pytest.mark.parametrize("userinfo", ["", ":s3cret@"], ids=["", "with password"])
@pytest.mark.parametrize("answer", garbage.values(), ids=list(garbage))
async def test_what_is_no_redis_is_a_failure(
    answer: Answer, userinfo: str, new_link: NewLink
) -> None:
    """Whatever a stranger answers, connecting fails in time, with a reason of one line."""
    async with stranger(answer) as server:
        error = await failure(new_link(f"redis://{userinfo}127.0.0.1:{server.port}").connect())

    assert error.kind == "connection"
    assert 0 < len(str(error)) <= 220
    assert len(str(error).splitlines()) == 1
    assert "s3cret" not in str(error)


@echoes
@pytest.mark.parametrize(
    ("written", "password"),
    [("s3cret", "s3cret"), ("p%40ss%3Aw%2Ford", "p@ss:w/ord"), ("100%25", "100%")],
)
async def test_repeated_password_is_not_told(
    written: str, password: str, echo: Answer, new_link: NewLink
) -> None:
    """Of what a server repeats the password is left out, however it is written."""
    async with stranger(echo) as server:
        error = await failure(new_link(f"redis://:{written}@127.0.0.1:{server.port}").connect())

        assert password.encode() in server.heard[0]
    assert str(error).startswith(("unknown command", "not supported"))
    assert written not in str(error)
    assert password not in str(error)


@echoes
async def test_repeated_password_that_is_cut_off_is_not_told(
    echo: Answer, new_link: NewLink
) -> None:
    """An old Redis repeats 128 bytes: the beginning of a password is not told either."""
    password = "0123456789abcdef" * 20
    async with stranger(lambda piece: (echo(piece) or b"")[:140] + b"\r\n") as server:
        error = await failure(new_link(f"redis://:{password}@127.0.0.1:{server.port}").connect())

    assert password[:16] not in str(error)


async def test_server_that_never_answers_is_a_timeout(new_link: NewLink) -> None:
    """Connecting takes its time at most, and the connection is closed, not kept for another try."""
    async with stranger(lambda _: b"") as server:
        started = monotonic()
        error = await failure(new_link(f"redis://127.0.0.1:{server.port}").connect())
        seconds = monotonic() - started

        assert error.kind == "timeout"
        assert CONNECT_SECONDS * 0.9 <= seconds < CONNECT_SECONDS + 2
        await until(lambda: server.num_gone == 1, 2.0)


async def test_log_in_that_was_not_heard_out_is_not_gone_on_with(new_link: NewLink) -> None:
    """After a connect that ran out of time the next one begins with a log-in of its own."""
    async with stranger(lambda _: b"") as server:
        link = new_link(f"redis://127.0.0.1:{server.port}")
        await failure(link.connect())
        server.answer = greeting

        await asyncio.wait_for(link.connect(), PATIENT_SECONDS)

        assert b"HELLO" in server.heard[-1]
        assert len(server.heard) == 2


def greeting_as(mode: str, role: str) -> Answer:
    """Answer as Redis does, and say what it is."""
    words = {b"proto": b":3", b"mode": b"+%b" % mode.encode(), b"role": b"+%b" % role.encode()}
    told = b"%3\r\n" + b"".join(b"+%b\r\n%b\r\n" % each for each in words.items())
    return lambda piece: told if b"HELLO" in piece else b"*1\r\n_\r\n"


@pytest.mark.parametrize(
    ("mode", "role", "kind", "word"),
    [
        ("cluster", "master", "misfit", "Cluster"),
        ("sentinel", "master", "misfit", "Sentinel"),
        ("standalone", "replica", "replica", "master"),
    ],
)
async def test_what_is_not_to_be_used_is_told_by_its_greeting(
    mode: str, role: str, kind: str, word: str, new_link: NewLink
) -> None:
    """And nothing else is asked of it."""
    async with stranger(greeting_as(mode, role)) as server:
        error = await failure(new_link(f"redis://127.0.0.1:{server.port}").connect())
        asked = b"".join(server.heard)

    assert error.kind == kind
    assert word in str(error)
    assert b"MGET" not in asked


@pytest.mark.parametrize("name", garbage)
async def test_stranger_in_the_middle_is_a_failure_or_an_answer(
    name: str, new_link: NewLink
) -> None:
    """Whatever comes in place of answers, an exchange ends in time, as its contract says."""
    async with stranger(greeting) as server:
        link = new_link(f"redis://127.0.0.1:{server.port}")
        await link.connect()
        server.answer = garbage[name]

        # Time that only an answer for ever uses up, however busy the machine.
        kind, seconds = ("timeout", 0.1) if name.endswith("for all") else ("connection", 10.0)
        error = await failure(link.exchange([pack(b"PING")] * 3, 3, seconds))

    assert error.kind == kind


numbers: list[tuple[bytes, dict[str, int]]] = [
    (b"*1\r\n:7\r\n", {"unreadable": 1}),
    (b"*1\r\n*0\r\n", {"unreadable": 1}),
    (b"*0\r\n", {"unanswered": 1}),
    (b"*2\r\n_\r\n_\r\n", {"unanswered": 1}),
]


@pytest.mark.parametrize(("answer", "counted"), numbers, ids=["number", "list", "few", "many"])
async def test_answers_that_are_no_values_are_misses(
    answer: bytes, counted: dict[str, int]
) -> None:
    """What looks like Redis and answers a look-up with something else has nothing for anybody."""
    async with stranger(greeting) as server:
        tier = await RedisTier(f"redis://127.0.0.1:{server.port}").start()
        server.answer = lambda _: answer
        found = await asyncio.wait_for(look(tier.cache, named(1)), PATIENT_SECONDS)
        num_keys = tier.num_keys
        await tier.cache.aclose()

    assert found == [None]
    assert {result: count for result, count in num_keys.items() if count} == counted


async def test_answer_nobody_asked_for_is_never_given_to_a_question(new_link: NewLink) -> None:
    """A connection on which something is left over is dropped before the next question."""
    async with stranger(greeting) as server:
        link = new_link(f"redis://127.0.0.1:{server.port}")
        await link.connect()
        server.answer = lambda _: b"+1\r\n+left over\r\n"
        first = await link.exchange([pack(b"PING")], 1, PATIENT_SECONDS)
        error = await failure(link.exchange([pack(b"PING")], 1, PATIENT_SECONDS))

    assert first == [b"1"]
    assert error.kind == "connection"  # the new one finds out that this is no Redis


async def test_who_announces_too_much_is_hung_up_on(new_link: NewLink) -> None:
    """At once, and without being asked anything."""
    async with stranger(greeting) as server:
        link = new_link(f"redis://127.0.0.1:{server.port}")
        await link.connect()
        server.say(b">2000000000\r\n")
        await until(lambda: server.num_gone == 1, 2.0)

        assert not link.is_usable
