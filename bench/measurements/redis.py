"""What the shared cache costs: a hit beside the raw echo, a miss beside no Redis at all.

All servers stay up and are loaded by turns, one row of ten features a request. Hits are measured
with the cache in memory off and over so many rows that no two under way are equal, so that each
asks Redis; misses with rows that no two requests share.
CPU is the server's alone: what redis-server spends is its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from bench.harness import ECHO_COMMAND, Server
from bench.harness import measure as measure_load
from bench.load import Load
from bench.markdown import number
from bench.redis_server import redis_started
from bench.request import AnswerError, json_request, send_ok
from bench.rounds import CPU, Candidate, headers
from bench.run import Run
from bench.sample import SAMPLE_FEATURES

ROUNDS, SECONDS = 8, 1
CROWD = 32
ECHO = "echo"
HIT, AWAITED = "hit in Redis", "hit, one awaited GET a request"
BARE, MISS, AUTO = "miss, no Redis", "miss in Redis", "miss, CACHE_POLICY=auto"
NUMBERED = json_request(1, SAMPLE_FEATURES, use_cache=True, numbered=True)
CACHED_ROWS = 1000
LOAD = Load(NUMBERED, CROWD, seconds=1, cycle=CACHED_ROWS)
AWAITED_COMMAND = (sys.executable, "-m", "bench.awaited_get")
MIN_BATCH = 2.0


def measure(run: Run) -> None:
    """Measure and report."""
    url = run.opened.enter_context(redis_started(run.cores.server))
    servers = {
        HIT: run.start(HIT, REDIS_URL=url, CACHE_MAX_MB="0", CACHE_POLICY="always"),
        AWAITED: run.start(AWAITED, AWAITED_COMMAND, REDIS_URL=url, CACHE_MAX_MB="0"),
        BARE: run.start(BARE),
        MISS: run.start(MISS, REDIS_URL=url, CACHE_POLICY="always"),
        AUTO: run.start(AUTO, REDIS_URL=url),
    }
    size = str(len(send_ok(servers[BARE].port, NUMBERED).body))
    servers[ECHO] = run.start(ECHO, ECHO_COMMAND, ANSWER_BYTES=size, ECHO="granian")
    per_trip = prove(servers, run.cores.load)
    cycles = dict.fromkeys(servers, 0) | dict.fromkeys((ECHO, HIT, AWAITED), CACHED_ROWS)
    results = run.by_turns(
        [
            Candidate(name, server, replace(LOAD, seconds=run.options.seconds, cycle=cycles[name]))
            for name, server in servers.items()
        ]
    )
    run.table(
        ("what", *headers(), "CPU × echo"),
        [
            (name, *results.cells(name), number(results.ratio(name, ECHO, CPU)))
            for name in (ECHO, HIT, AWAITED, BARE, MISS, AUTO)
        ],
    )
    run.explain(connections=CROWD)
    run.note(
        "The generator numbers each request, which costs it a Lua call. Look-ups in one round trip "
        f"while proving a hit: {number(per_trip)}."
    )
    run.judge(
        {
            "hit in Redis: CPU × echo": results.ratio(HIT, ECHO, CPU),
            "one awaited GET: CPU × hit in Redis": results.ratio(AWAITED, HIT, CPU),
            "miss in Redis: CPU × no Redis": results.ratio(MISS, BARE, CPU),
        }
    )


def prove(servers: dict[str, Server], load_cores: list[int]) -> float:
    """Make sure that hits come from Redis and misses ask it; give the look-ups in a round trip."""
    for name in (HIT, AWAITED):
        measure_load(servers[name], LOAD, cores=load_cores)
        send_ok(servers[name].port, NUMBERED, cache="redis")
    before = servers[HIT].metrics()
    measure_load(servers[HIT], LOAD, cores=load_cores)
    after = servers[HIT].metrics()
    names = ("ml_api_redis_lookups_total", "ml_api_redis_seconds_count")
    asked, trips = (after[name] - before[name] for name in names)
    if asked / trips < MIN_BATCH:
        raise AnswerError(f"{asked:.0f} look-ups took {trips:.0f} round trips")
    return asked / trips
