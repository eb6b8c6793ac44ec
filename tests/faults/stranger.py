"""What listens where Redis should and is something else: a program of these tests.

A `Talk` is one connection's side of the conversation: it is given what came and gives what to send,
or None to hang up. `SILLY` know no word of the protocol; a `Liar` is a Redis as far as its greeting
goes.
"""

import contextlib
import random
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import cycle
from threading import Thread

import hiredis

Talk = Callable[[bytes], bytes | None]
Lie = Callable[[int], bytes]
"""Gives the answer to an `MGET` of so many keys."""


class Stranger:
    """Listens from the start of a `with` block to its end.

    Args:
        new_talk: Makes the conversation of one connection.

    Attributes:
        port: On 127.0.0.1; free for another after the end.
        url: For REDIS_URL.
    """

    def __init__(self, new_talk: Callable[[], Talk]) -> None:
        self._new_talk = new_talk
        self._connections: list[socket.socket] = []
        self._threads: list[Thread] = []

    def __enter__(self) -> "Stranger":
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Hang up and make room; idempotent."""
        # Shut down, not only closed: a thread that sleeps in accept or recv would not wake.
        for opened in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(Thread(target=work, name="stranger"))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._connections.append(connection)
                self._start(partial(self._serve, connection))

    def _serve(self, connection: socket.socket) -> None:
        talk = self._new_talk()
        with connection, contextlib.suppress(OSError):
            while (heard := connection.recv(65536)) and (said := talk(heard)) is not None:
                connection.sendall(said)


def http() -> Talk:
    return lambda _: b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"


def noise() -> Talk:
    source = random.Random(1)
    return lambda _: source.randbytes(100)


def hang_up() -> Talk:
    return lambda _: None


def silence() -> Talk:
    return lambda _: b""


def bomb() -> Talk:
    return lambda _: b"*2000000000\r\n"


SILLY: list[Callable[[], Talk]] = [http, noise, hang_up, silence, bomb]

LIES: dict[str, dict[str, Lie]] = {
    "number of replies": {
        "too few": lambda num: b"*%d\r\n" % (num - 1) + b"_\r\n" * (num - 1),
        "too many": lambda num: b"*%d\r\n" % (num + 1) + b"_\r\n" * (num + 1),
        "twice": lambda num: 2 * (b"*%d\r\n" % num + b"_\r\n" * num),
        "never": lambda num: b"",
        "half": lambda num: b"*%d\r\n" % num,
    },
    "shape": {
        "null": lambda num: b"_\r\n",
        "text": lambda num: b"+OK\r\n",
        "error": lambda num: b"-NOSENSE of any kind\r\n",
        "binary error": lambda num: b"-\xff\xfe\r\n",
        "no Redis": lambda num: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "mapping": lambda num: b"%%%d\r\n" % num + b"+a\r\n+b\r\n" * num,
        "set": lambda num: b"~%d\r\n" % num + b"".join(b":%d\r\n" % n for n in range(num)),
        "unhashable set": lambda num: b"~1\r\n*1\r\n:1\r\n",
        "push": lambda num: b">2\r\n+message\r\n+ml_pipeline:reload:0\r\n",
        "empty push": lambda num: b">0\r\n",
        "bomb": lambda num: b"*2000000000\r\n",
        "nested bomb": lambda num: b"*%d\r\n*2000000000\r\n" % num,
        "bomb of a push": lambda num: b">2000000000\r\n",
    },
    "values": {
        "junk": lambda num: b"*%d\r\n" % num + b"$4\r\njunk\r\n" * num,
        "nothing": lambda num: b"*%d\r\n" % num + b"$0\r\n\r\n" * num,
        "integers": lambda num: b"*%d\r\n" % num + b":5\r\n" * num,
        "doubles": lambda num: b"*%d\r\n" % num + b",1.5\r\n" * num,
        "booleans": lambda num: b"*%d\r\n" % num + b"#t\r\n" * num,
        "lists": lambda num: b"*%d\r\n" % num + (b"*99\r\n" + b":1\r\n" * 99) * num,
        "errors": lambda num: b"*%d\r\n" % num + b"-ERR one\r\n" * num,
    },
}

HONEST_BETWEEN = 2
"""Answers of no lie between two lies, so that the breaker stays closed and lies reach it."""

MESSAGES = {
    "junk": b">3\r\n+message\r\n$20\r\nml_pipeline:reload:0\r\n$5\r\n{\x00}?!\r\n",
    "integer": b">3\r\n+message\r\n$20\r\nml_pipeline:reload:0\r\n:5\r\n",
    "short": b">1\r\n+message\r\n",
    "empty": b">0\r\n",
    "bomb": b">2000000000\r\n",
}
"""What a subscriber is sent."""


class Liar:
    """A Redis that is polite, knows no key and tells each lie in turn for the answer to an `MGET`.

    Args:
        lies: By name.
        message: Sent to each subscriber.

    Attributes:
        told: Lies by name.
    """

    def __init__(self, lies: dict[str, Lie], message: bytes = b"") -> None:
        self.told: Counter[str] = Counter()
        self._lies = lies
        self._message = message
        self._names = cycle([name for lie in lies for name in [""] * HONEST_BETWEEN + [lie]])

    def new_talk(self) -> Talk:
        """Begin with one connection."""
        reader = hiredis.Reader()

        def talk(heard: bytes) -> bytes:
            reader.feed(heard)
            said = b""
            while (command := reader.gets()) is not False:
                said += self._answer(command)
            return said

        return talk

    def _answer(self, command: list[bytes]) -> bytes:
        match command[0].upper():
            case b"HELLO":
                return b"%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n"
            case b"PING":
                return b"+PONG\r\n"
            case b"GET":
                return b"_\r\n"
            case b"MGET":
                return self._look_up(len(command) - 1)
            case b"SUBSCRIBE":
                return b">3\r\n+subscribe\r\n$20\r\nml_pipeline:reload:0\r\n:1\r\n" + self._message
            case _:
                return b"+OK\r\n"

    def _look_up(self, num_keys: int) -> bytes:
        name = next(self._names, "")
        if not name:
            return b"*%d\r\n" % num_keys + b"_\r\n" * num_keys
        self.told[name] += 1
        return self._lies[name](num_keys)
