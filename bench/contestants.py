"""The servers that `python -m bench compare` sets beside each other: how each is started.

All use one Redis, have their metrics on and log what ACCESS_LOG says. Idle they cost next to
nothing (mosec with its processes 2 to 5 ms of CPU a second), so all stay up while one is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus

from bench.harness import SERVE_COMMAND, Server, spawned, wait_for
from bench.machine import ROOT
from bench.redis_server import redis_started
from bench.request import json_request, send
from bench.sample import SAMPLE_FEATURES, SAMPLE_MODEL

OURS, LOGGING, FAR = "ours", "ours, logging", "ours, nothing in memory"
ORDINARY, ORDINARY_LOGGING = "ordinary", "ordinary, logging"
MOSEC, MOSEC_JSON, MOSEC_SINGLE = "mosec", "mosec, its own JSON", "mosec, no batching"
BYPASS = json_request(1, SAMPLE_FEATURES, use_cache=False)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to start a server, and what is known of it.

    Attributes:
        rows_counter: The metric that counts rows run, or, where rows are never joined, runs.
        cache_state: `X-Cache` of a hit, where the server tells one.
    """

    command: Sequence[str]
    rows_counter: str
    environment: Mapping[str, str]
    cache_state: str | None = None


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server of its kind."""

    server: Server
    kind: Kind


SERVE = (*SERVE_COMMAND, str(SAMPLE_MODEL))
PEERS_FOLDER = str(ROOT / ".venv" / "peers")  # where ops/bench installs them
# mosec looks for its own program where Python's schemes put programs; the user's is one of them.
PEERS = {"PYTHONPATH": PEERS_FOLDER, "PYTHONUSERBASE": PEERS_FOLDER}
REFERENCE_COMMAND = (sys.executable, "-m", "bench.reference.main")
MOSEC_COMMAND = (sys.executable, "-m", "bench.peers.mosec_server")
OUR_ROWS, REFERENCE_RUNS = "ml_api_batch_rows_sum", "model_run_seconds_count"
# Without batching mosec counts no rows, but its answers, each of which is a run: it has no cache.
MOSEC_ROWS, MOSEC_ANSWERS = "mosec_service_batch_size_sum", "mosec_service_throughput_total"
ALL = {"ACCESS_LOG": "all"}
# 32 requests of 1,000 rows may wait at once. The harness asks for warnings only, the others have
# no such setting.
COMMON = {"MAX_QUEUE_SIZE": "40000", "LOG_LEVEL": "info"}
NOTHING_IN_MEMORY = {"CACHE_MAX_MB": "0", "CACHE_POLICY": "always"}
KINDS = {
    OURS: Kind(SERVE, OUR_ROWS, COMMON, "l1"),
    LOGGING: Kind(SERVE, OUR_ROWS, COMMON | ALL, "l1"),
    FAR: Kind(SERVE, OUR_ROWS, COMMON | NOTHING_IN_MEMORY, "redis"),
    ORDINARY: Kind(REFERENCE_COMMAND, REFERENCE_RUNS, PEERS),
    ORDINARY_LOGGING: Kind(REFERENCE_COMMAND, REFERENCE_RUNS, PEERS | ALL),
    MOSEC: Kind(MOSEC_COMMAND, MOSEC_ROWS, PEERS),
    MOSEC_JSON: Kind(MOSEC_COMMAND, MOSEC_ROWS, PEERS | {"CODEC": "json"}),
    MOSEC_SINGLE: Kind(MOSEC_COMMAND, MOSEC_ANSWERS, PEERS | {"MAX_BATCH_SIZE": "1"}),
}


def start(
    opened: ExitStack, names: Iterable[str], cores: Sequence[int] = ()
) -> dict[str, Contestant]:
    """Start the servers of these names and one Redis for all; they end with `opened`.

    Raises:
        ServerError: One ended early or did not predict in `READY_TIMEOUT_SECONDS`.
    """
    redis = {"REDIS_URL": opened.enter_context(redis_started(cores))}
    contestants = {}
    for name in names:
        kind = KINDS[name]
        environment = {**redis, **kind.environment}
        server = opened.enter_context(
            spawned(name, kind.command, environment=environment, cores=cores)
        )
        contestants[name] = Contestant(server, kind)
    opened.callback(_end_together, contestants.values())
    for contestant in contestants.values():
        _wait_until_it_predicts(contestant.server)
    return contestants


def _end_together(contestants: Iterable[Contestant]) -> None:
    """Tell all before the first is waited for: a mosec takes two seconds to end."""
    for contestant in contestants:
        if contestant.server.process.poll() is None:
            contestant.server.process.terminate()


def _wait_until_it_predicts(server: Server) -> None:
    """Poll by predicting: mosec has no route that tells whether its worker is there."""
    wait_for(server, lambda: send(server.port, BYPASS).status == HTTPStatus.OK)
