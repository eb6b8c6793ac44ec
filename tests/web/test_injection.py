"""What a client sends stands in no head of an answer, but an id and an origin that are checked."""

import socket

import pytest

from tests.server import Server

EVIL = b"a\r\nX-Evil: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Evil: 2\r\n\r\n"
ENCODED = b"a%0d%0aX-Evil:%201%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0aX-Evil:%202"
ESCAPED = EVIL.replace(b"\r\n", b"\\r\\n")
TENSOR = b'{"name":"float_input","shape":[1,1],"datatype":"FP32","data":[1]}'


def request(target: bytes, *fields: bytes, method: bytes = b"POST", body: bytes = b"{}") -> bytes:
    """Write a request, of which only the last line ends are its own."""
    head = [b"%b %b HTTP/1.1" % (method, target), b"Host: localhost", b"Connection: close", *fields]
    head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])


REQUESTS = {
    "id, encoded": request(b"/predict", b"X-Request-ID: " + ENCODED.replace(b"%0d%0a", b"%0D%0A ")),
    "id, escaped": request(b"/predict", b"X-Request-ID: " + ESCAPED),
    "id in bare line feeds": request(b"/predict", b"X-Request-ID: a\nX-Evil: 1"),
    "id in bare returns": request(b"/predict", b"X-Request-ID: a\rX-Evil: 1"),
    "id in other line ends": request(b"/predict", b"X-Request-ID: a\xc2\x85X-Evil: 1\xe2\x80\xa8"),
    "model": request(b"/predict?model=" + ENCODED),
    "model of a batch": request(b"/predict/batch?model=" + ENCODED),
    "model to be described": request(b"/models/info?model=" + ENCODED, method=b"GET"),
    "model of the protocol": request(b"/v2/models/%b/infer" % ENCODED),
    "version of the protocol": request(b"/v2/models/wine/versions/%b/infer" % ENCODED),
    "model's metadata": request(b"/v2/models/%b" % ENCODED, method=b"GET"),
    "model to be loaded": request(b"/v2/repository/models/%b/load" % ENCODED),
    "path": request(b"/" + ENCODED, method=b"GET"),
    "page": request(b"/docs/" + ENCODED, method=b"GET"),
    "redirect": request(b"/%64ocs/?" + ENCODED, method=b"GET"),
    "part of the dashboard": request(b"/ui/" + ENCODED, method=b"GET"),
    "asset": request(b"/docs/assets/" + ENCODED, method=b"GET"),
    "method": request(b"/predict", method=b"GET\r\nX-Evil: 1"),
    "media type": request(b"/predict", b"Content-Type: " + ENCODED),
    "media types taken": request(b"/predict", b"Accept: application/json, " + ENCODED),
    "encoding": request(b"/v2/models/wine/infer", b"Content-Encoding: " + ENCODED),
    "time": request(b"/predict", b"X-Request-Timeout-Ms: " + ENCODED),
    "origin": request(b"/predict", b"Origin: https://a.example" + ENCODED),
    "tag": request(b"/ui/", b"If-None-Match: " + ENCODED, method=b"GET"),
    "token": request(b"/models/reload", b"Authorization: Bearer " + ENCODED),
    "field": request(b"/predict", body=b'{"%b":1}' % ESCAPED),
    "value": request(b"/predict", body=b'{"data":"%b"}' % ESCAPED),
    "id of the protocol": request(
        b"/v2/models/wine/infer", body=b'{"id":"%b","inputs":[%b]}' % (ESCAPED, TENSOR)
    ),
    "tensor": request(b"/v2/models/wine/infer", body=b'{"inputs":[%b]}' % TENSOR.replace(
        b"float_input", ESCAPED
    )),
    "output": request(
        b"/v2/models/wine/infer",
        body=b'{"inputs":[%b],"outputs":[{"name":"%b"}]}' % (TENSOR, ESCAPED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
def test_no_header_is_injected(strict_server: Server, sent: bytes) -> None:
    """There is one answer, in whose head and line ends nothing of the kind occurs."""
    with strict_server.connect() as connection:
        connection.sendall(sent)
        received = read_all(connection)

    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    assert b"x-evil" not in names
    assert all(line.isascii() and b"\r" not in line and b"\n" not in line for line in lines)
    assert int(dict(zip(names, lines[1:], strict=True))[b"content-length"].split()[1]) == len(body)
    assert b"\r\n" not in body or b"text/html" in head


def read_all(connection: socket.socket) -> bytes:
    """Read to the end."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received
