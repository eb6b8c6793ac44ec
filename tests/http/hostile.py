"""Streams of bytes that are made to be read in two ways, and a client that counts their answers.

Each holds a request that hides in another: its id begins with `smuggled`. What may be answered is
what `strict_reader` sees; `attack` fails for one answer more.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import httpx
import psutil

from tests.http.strict_reader import Seen, read_strictly
from tests.server import Server, settled
from tests.web.samples import ROW

ANSWER_SECONDS = 30.0
SILENCE_SECONDS = 0.25
NUM_AT_ONCE = 64

MOST_GROWTH_BYTES = 20 * 1024 * 1024
REFUSED = {400, 413, 431}
"""Of what the server could not read to its end; it is logged under the id it had so far."""

ENDING = REFUSED | {405, 414, 501, 505}
"""After which a connection may be closed, with whatever stands behind."""

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Attack(NamedTuple):
    """What became of a stream."""

    stream: bytes
    seen: Seen
    statuses: list[int]
    received: bytes


def smuggled(prefix: str, number: int | str) -> bytes:
    """A whole request, with an id of its own."""
    return (
        f"GET {prefix}/health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: smuggled-{number}\r\n\r\n"
    ).encode()


def shapes(prefix: str) -> dict[str, bytes]:
    """Give streams by what is odd with each; paths begin with a prefix."""
    numbers = iter(range(10_000))

    def inner() -> bytes:
        return smuggled(prefix, f"shape-{next(numbers)}")

    def post(fields: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
        line = b"POST %b/predict HTTP/%b\r\nHost: x\r\n" % (prefix.encode(), version)
        return line + fields + b"\r\n\r\n" + body

    def within(fields: bytes, version: bytes = b"1.1") -> bytes:
        """In chunks by one field, with a length by another: whoever takes the length sees one."""
        hidden = inner()
        body = b"0\r\n\r\n" + hidden
        return post(fields.replace(b"LENGTH", b"%d" % len(body)), body, version)

    def beyond(fields: bytes) -> bytes:
        """The same the other way round: what is inside a chunk stands behind the length."""
        hidden = inner()
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
        first = body.index(b"\r\n") + 2
        return post(fields.replace(b"LENGTH", b"%d" % first), body)

    def chunked(body: bytes) -> bytes:
        return post(b"Transfer-Encoding: chunked", body)

    def get(head: bytes) -> bytes:
        return head + b"\r\n\r\n" + inner()

    te, cl, path = b"Transfer-Encoding: chunked", b"Content-Length: LENGTH", prefix.encode()
    ok = b"GET %b/health/live HTTP/1.1\r\nHost: x\r\n" % path
    encodings = {
        "xchunked": b"Transfer-Encoding: xchunked",
        "chunked, identity": b"Transfer-Encoding: chunked, identity",
        "identity, chunked": b"Transfer-Encoding: identity, chunked",
        "identity": b"Transfer-Encoding: identity",
        "gzip, chunked": b"Transfer-Encoding: gzip, chunked",
        "chunked twice": te + b"\r\n" + te,
        "chunked and another": te + b"\r\nTransfer-Encoding: x",
        "another and chunked": b"Transfer-Encoding: x\r\n" + te,
        "space before the colon": b"Transfer-Encoding : chunked",
        "tab before the colon": b"Transfer-Encoding\t: chunked",
        "tab behind the colon": b"Transfer-Encoding:\tchunked",
        "vertical tab": b"Transfer-Encoding: \x0bchunked",
        "upper case": b"TRANSFER-ENCODING: CHUNKED",
        "quoted": b'Transfer-Encoding: "chunked"',
        "with a parameter": b"Transfer-Encoding: chunked;q=1",
        "comma behind": b"Transfer-Encoding: chunked,",
        "comma before": b"Transfer-Encoding: ,chunked",
        "empty": b"Transfer-Encoding:",
        "folded": b"Transfer-Encoding:\r\n chunked",
        "folded behind": b"Transfer-Encoding: chunked\r\n , identity",
        "in a folded line": b"X: y\r\n Transfer-Encoding: chunked",
        "behind a bare CR": b"X: y\rTransfer-Encoding: chunked",
        "behind a bare LF": b"X: y\nTransfer-Encoding: chunked",
        "with a NUL": b"Transfer-Encoding: chunked\0",
        "NUL in the name": b"Transfer-Encoding\0: chunked",
        "underscores": b"Transfer_Encoding: chunked",
        "byte beyond ASCII": b"Transfer-Encoding: chunked\xa0",
        "space before the name": b" Transfer-Encoding: chunked",
    }
    found: dict[str, bytes] = {}
    for name, field in encodings.items():
        found[f"{name}, before a length"] = within(field + b"\r\n" + cl)
        found[f"{name}, behind a length"] = within(cl + b"\r\n" + field)
        found[f"{name}, a short length"] = beyond(field + b"\r\n" + cl)
        found[f"{name}, no length"] = within(field)
    found |= {
        "plain chunks of HTTP/1.0": within(te, b"1.0"),
        "two lengths": within(cl + b"\r\nContent-Length: 0"),
        "two lengths, the short first": within(b"Content-Length: 0\r\n" + cl),
        "list of lengths": within(b"Content-Length: 0, LENGTH"),
        "length with a plus": within(b"Content-Length: +LENGTH"),
        "length with a space": within(b"Content-Length: 1 0"),
        "length with zeros": within(b"Content-Length: 000LENGTH"),
        "length in hexadecimals": within(b"Content-Length: 0xff"),
        "length that is negative": within(b"Content-Length: -1"),
        "length beyond 64 bits": within(b"Content-Length: 18446744073709551621"),
        "length in a folded line": within(b"X: y\r\n Content-Length: LENGTH"),
        "length behind a bare LF": within(b"X: y\nContent-Length: LENGTH"),
        "length with underscores": within(b"Content_Length: LENGTH"),
        "chunk of negative size": chunked(b"-1\r\n\r\n0\r\n\r\n" + inner()),
        "chunk of huge size": chunked(b"f" * 17 + b"\r\n" + inner()),
        "chunk that wraps 64 bits": chunked(b"10000000000000002\r\n{}\r\n0\r\n\r\n" + inner()),
        "chunk with 0x": chunked(b"0x2\r\n{}\r\n0\r\n\r\n" + inner()),
        "chunk with a space": chunked(b"2 \r\n{}\r\n0\r\n\r\n" + inner()),
        "chunk with an extension": chunked(b"2;a=b\r\n{}\r\n0;c\r\n\r\n" + inner()),
        "LF in an extension": chunked(b"2;a\n{}\r\n0\r\n\r\n" + inner()),
        "CR in an extension": chunked(b"2;a\r{}\r\n0\r\n\r\n" + inner()),
        "extension of 100 kB": chunked(b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n" + inner()),
        "chunk without its line end": chunked(b"2\r\n{}0\r\n\r\n" + inner()),
        "chunk with another end": chunked(b"2\r\n{}xx0\r\n\r\n" + inner()),
        "chunk ends in LF": chunked(b"2\n{}\n0\n\n" + inner()),
        "last chunk in LF": chunked(b"2\r\n{}\r\n0\n\n" + inner()),
        "chunk longer than its size": chunked(b"1\r\n{}\r\n0\r\n\r\n" + inner()),
        "no size": chunked(b"\r\n{}\r\n0\r\n\r\n" + inner()),
        "trailers": chunked(b"2\r\n{}\r\n0\r\nX: y\r\n\r\n" + inner()),
        "length in trailers": chunked(b"2\r\n{}\r\n0\r\nContent-Length: 80\r\n\r\n" + inner()),
        "malformed trailers": chunked(b"2\r\n{}\r\n0\r\nno colon\r\n\r\n" + inner()),
        "no host": get(b"GET %b/health/live HTTP/1.1" % path),
        "two hosts": get(ok + b"Host: y"),
        "host in a folded line": get(ok + b"X: y\r\n Host: z"),
        "HTTP/0.9": b"GET %b/health/live\r\n" % path + inner(),
        "HTTP/0.9 in LF": b"GET %b/health/live\n" % path + inner(),
        "HTTP/0.9 with fields": get(b"GET %b/health/live\r\nHost: x" % path),
        "HTTP/0.9 that is kept": get(b"GET %b/health\nHost: x\r\nConnection: keep-alive" % path),
        "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" + inner(),
        "HTTP/2.0": get(b"GET %b/health/live HTTP/2.0\r\nHost: x" % path),
        "HTTP/1.10": get(b"GET %b/health/live HTTP/1.10\r\nHost: x" % path),
        "lower case": get(b"GET %b/health/live http/1.1\r\nHost: x" % path),
        "absolute form": get(b"GET http://x%b/health/live HTTP/1.1\r\nHost: x" % path),
        "absolute form, another host": get(b"GET http://y%b/health HTTP/1.1\r\nHost: x" % path),
        "authority form": get(b"GET x:80 HTTP/1.1\r\nHost: x"),
        "CONNECT": get(b"CONNECT x:80 HTTP/1.1\r\nHost: x"),
        "asterisk form": get(b"OPTIONS * HTTP/1.1\r\nHost: x"),
        "asterisk of GET": get(b"GET * HTTP/1.1\r\nHost: x"),
        "unknown method": get(b"BREW %b/health/live HTTP/1.1\r\nHost: x" % path),
        "TRACE": get(b"TRACE %b/health/live HTTP/1.1\r\nHost: x" % path),
        "two spaces": get(b"GET  %b/health/live HTTP/1.1\r\nHost: x" % path),
        "request in the target": get(b"GET %b/a HTTP/1.1 HTTP/1.1\r\nHost: x" % path),
        "encoded slash": get(b"GET %b/health%%2flive HTTP/1.1\r\nHost: x" % path),
        "encoded NUL": get(b"GET %b/health/live%%00 HTTP/1.1\r\nHost: x" % path),
        "encoded line end": get(b"GET %b/a%%0d%%0aX:%%20y HTTP/1.1\r\nHost: x" % path),
        "encoded dots": get(b"GET %b/%%2e%%2e/%%2e%%2e/health HTTP/1.1\r\nHost: x" % path),
        "half an encoding": get(b"GET %b/health/live%%2 HTTP/1.1\r\nHost: x" % path),
        "NUL in the target": get(b"GET %b/\0 HTTP/1.1\r\nHost: x" % path),
        "target of 100 kB": get(b"GET %b/%b HTTP/1.1\r\nHost: x" % (path, b"a" * 100_000)),
        "query of 30 kB": get(b"GET %b/health?%b HTTP/1.1\r\nHost: x" % (path, b"a" * 30_000)),
        "header of 100 kB": get(ok + b"X: " + b"a" * 100_000),
        "name of 100 kB": get(ok + b"a" * 100_000 + b": x"),
        "20,000 headers": get(ok + b"\r\n".join([b"X: y"] * 20_000)),
        "control in a value": get(ok + b"X: a\x01b"),
        "DEL in a value": get(ok + b"X: a\x7fb"),
        "control in a name": get(ok + b"X\x01: a"),
        "NUL in a value": get(ok + b"X: a\0b"),
        "empty name": get(ok + b": a"),
        "no colon": get(ok + b"nonsense"),
        "CR before a line end": get(ok + b"X: y\r"),
        "bare LF": (ok + b"X: y\r\n\r\n").replace(b"\r\n", b"\n") + inner(),
        "bare LF at the end": ok + b"X: y\r\n\n" + inner(),
        "bare CR": (ok + b"X: y\r\n\r\n").replace(b"\r\n", b"\r") + inner(),
        "line ends before": b"\r\n\r\n" + get(ok + b"X: y"),
        "line feeds before": b"\n\n" + get(ok + b"X: y"),
        "body of a GET": ok + b"Content-Length: %d\r\n\r\n" % len(smuggled(prefix, 9999))
        + smuggled(prefix, 9999),
        "expectation": post(b"Expect: 100-continue\r\nContent-Length: 2", b"{}" + inner()),
        "unknown expectation": post(b"Expect: wonders\r\nContent-Length: 2", b"{}" + inner()),
        "expectation, no body": post(b"Expect: 100-continue\r\nContent-Length: 99", inner()),
        "behind a refused body": post(b"Content-Length: 99999999999", inner() * 3),
        "upgrade": ok + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + inner(),
        "upgrade with a body": post(
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4", b"abcd" + inner()
        ),
        "close, and another": get(ok + b"Connection: close"),
        "many behind one that is refused": get(b"BREW / HTTP/1.1\r\nHost: x") + inner() * 20,
    }  # fmt: skip
    return found


def corpus(prefix: str) -> list[bytes]:
    """Give valid streams of one to four requests; bodies hold requests too."""
    hidden = smuggled(prefix, 0)
    path = prefix.encode()
    row = b'{"data":[[13.2,1.78,2.14,11.2,100,2.65,2.76,0.26,1.28,4.38]]}'
    head = b"POST %b/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % path
    get = b"GET %b/health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: first\r\n\r\n" % path
    with_length = head + b"Content-Length: %d\r\n\r\n%b" % (len(row), row)
    in_chunks = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(row), row)
    hiding = head + b"Content-Length: %d\r\n\r\n%b" % (len(hidden), hidden)
    in_chunk = head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n"
    in_chunk += b"%x;a=b\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(hidden), hidden)
    infer = b"POST %b/v2/models/wine/infer HTTP/1.1\r\nHost: x\r\n" % path
    infer += b"Inference-Header-Content-Length: 2\r\nContent-Length: 6\r\n\r\n{}" + b"\0" * 4
    old = b"GET %b/health/live HTTP/1.0\r\n\r\n" % path
    expecting = head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (len(row), row)
    return [
        get + get, with_length + get, in_chunks + get, hiding + get, in_chunk + get, infer + get,
        get + old, expecting + get, hiding + in_chunk + get, get + in_chunks + hiding + get,
    ]  # fmt: skip


PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"0\r\n\r\n", b"\r\n\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
    b"\r\n ", b"HTTP/1.0", b"HTTP/1.1", b"-", b"+", b"0x", b"ffffffffffffffff", b"\xff", b"\x7f",
]  # fmt: skip


def mutate(draw: random.Random, stream: bytes, number: int) -> bytes:
    """Change a stream in one to four places: other bytes, fewer, twice the same, or new ones."""
    changed = bytearray(stream.replace(b"smuggled-0", b"smuggled-%d" % number))
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(changed) + 1)
        stop = min(len(changed), start + draw.choice([1, 1, 2, 4, 16]))
        kind = draw.randrange(6)
        if kind == 0 and start < len(changed):
            changed[start] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[start:stop]
        elif kind == 2:
            changed[start:start] = changed[start:stop]
        elif kind == 3 and draw.random() < 0.3:
            del changed[start:]
        elif kind == 4 and (ends := [m.end() for m in re.finditer(b"\r\n", changed)]):
            changed[(at := draw.choice(ends)) : at] = draw.choice(PIECES)
        else:
            changed[start:start] = draw.choice(PIECES)
    return bytes(changed)


async def attack(port: int, streams: Sequence[bytes]) -> list[Attack]:
    """Send each stream over a connection of its own, and count the answers.

    Raises:
        AssertionError: A request that a strict reader sees was left without an answer, though
            none before it was refused.
    """
    gate = asyncio.Semaphore(NUM_AT_ONCE)

    async def one(stream: bytes) -> Attack:
        seen = read_strictly(stream)
        async with gate:
            received = await _exchange(port, stream, len(seen.ids))
        return Attack(stream, seen, _statuses(received), received)

    done = await asyncio.gather(*map(one, streams))
    for each in done:
        refused = bool(each.statuses) and each.statuses[-1] in ENDING
        assert len(each.statuses) >= len(each.seen.ids) or refused, each
    return done


async def _exchange(port: int, stream: bytes, num_due: int) -> bytes:
    """Send, and read until the other side hangs up or says nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    received = b""
    try:
        writer.write(stream)
        while True:
            due = len(_statuses(received)) < num_due
            async with asyncio.timeout(ANSWER_SECONDS if due else SILENCE_SECONDS):
                piece = await reader.read(1 << 20)
            if not piece:
                break
            received += piece
    except ConnectionError:
        pass
    except TimeoutError:
        assert not due, (stream[:2000], "no answer within seconds")
    finally:
        writer.transport.abort()
    return received


def _statuses(received: bytes) -> list[int]:
    """Give the final statuses, in their order."""
    return [int(each) for each in STATUS.findall(received) if not each.startswith(b"1")]


def assert_none_too_many(attacks: Sequence[Attack]) -> None:
    """Assert that no more was answered than a strict reader sees, and one refusal of the rest."""
    for each in attacks:
        assert len(each.statuses) <= len(each.seen.ids) + each.seen.rest, each


def assert_well(
    attacks: Sequence[Attack],
    client: httpx.Client,
    path: str = "/predict",
    also: frozenset[int] = frozenset({505}),
) -> None:
    """Assert that nothing was a failure, and that the next request is answered right.

    Args:
        attacks: Made before.
        client: For the next request.
        path: Of predictions.
        also: Statuses of 500 and above that are right; for another HTTP than 1 it is 505.
    """
    statuses = Counter(status for each in attacks for status in each.statuses)
    assert {status for status in statuses if status >= 500} <= also, statuses
    answer = client.post(path, json={"data": [ROW]})
    assert answer.json()["labels"] == ["class_2"]


def assert_none_smuggled(server: Server, attacks: Sequence[Attack]) -> None:
    """Assert that the server's log has none but those that a strict reader sees."""
    seen = {request_id.decode("latin-1") for each in attacks for request_id in each.seen.ids}
    streams = b" ".join(each.stream for each in attacks).decode("latin-1")
    sent = set(re.findall(r"smuggled-[\w-]+", streams))
    lines = [line for line in server.log_lines() if line.get("status") not in REFUSED]
    smuggled = [line for line in lines if line.get("request_id") in sent - seen]
    assert not smuggled, smuggled


class Flatness:
    """Descriptors and memory of a process, which must not grow with what it was sent.

    Args:
        pid: Of it.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._first: tuple[int, int] | None = None

    def note(self) -> None:
        """Take the measure, once: by now whatever is made once has been made."""
        if self._first is None:
            self._first = self._process.num_fds(), self._process.memory_info().rss

    def check(self) -> None:
        """Assert that it is as it was, but for connections that are kept."""
        assert self._first is not None
        num_fds, rss = self._first
        assert settled(lambda: self._process.num_fds() <= num_fds + NUM_AT_ONCE, True)
        assert self._process.memory_info().rss - rss < MOST_GROWTH_BYTES
