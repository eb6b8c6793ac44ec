"""Bytes that readers could take in two ways, at the real server: never an answer too many."""

import os
import random
from collections.abc import Callable

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
from tests.server import Server

NUM_STREAMS = int(os.environ.get("HOSTILE_STREAMS", "3000"))
NUM_AT_ONCE = 300


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
