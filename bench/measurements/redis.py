"""What the shared cache costs: a hit beside the raw echo, a miss beside no Redis at all.

All servers stay up and are loaded by turns, one row of ten features a request. Hits are measured
with the cache in memory off and over so many rows that no two under way are equal, so that each
asks Redis; misses with rows that no two requests share.
CPU is the server's alone: what redis-server spends is its own.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from bench import cores as core_division
from bench.harness import SERVE_COMMAND, Server, measure, started
from bench.load import Load
from bench.measurements.ceiling import ECHO_COMMAND
from bench.redis_server import redis_started
from bench.report import Report, Target, begin, number, parser
from bench.request import AnswerError, json_request, send_ok
from bench.rounds import Candidate, Results, alternate, cpu, p50, p99, rps
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

CROWD = 32
ECHO = "echo"
HIT, AWAITED = "hit in Redis", "hit, one awaited GET a request"
BARE, MISS, AUTO = "miss, no Redis", "miss in Redis", "miss, CACHE_POLICY=auto"
HEADER = ("what", "RPS", "p50 µs", "p99 µs", "CPU µs", "CPU × echo")
NUMBERED = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)
CACHED_ROWS = 1000
MIN_BATCH = 2.0


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=8, seconds=1, model=SAMPLE_MODEL)
    report, arguments = begin("The shared cache", options)
    cores = core_division.divide()
    command = [*SERVE_COMMAND, str(arguments.model)]
    with ExitStack() as opened:
        url = opened.enter_context(redis_started(cores.server))
        near_off = {"REDIS_URL": url, "CACHE_MAX_MB": "0"}
        serve = {
            HIT: (command, {**near_off, "CACHE_POLICY": "always"}),
            AWAITED: ([sys.executable, "-m", "bench.awaited_get"], near_off),
            BARE: (command, {}),
            MISS: (command, {"REDIS_URL": url, "CACHE_POLICY": "always"}),
            AUTO: (command, {"REDIS_URL": url}),
        }
        servers = {
            name: opened.enter_context(
                started(name, words, environment=environment, cores=cores.server)
            )
            for name, (words, environment) in serve.items()
        }
        size = str(len(send_ok(servers[BARE].port, NUMBERED).body))
        servers[ECHO] = opened.enter_context(
            started(
                ECHO,
                ECHO_COMMAND,
                environment={"ANSWER_BYTES": size, "ECHO": "granian"},
                cores=cores.server,
            )
        )
        per_trip = prove(servers, cores.load)
        results = alternate(
            candidates(servers, arguments.seconds), arguments.rounds, load_cores=cores.load
        )
    describe(report, results)
    report.note(f"Look-ups in one round trip while proving a hit: {number(per_trip)}.")
    report.raw = {"results": results.raw(), "per_trip": per_trip}
    report.finish(arguments.json)


def prove(servers: dict[str, Server], load_cores: list[int]) -> float:
    """Make sure that hits come from Redis and misses ask it; give the look-ups in a round trip."""
    load = Load(NUMBERED, CROWD, seconds=1, cycle=CACHED_ROWS)
    for name in (HIT, AWAITED):
        measure(servers[name], load, cores=load_cores)
        send_ok(servers[name].port, NUMBERED, cache="redis")
    before = servers[HIT].metrics()
    measure(servers[HIT], load, cores=load_cores)
    after = servers[HIT].metrics()
    names = ("ml_api_redis_lookups_total", "ml_api_redis_seconds_count")
    asked, trips = (after[name] - before[name] for name in names)
    if asked / trips < MIN_BATCH:
        raise AnswerError(f"{asked:.0f} look-ups took {trips:.0f} round trips")
    return asked / trips


def candidates(servers: dict[str, Server], seconds: int) -> list[Candidate]:
    """Return what is loaded in one round, in order."""
    cycles = {ECHO: CACHED_ROWS, HIT: CACHED_ROWS, AWAITED: CACHED_ROWS}
    return [
        Candidate(name, server, Load(NUMBERED, CROWD, seconds, cycle=cycles.get(name, 0)))
        for name, server in servers.items()
    ]


def describe(report: Report, results: Results) -> None:
    """Put the tables into the report."""
    report.table(HEADER, [_row(results, name) for name in (ECHO, HIT, AWAITED, BARE, MISS, AUTO)])
    report.note(
        f"{CROWD} connections. RPS, p50, p99: median over rounds; CPU: the quietest round; "
        "× echo: median of the ratios within a round. The generator numbers each request, which "
        "costs it a Lua call."
    )
    report.targets(
        [
            Target("hit in Redis: CPU × echo", results.ratio(HIT, ECHO, cpu), 2.5),
            Target(
                "one awaited GET: CPU × hit in Redis",
                results.ratio(AWAITED, HIT, cpu),
                1.5,
                at_least=True,
            ),
            Target("miss in Redis: CPU × no Redis", results.ratio(MISS, BARE, cpu), 1.3),
        ]
    )


def _row(results: Results, name: str) -> tuple[object, ...]:
    medians = [number(results.median(name, value)) for value in (rps, p50, p99)]
    return (
        name,
        *medians,
        number(results.least(name, cpu)),
        number(results.ratio(name, ECHO, cpu)),
    )


if __name__ == "__main__":
    main()
