"""Proof that two servers do the same work before their speed is compared.

Both must answer the same rows alike, run the model for every request that bypasses the cache, and
never for one that the cache answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from bench.contestants import Contestant
from bench.harness import Server
from bench.request import Answer, AnswerError, Request, get, send_ok

CROWD = 32
TOLERANCE = 1e-6
FEWEST_CLASSES = 2


def prove_equal(one: Contestant, other: Contestant, requests: Sequence[Request]) -> None:
    """Send `requests` to both, many at a time, and compare answer by answer.

    Raises:
        AnswerError: Two answers differ, or all rows are of one class, which would prove little.
    """
    seen: set[int] = set()
    pairs = zip(requests, send_all(one, requests), send_all(other, requests), strict=True)
    for request, left, right in pairs:
        for mine, theirs in zip(_members(left), _members(right), strict=True):
            seen.update(mine["predictions"])
            if not _alike(mine, theirs):
                names = f"{one.server.name} and {other.server.name}"
                raise AnswerError(f"{names} differ on {request.path}: {mine} {theirs}")
    if len(seen) < FEWEST_CLASSES:
        raise AnswerError(f"all rows are of one class: {seen}")


def prove_bypass(contestant: Contestant, request: Request) -> None:
    """Make sure that equal requests of one row without the cache run the model each time."""
    _expect_rows(contestant, [request] * CROWD, CROWD)


def prove_hits(contestant: Contestant, requests: Sequence[Request]) -> None:
    """Fill the cache with `requests`, and make sure that all of them are hits from then on."""
    send_all(contestant, requests)
    answers = _expect_rows(contestant, requests, 0)
    states = {answer.headers.get("x-cache") for answer in answers}
    cached = {_members(answer)[0]["model_info"]["cached"] for answer in answers}
    if states != {contestant.kind.cache_state} or cached != {True}:
        raise AnswerError(f"{contestant.server.name}: X-Cache {states}, cached {cached}")


def prove_log(contestant: Contestant, request: Request) -> None:
    """Make sure that each request leaves one line of JSON."""
    get(contestant.server.port, "/metrics")  # the lines of earlier requests are there then
    before = _num_lines(contestant.server)
    send_all(contestant, [request] * CROWD)
    get(contestant.server.port, "/metrics")  # the line of a request may come after its answer
    lines = _num_lines(contestant.server) - before
    if lines != CROWD:
        raise AnswerError(f"{contestant.server.name}: {lines} lines for {CROWD} requests")


def various(contestant: Contestant, num_requests: int) -> list[Request]:
    """Make requests of a row each, of several classes: real rows, each value up to 30 % off.

    Args:
        contestant: A server of this project; it has the real rows.
        num_requests: How many.
    """
    sample = msgspec.json.decode(get(contestant.server.port, "/sample").body)["data"]
    random = np.random.default_rng(seed=11)
    factors = random.uniform(0.7, 1.3, (num_requests, len(sample[0])))
    rows = np.asarray(sample)[np.arange(num_requests) % len(sample)] * factors
    bodies = [msgspec.json.encode({"data": [row], "use_cache": False}) for row in rows.tolist()]
    return [Request("/predict", body, "application/json") for body in bodies]


def numbered(request: Request, count: int) -> Iterator[Request]:
    """Write out the first requests that the generator makes of a `numbered` one."""
    for number in range(count):
        body = request.body.replace(b"%d", str(number).encode())
        yield replace(request, body=body, numbered=False)


def send_all(contestant: Contestant, requests: Sequence[Request]) -> list[Answer]:
    """Send every request once, up to `CROWD` at a time; answers in the order of requests."""
    port = contestant.server.port
    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(lambda request: send_ok(port, request), requests))


def _expect_rows(
    contestant: Contestant, requests: Sequence[Request], expected: int
) -> list[Answer]:
    before = contestant.server.metrics()[contestant.kind.rows_counter]
    answers = send_all(contestant, requests)
    rows = contestant.server.metrics()[contestant.kind.rows_counter] - before
    if rows != expected:
        name = contestant.server.name
        raise AnswerError(f"{name}: {len(requests)} requests ran {rows:.0f} rows, not {expected}")
    return answers


def _members(answer: Answer) -> list[dict[str, Any]]:
    body: dict[str, Any] = msgspec.json.decode(answer.body)
    members: list[dict[str, Any]] = body.get("results", [body])
    return members


def _alike(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    names = ("predictions", "labels")
    one, other = (np.array(answer["probabilities"]) for answer in (mine, theirs))
    return (
        [mine[name] for name in names] == [theirs[name] for name in names]
        and one.shape == other.shape
        and np.allclose(one, other, rtol=0.0, atol=TOLERANCE)
    )


def _num_lines(server: Server) -> int:
    """Count those of predictions: the one of `/metrics` may come before or after a look."""
    return server.log.read_bytes().count(b'"/predict"')
