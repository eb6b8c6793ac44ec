"""The header `traceparent` at Nginx: passed on as it is, and its trace in the access log."""

from collections.abc import Iterator

import pytest

from tests.stack.nginx import Gateway, Stub
from tests.trace_parents import LATER, MALFORMED, TRACE, USUAL

NO_VALUES = {"a line break", "a space before"}
"""What HTTP does not let be the value of a header, or drops."""

VALUES = {
    "usual": USUAL,
    **{f"later {number}": value for number, value in enumerate(LATER)},
    **{kind: value for kind, value in MALFORMED.items() if kind not in NO_VALUES},
}


@pytest.fixture(scope="module")
def traced(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Nginx with no limits for this machine, to which each value was sent once."""
    folder = tmp_path_factory.mktemp("traced")
    with Gateway(folder, stub.port, RATE_LIMIT_EXEMPT="127.0.0.0/8") as gateway:
        for kind, value in VALUES.items():
            head = f"GET /api/x HTTP/1.1\r\nHost: x\r\nX-Request-ID: {id_of(kind)}\r\n"
            head += f"traceparent: {value}\r\ntracestate: vendor=1\r\n\r\n"
            assert gateway.send(head.encode("latin-1")).status == 200
        yield gateway


def id_of(kind: str) -> str:
    """Request id that a kind is sent with."""
    return kind.replace(" ", "-")


@pytest.mark.parametrize("kind", VALUES)
def test_it_goes_through(traced: Gateway, stub: Stub, kind: str) -> None:
    """A replica gets the value that the client sent, well-formed or not, once, and its state."""
    by_id = {dict(headers)["x-request-id"]: headers for _, headers in stub.asked}
    headers = by_id[id_of(kind)]

    values = [value for name, value in headers if name == "traceparent"]
    assert "".join(values) == VALUES[kind]
    assert len(values) <= 1
    assert [value for name, value in headers if name == "tracestate"] == ["vendor=1"]


@pytest.mark.parametrize("kind", VALUES)
def test_the_trace_is_logged(traced: Gateway, kind: str) -> None:
    """The access log names the trace by the rules of the server, and nothing else of the header."""
    [line] = traced.logged(id_of(kind))

    assert line["trace_id"] == ("" if kind in MALFORMED else TRACE)
