"""What the load suite sends, as data: which requests, how often, for how long, to which servers.

`locustfile` turns each into a class of users, `suite` runs them in this order, and `targets`
judges what comes of them. Not here: how a request is made (`suite.messages`) or sent.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Servers(msgspec.Struct, frozen=True):
    """The native stack that a scenario runs on: Nginx, replicas, Redis and Prometheus.

    Attributes:
        name: For the progress line; scenarios of one name that follow each other share a start.
        replicas: Behind Nginx.
        model: `sample` is the bundled one, `heavy` the one of `compute_bound`.
        environment: Settings of the replicas.
    """

    name: str
    replicas: int = 2
    model: Literal["sample", "heavy"] = "sample"
    environment: dict[str, str] = {}


class Ask(msgspec.Struct, frozen=True):
    """One kind of request.

    Attributes:
        rows: Rows of one request.
        encoding: Of its body and of the answer.
        use_cache: Whether the server may read and write its cache.
        bodies: How many different ones there are. Each is sent once, past the cache, before the
            scenario begins, so that what it must answer is known.
        skew: Exponent of Zipf's law, after which some bodies are sent more often than others:
            the one of rank k is k^-skew times as likely as the first. 0: all alike.
        timeout_ms: `X-Request-Timeout-Ms`, or 0 for none.
    """

    rows: int = 1
    encoding: Literal["json", "msgpack"] = "json"
    use_cache: bool = False
    bodies: int = 500
    skew: float = 0.0
    timeout_ms: int = 0


class Open(msgspec.Struct, frozen=True):
    """Requests that are due at fixed times, whether the ones before are answered or not.

    Attributes:
        rates: Requests a second, one after the other, each for an equal share of the time.
        times_of: Name of a scenario: rates are then multiples of the requests/s it reached.
        connections: Most requests under way. One that is due while all are taken waits, and that
            wait is part of its latency, as everything is since it was due.
    """

    rates: tuple[float, ...]
    times_of: str = ""
    connections: int = 64


class Closed(msgspec.Struct, frozen=True):
    """Clients that send their next request when they have the answer: for throughput alone."""

    clients: int


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the report.

    Attributes:
        name: As in `ops/bench NAME …`.
        text: What it shows.
        mix: Kinds of requests, each with its share.
        arrivals: When they are sent.
        servers: What they are sent to.
        way: `nginx`; `replica`, past Nginx to one of them; or `floor`, an Nginx that answers by
            itself as many bytes as a prediction has, which is what the generator itself takes.
        seconds: How long, of which the first `WARM_UP_SECONDS` are not counted.
        quick_seconds: The same with `--quick`; 0 leaves it out.
        statuses: Those that are right.
    """

    name: str
    text: str
    mix: tuple[tuple[float, Ask], ...] = ((1.0, Ask()),)
    arrivals: Open | Closed = Open(rates=(1000.0,))
    servers: Servers = Servers("standard")
    way: Literal["nginx", "replica", "floor"] = "nginx"
    seconds: int = 15
    quick_seconds: int = 3
    statuses: frozenset[int] = frozenset({200})

    @property
    def runs_anywhere(self) -> bool:
        """Whether it needs nothing but an API: no servers of its own, no other's result."""
        follows = isinstance(self.arrivals, Open) and bool(self.arrivals.times_of)
        return self.way == "nginx" and not self.servers.environment and not follows

    def length(self, *, quick: bool) -> int:
        """Return the seconds it lasts."""
        return self.quick_seconds if quick else self.seconds


WARM_UP_SECONDS = 2.0

STANDARD = Servers("standard")
SHARED_CACHE = Servers("shared cache alone", environment={"CACHE_MAX_MB": "0"})
HEAVY = Servers("heavy model", replicas=1, model="heavy", environment={"CACHE_MAX_MB": "0"})

STEADY = Open(rates=(1000.0,))
DAY = (150.0, 80.0, 120.0, 400.0, 700.0, 800.0, 650.0, 900.0, 500.0, 250.0)
"""Requests a second through a day: quiet at night, peaks in the morning and after work."""

SINGLE = Ask()
HIT = Ask(use_cache=True, bodies=64)
HOT_KEYS = Ask(use_cache=True, bodies=2000, skew=1.1)
BATCH = Ask(rows=32, bodies=64)
BLOCK = Ask(rows=1000, encoding="msgpack", bodies=8)
HEAVY_BATCH = Ask(rows=128, encoding="msgpack", bodies=16, timeout_ms=250)

SCENARIOS = (
    Scenario(
        name="floor",
        text="the generator's own floor: the same users, answered by Nginx itself",
        way="floor",
    ),
    Scenario(
        name="uncached",
        text="one row of ten as JSON, cache off",
        seconds=30,
    ),
    Scenario(
        name="past_nginx",
        text="the same, straight to a replica",
        way="replica",
    ),
    Scenario(
        name="hit_memory",
        text="one row, answer in the replica's memory",
        mix=((1.0, HIT),),
    ),
    Scenario(
        name="hot_keys",
        text="2,000 rows, few of them asked often (Zipf, exponent 1.1)",
        mix=((1.0, HOT_KEYS),),
        quick_seconds=0,
    ),
    Scenario(
        name="msgpack",
        text="one row as MessagePack, cache off",
        mix=((1.0, Ask(encoding="msgpack")),),
        quick_seconds=0,
    ),
    Scenario(
        name="mixed_day",
        text="a day in a minute: hot keys, new rows, batches and blocks at the rates of a day",
        mix=(
            (0.70, HOT_KEYS),
            (0.20, SINGLE),
            (0.08, BATCH),
            (0.02, BLOCK),
        ),
        arrivals=Open(rates=DAY),
        seconds=60,
        quick_seconds=4,
    ),
    Scenario(
        name="sustained",
        text="one row, cache off, as fast as 32 clients go",
        arrivals=Closed(clients=32),
        seconds=20,
        quick_seconds=2,
    ),
    Scenario(
        name="batch",
        text="batches of 32 rows as JSON, as fast as 8 clients go",
        mix=((1.0, BATCH),),
        arrivals=Closed(clients=8),
        seconds=12,
        quick_seconds=2,
    ),
    Scenario(
        name="block",
        text="blocks of 1,000 × 10 as MessagePack, as fast as 4 clients go",
        mix=((1.0, BLOCK),),
        arrivals=Closed(clients=4),
        seconds=12,
        quick_seconds=2,
    ),
    Scenario(
        name="ramp",
        text="more and more until it bends: the knee",
        arrivals=Open(rates=tuple(500.0 * step for step in range(1, 13))),
        seconds=50,
        quick_seconds=0,
    ),
    Scenario(
        name="hit_redis",
        text="one row, answer in Redis, no cache in memory",
        mix=((1.0, HIT),),
        servers=SHARED_CACHE,
    ),
    Scenario(
        name="capacity",
        text="blocks of 128 rows of a heavy model, as fast as 16 clients go",
        mix=((1.0, msgspec.structs.replace(HEAVY_BATCH, timeout_ms=0)),),
        arrivals=Closed(clients=16),
        servers=HEAVY,
        seconds=10,
        quick_seconds=2,
    ),
    Scenario(
        name="overload",
        text="three times that, each with a deadline of 250 ms",
        mix=((1.0, HEAVY_BATCH),),
        arrivals=Open(rates=(3.0,), times_of="capacity", connections=400),
        servers=HEAVY,
        seconds=20,
        quick_seconds=4,
        statuses=frozenset({200, 503, 504}),
    ),
)
