"""Reloads while Redis does not pass them on: it is stopped, killed, or hangs up on who listens.

One replica of three is told to reload each time, and says that it has; the others have to find out
by themselves. Clients are answered all the while, by the old model or the new one.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import redis

from bench.compute_bound import FEATURES, write_model
from bench.harness import SERVE_COMMAND, Server, free_port, started
from bench.redis_server import redis_running
from bench.request import Request, get, send
from bench.soak.checked_load import Load, Questions, drawn_rows
from bench.soak.scenario import Finding, Run, at_most
from bench.waiting import wait_until

NUM_REPLICAS = 3
WIDTHS = (16, 17)
"""Of the two models that are put there by turns."""
OUTAGE_SECONDS = 1.6
MOST_SECONDS = 10.0
MOST_SECONDS_QUICK = 20.0
"""On a machine that others use at the same time."""
GIVE_UP_SECONDS = 60.0


class Faults:
    """A Redis that fails in three ways; each is over when it returns, but for a reload within.

    Args:
        opened: Ends what is started.
    """

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened
        self._port = free_port()
        self._redis = opened.enter_context(redis_running(self._port))
        self.url = self._redis.url

    def stop(self, reload: Callable[[], None]) -> None:
        """Stop its clock."""
        self._redis.process.send_signal(signal.SIGSTOP)
        try:
            _during(reload)
        finally:
            self._redis.process.send_signal(signal.SIGCONT)

    def kill(self, reload: Callable[[], None]) -> None:
        """Kill it; it comes back empty."""
        self._redis.process.kill()
        self._redis.process.wait()
        _during(reload)
        self._redis = self._opened.enter_context(redis_running(self._port))

    def hang_up(self, reload: Callable[[], None]) -> None:
        """Let nobody hear what is published."""
        with redis.Redis(port=self._port) as client:
            client.client_kill_filter(_type="pubsub")
            reload()


def run(run: Run) -> Finding:
    """Reload in each fault, over and over, and see how soon all replicas agree."""
    files = [run.folder / f"{width}.onnx" for width in WIDTHS]
    for path, width in zip(files, WIDTHS, strict=True):
        write_model(path, width)
    folder = run.folder / "models"
    folder.mkdir()
    _put(folder, files[0])
    questions = Questions(files, drawn_rows(3000, [1.0] * FEATURES), use_cache=False)
    with ExitStack() as opened:
        faults = Faults(opened)
        command = (*SERVE_COMMAND, str(folder))
        environment = {"REDIS_URL": faults.url}
        replicas = [
            opened.enter_context(started(f"replica-{number}", command, environment=environment))
            for number in range(NUM_REPLICAS)
        ]
        load = opened.enter_context(Load(replicas[0].port, questions))
        load.wait_for_answers(100)
        taken, broken = _reload_often(run, faults, replicas, load, folder, files)
        load.wait_for_answers(100)
    slowest, most = max(taken, default=0.0), run.choose(MOST_SECONDS, MOST_SECONDS_QUICK)
    broken += at_most("agreement after", slowest, most, " s")
    return Finding(
        tried=f"{len(taken)} reloads of one of {NUM_REPLICAS} replicas while Redis was stopped for "
        f"{OUTAGE_SECONDS} s, killed, or hung up on who listened; {load.num_clients} clients",
        found=f"all replicas served the new model and were healthy after {slowest:.1f} s at most; "
        f"{load.counts}",
        broken=[*load.faults, *broken],
    )


def _reload_often(
    run: Run,
    faults: Faults,
    replicas: Sequence[Server],
    load: Load,
    folder: Path,
    files: Sequence[Path],
) -> tuple[list[float], list[str]]:
    """Give the seconds that each agreement took after Redis was back, and what broke."""
    source, taken = random.Random(8), list[float]()
    rounds = run.choose(8, 1)
    for number, fault in enumerate([faults.stop, faults.kill, faults.hang_up] * rounds):
        run.progress(f"{3 * rounds - number} reloads left · {load.counts}")
        _put(folder, files[(number + 1) % 2])
        leader = source.choice(replicas)
        fault(lambda leader=leader: _reload(leader))  # type: ignore[misc]
        back = time.monotonic()
        if not wait_until(lambda leader=leader: _agree(replicas, leader), GIVE_UP_SECONDS):  # type: ignore[misc]
            return taken, [f"{fault.__name__}: expected agreement, found {_states(replicas)}"]
        taken.append(time.monotonic() - back)
    return taken, []


def _during(reload: Callable[[], None]) -> None:
    """Reload, and let the outage last as long as it shall."""
    begun = time.monotonic()
    reload()
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - begun)))


def _put(folder: Path, file: Path) -> None:
    (folder / "model.new").write_bytes(file.read_bytes())
    (folder / "model.new").replace(folder / "model.onnx")


def _reload(server: Server) -> None:
    send(server.port, Request("/models/reload", b"", "application/json"))


def _agree(replicas: Sequence[Server], leader: Server) -> bool:
    """Whether all serve what the leader serves, and say that they are well."""
    wanted = _digest(leader), "healthy"
    return all(found == wanted for found in _states(replicas))


def _states(replicas: Sequence[Server]) -> list[tuple[str, str]]:
    return [
        (_digest(each), str(msgspec.json.decode(get(each.port, "/health").body)["status"]))
        for each in replicas
    ]


def _digest(server: Server) -> str:
    (model,) = msgspec.json.decode(get(server.port, "/models").body)["models"]
    return str(model["digest"])
