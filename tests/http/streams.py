"""What is made of pieces of HTTP, and cut into pieces."""

from hypothesis import strategies as st

from tests.http.serving import chunked, get, post

NOISE = st.one_of(
    st.binary(max_size=500),
    st.lists(
        st.sampled_from(
            [
                *(b"GET ", b"POST ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"\r\n\r\n", b"Host: x"),
                *(b"Content-Length: ", b"Transfer-Encoding: chunked", b"5", b"0", b"\0", b":"),
                *(b"Connection: ", b"upgrade", b"close", b"Upgrade: h2c", b"Expect: 100-continue"),
                *(b"abcde", b"; a=b", b"http://", b"\xff", get(), post(b"b"), chunked(b"c")),
            ]
        ),
        max_size=30,
    ).map(b"".join),
)
"""Bytes that may begin like requests."""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at places."""
    ends = sorted({place % len(data) for place in places} - {0})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
