"""Half a body at the end of a server: through the whole process."""

import signal
import time

import msgspec
import pytest

from ml_pipeline.settings import BUNDLED_MODELS
from tests.server import Server, read_answer
from tests.web.samples import ROW

BODY = msgspec.json.encode({"data": [ROW]})
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.mark.parametrize("rest", [True, False], ids=["sent", "never-sent"])
def test_half_a_body_is_answered(rest: bool) -> None:
    """By what it asked, if the rest comes, else by 503 before the end: never by silence."""
    with Server(BUNDLED_MODELS / "wine.onnx", DRAIN_TIMEOUT_SECONDS="3") as server:
        with server.connect() as connection, server.connect() as idle:
            connection.sendall(HEAD + BODY[:20])
            time.sleep(0.1)  # so that it is there
            server.send(signal.SIGTERM)
            assert idle.recv(1) == b""  # it is stopping
            if rest:
                connection.sendall(BODY[20:])
            answer = read_answer(connection)
        status = server.wait()

    assert answer.headers["connection"] == "close"
    assert status == 0
    if rest:
        assert answer.status == 200
        assert answer.json()["labels"] == ["class_2"]
    else:
        assert answer.status == 503
        assert answer.json()["detail"].startswith("body: expected its end before that")
