"""Everything a run has found, as it is kept in `results.json`."""

from __future__ import annotations

import msgspec

from bench.suite.outcome import Outcome


class Ceiling(msgspec.Struct):
    """What wrk gets from the stack with so many replicas: one row, cache off, 32 connections."""

    replicas: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float


class Memory(msgspec.Struct):
    """Resident memory of one replica, MB, after so many requests."""

    requests: int
    fresh_mb: float
    used_mb: float


class Results(msgspec.Struct):
    """A run of the suite; what it has not measured is empty.

    Attributes:
        about: Machine, versions, commit, date, command, by name.
        outcomes: Of the scenarios, by name.
        start_seconds: From the start of a server to its first prediction, each time.
        ceilings: By number of replicas.
        memory: Of one replica.
        miscounts: Where Prometheus and the clients do not agree: (Prometheus, clients) by servers
            and `status 200` or `cache l1`.
        counted: Requests that were held against Prometheus.
        servers_cpu_seconds: CPU time of the servers, which are no processes of this command.
    """

    about: dict[str, str] = {}
    outcomes: dict[str, Outcome] = {}
    start_seconds: list[float] = []
    ceilings: list[Ceiling] = []
    memory: Memory | None = None
    miscounts: dict[str, tuple[int, int]] = {}
    counted: int = 0
    servers_cpu_seconds: float = 0.0
