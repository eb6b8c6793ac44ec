"""An ASGI application that is asked for one answer."""

from typing import Any

import pytest

from ml_pipeline.fronts.http.asgi import ask
from ml_pipeline.fronts.http.message import Request

START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
BODY = {"type": "http.response.body", "body": b"body"}
HEADERS = [(b"host", b"x")]
CLIENT = ("127.0.0.1", 1)
REQUEST = Request(
    "POST", "/a b", b"/a%20b", b"c=d", HEADERS, dict(HEADERS), b"sent", 0.0, CLIENT, True
)


class App:
    """Sends messages that it was given; keeps what it was asked."""

    def __init__(self, *messages: dict[str, Any], num_receives: int = 0) -> None:
        self.messages = messages
        self.num_receives = num_receives
        self.scope: dict[str, Any] = {}
        self.received: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        self.scope = scope
        self.received = [await receive() for _ in range(self.num_receives)]
        for message in self.messages:
            await send(message)


async def test_an_answer_is_what_was_sent() -> None:
    """Status, headers and body come back as one reply."""
    reply = await ask(App(START, BODY), REQUEST, {})

    assert (reply.status, reply.headers, reply.body) == (200, [(b"a", b"b")], b"body")


async def test_body_messages_are_joined() -> None:
    """A body may come in several messages, of which the last may be empty."""
    more = {**BODY, "more_body": True}

    reply = await ask(App(START, more, more, {"type": "http.response.body"}), REQUEST, {})

    assert reply.body == b"bodybody"


async def test_the_scope_tells_the_request() -> None:
    """An application is told what the client sent, beside what the scope held before."""
    app = App(START, BODY)
    scope: dict[str, Any] = {"state": {"request_id": "1"}}

    await ask(app, REQUEST, scope)

    assert app.scope is scope
    assert scope["state"] == {"request_id": "1"}
    assert (scope["type"], scope["method"], scope["path"]) == ("http", "POST", "/a b")
    assert (scope["raw_path"], scope["query_string"]) == (b"/a%20b", b"c=d")
    assert (scope["headers"], scope["client"]) == (HEADERS, CLIENT)


async def test_the_body_is_received_once() -> None:
    """The body comes whole; whoever asks again is told that no more will come."""
    app = App(START, BODY, num_receives=3)

    await ask(app, REQUEST, {})

    assert app.received[0] == {"type": "http.request", "body": b"sent", "more_body": False}
    assert [message["type"] for message in app.received[1:]] == ["http.disconnect"] * 2


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [START],
        [START, {**BODY, "more_body": True}],
        [BODY],
        [START, START, BODY],
        [START, BODY, BODY],
        [START, BODY, START],
        [START, {"type": "http.response.trailers"}],
    ],
)
async def test_answers_out_of_order_are_faults(messages: list[dict[str, Any]]) -> None:
    """An application that answers in half, twice or out of order has failed."""
    with pytest.raises(RuntimeError):
        await ask(App(*messages), REQUEST, {})


async def test_what_an_application_raises_is_raised() -> None:
    """An application's exception is whoever's that asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a")

    with pytest.raises(ValueError, match="a"):
        await ask(app, REQUEST, {})


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb"])
async def test_headers_of_several_lines_are_faults(value: bytes) -> None:
    """A value cannot add a header, or an answer."""
    with pytest.raises(RuntimeError, match="one line"):
        await ask(App({**START, "headers": [(b"a", value)]}, BODY), REQUEST, {})
