"""Bytes that readers could take in two ways, at a parser and at the real server: none too many."""

import os
import random
from collections.abc import Callable

import pytest

from ml_pipeline.fronts.http.parser import Parser
from tests.http.hostile import (
    Attack,
    Flatness,
    assert_none_smuggled,
    assert_none_too_many,
    assert_well,
    attack,
    corpus,
    mutate,
    shapes,
)
from tests.http.parsing import parse, requests
from tests.http.streams import cut
from tests.http.strict_reader import read_strictly
from tests.server import Server

NUM_PARSED = 5
"""Times as many streams are given to a parser as to a server, which takes longer."""

NUM_STREAMS = int(os.environ.get("HOSTILE_STREAMS", "3000"))
NUM_AT_ONCE = 300


def assert_read_strictly(stream: bytes, pieces: list[bytes]) -> None:
    """Assert that a parser finds what a strict reader sees, up to one that it refuses."""
    seen = read_strictly(stream)
    found = requests(parse(Parser(("", 0), 1 << 20), pieces))
    ids = [each.fields.get(b"x-request-id", b"") for each in found if each.fault is None]
    ids = [each.strip(b" \t") for each in ids]  # llhttp leaves what stands behind a value
    num_faults = sum(each.fault is not None for each in found)

    told = (stream, pieces, found)
    assert ids[: len(seen.ids)] == seen.ids[: len(ids)], told
    assert not any(each.startswith(b"smuggled") for each in ids[len(seen.ids) :]), told
    assert len(found) <= len(seen.ids) + seen.rest, told
    assert num_faults <= 1, told
    assert num_faults or len(ids) >= len(seen.ids), told


SHAPES = shapes("")


@pytest.mark.parametrize("stream", SHAPES.values(), ids=SHAPES)
def test_shapes_at_a_parser(stream: bytes) -> None:
    """Whatever the framing says, no more is read than a strict reader sees, in any pieces."""
    draw = random.Random(len(stream))

    assert_read_strictly(stream, [stream])
    for _ in range(20):
        assert_read_strictly(stream, cut(stream, draw.choices(range(len(stream)), k=5)))
    if len(stream) < 10_000:
        assert_read_strictly(stream, cut(stream, list(range(len(stream)))))


def test_mutated_requests_at_a_parser() -> None:
    """Requests with bytes changed, lost, doubled and put in are read or refused, no more."""
    draw = random.Random(NUM_STREAMS)
    streams = corpus("")
    for number in range(NUM_PARSED * NUM_STREAMS):
        stream = mutate(draw, draw.choice(streams), number)
        if stream:
            places = draw.choices(range(len(stream)), k=draw.randrange(8))

            assert_read_strictly(stream, cut(stream, places))


# The real server.


async def test_shapes_of_smuggling(
    server: Server, record_property: Callable[[str, object], None]
) -> None:
    """Whatever the framing says, no more is answered than a strict reader sees."""
    attacks = await attack(server.port, list(shapes("").values()))

    assert_none_too_many(attacks)
    assert_none_smuggled(server, attacks)
    record_property("streams", len(attacks))
    assert_well(attacks, server.client)


async def test_mutated_requests(
    server: Server, record_property: Callable[[str, object], None]
) -> None:
    """Requests with bytes changed, lost, doubled and put in are answered or refused, no more."""
    draw = random.Random(NUM_STREAMS)
    streams = corpus("")
    flatness = Flatness(server.pid)
    done: list[Attack] = []
    for start in range(0, NUM_STREAMS, NUM_AT_ONCE):
        numbers = range(start + 10_000, start + 10_000 + NUM_AT_ONCE)
        mutated = [mutate(draw, draw.choice(streams), number) for number in numbers]

        attacks = await attack(server.port, mutated)

        assert_none_too_many(attacks)
        assert_well(attacks, server.client)
        flatness.note()
        done += attacks
    assert_none_smuggled(server, done)
    record_property("streams", len(done))
    flatness.check()
