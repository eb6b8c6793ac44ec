"""Whatever the pieces: the same requests get the same answers, and noise gets an end."""

import asyncio

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.serving import LAST, Answer, Site, chunked, get, post, serving
from tests.http.streams import NOISE, cut

OFFER = ("Connection: Upgrade", "Upgrade: h2c")
REQUESTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(get("/a"), get("/a?b=c", "X: y"), get("/status/204"), get("/wait")),
                *(post(b""), post(b"body", "/wait"), post(b"body", "/a", *OFFER)),
                *(
                    get("http://x/a%20b"),
                    b"\r\n" + get("/a"),
                    b"HEAD /status/204 HTTP/1.1\r\nHost: x\r\n\r\n",
                ),
            ]
        ),
        st.binary(max_size=1000).map(post),
        st.lists(st.binary(min_size=1, max_size=100), max_size=9).map(lambda x: chunked(*x)),
    ),
    max_size=8,
)


def talk(pieces: list[bytes]) -> list[Answer]:
    """Send pieces to a fresh listener, and read all answers to the end."""

    async def exchange() -> list[Answer]:
        async with serving(Site()) as site, site.client() as client:
            site.gate.set_result(None)
            for piece in pieces:
                client.writer.write(piece)
                await asyncio.sleep(0)
            client.writer.write_eof()
            return [
                Answer(version, status, {**headers, "date": ""}, body)
                for version, status, headers, body in await client.answers()
            ]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(exchange())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(REQUESTS, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_pieces_do_not_matter(requests: list[bytes], places: list[int]) -> None:
    """Any requests cut into any pieces get the answers that they get one by one."""
    alone = [answer for request in requests for answer in talk([request])]

    together = talk(cut(b"".join(requests) + LAST, places))

    assert together[:-1] == alone
    assert together[-1].body == b"GET /last "


@settings(max_examples=150, deadline=None, derandomize=True)
@given(NOISE, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_noise_gets_an_end(noise: bytes, places: list[int]) -> None:
    """Whatever comes is answered in proper form, or not at all, and the connection ends."""
    answers = talk(cut(noise + b"\r\n", places))

    assert {answer.status for answer in answers} <= {100, 200, 400, 413, 431}
    assert sum(answer.status >= 400 for answer in answers) <= 1
