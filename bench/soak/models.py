"""Models that misbehave, beside one that does not: who asks rightly is answered rightly."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import msgspec
import uvloop

from bench import bad_models, slow_model
from bench.harness import started
from bench.sample import SAMPLE_MODEL
from bench.soak.client import Answer, Connection, post
from bench.soak.crowd import Crowd, Questions
from bench.soak.scenario import Finding, Run

MEMORY_BYTES = 6_000_000_000
"""Of address space: more than the server needs, less than a bad request asks for."""
BAD_VALUE = 1_000_000
"""Beyond the table of `lookup`, short for `short`, and a million GB for `greedy`."""
SLOW_STEPS = 3_000_000
"""Of the slow model: about 10 s."""
SLOW_STEPS_QUICK = 600_000
SLOW_TIMEOUT_MS = 300
NEIGHBOURS = 6
BAD_STATUSES = {500}
"""What is wrong is the model; its caller is told in a problem document."""

_decoder = msgspec.json.Decoder()


def run(run: Run) -> Finding:
    """Ask each bad model rightly and wrongly at the same time, over and over."""
    folder = write_models(run.folder / "models")
    rounds = run.choose(2000, 60)
    command = ("prlimit", f"--as={MEMORY_BYTES}", sys.executable, "-m", "app", "serve", str(folder))
    with started("server", command, environment={"SESSIONS": "2"}) as server:
        questions = Questions(SAMPLE_MODEL, path="/predict?model=wine", use_cache=False)
        with (
            Crowd(server.port, questions) as crowd,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            attack = Attack(server.port, run, rounds)
            runner.run(attack.run())
        broken = attack.wrong[:5] + crowd.faults
        if server.process.poll() is not None:
            broken.append("server: expected to go on, found it has ended")
        if "Traceback" in server.log.read_text(errors="replace"):
            broken.append("log: expected no traceback, found one")
    counts = attack.counts
    return Finding(
        tried=f"{counts['bad']:,} runs that raise, lack rows or want 1,000 TB of memory, and a "
        f"run of {attack.slow_seconds:.0f} s",
        found=f"{counts['good']:,} neighbours in their batches and {len(crowd.seconds):,} of "
        f"another model's: {len(attack.wrong) + crowd.num_faults} wrong, p99 {crowd.p99_ms:.0f} ms",
        broken=broken,
    )


def write_models(folder: Path) -> Path:
    """Write a good model and the bad ones."""
    folder.mkdir()
    shutil.copy(SAMPLE_MODEL, folder / "wine.onnx")
    bad_models.write_lookup(folder / "lookup.onnx")
    bad_models.write_greedy(folder / "greedy.onnx")
    bad_models.write_short(folder / "short.onnx")
    slow_model.write_model(folder / "slow.onnx")
    return folder


class Attack:
    """Asks the bad models.

    Attributes:
        counts: Requests by `good` and `bad`.
        wrong: Answers that are not right, in words.
        slow_seconds: That the long run took.
    """

    def __init__(self, port: int, run: Run, rounds: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slow_seconds = 0.0
        self._port = port
        self._run = run
        self._rounds = rounds
        self._random = random.Random(8)

    async def run(self) -> None:
        """Ask; the long run goes on meanwhile."""
        slow = asyncio.create_task(self._ask_slowly())
        connections = [await Connection.open(self._port) for _ in range(NEIGHBOURS + 1)]
        for number in range(self._rounds):
            model = ("lookup", "greedy", "short")[number % 3]
            bad = self._random.randrange(len(connections))
            await asyncio.gather(
                *(self._ask(each, model, bad=at == bad) for at, each in enumerate(connections))
            )
            self._run.progress(f"{self._rounds - number} rounds left · {len(self.wrong)} wrong")
        for connection in connections:
            connection.close()
        await slow

    async def _ask(self, connection: Connection, model: str, *, bad: bool) -> None:
        value = BAD_VALUE if bad else self._random.randrange(1000)
        answer = await connection.ask(_predict(model, value))
        self.counts["bad" if bad else "good"] += 1
        if bad and (answer.status not in BAD_STATUSES or b"request_id" not in answer.body):
            self.wrong.append(
                f"{model}, bad: expected a problem of {BAD_STATUSES}, {_told(answer)}"
            )
        if not bad and _value(answer) != 2.0 * value:
            self.wrong.append(f"{model}, good: expected {2.0 * value}, {_told(answer)}")

    async def _ask_slowly(self) -> None:
        """Let one run take long; who waits for it with a deadline is told in time."""
        connection, other = [await Connection.open(self._port) for _ in range(2)]
        steps = self._run.choose(SLOW_STEPS, SLOW_STEPS_QUICK)
        slow = asyncio.create_task(connection.ask(_predict("slow", steps)))
        await asyncio.sleep(0.2)
        while not slow.done():
            answer = await other.ask(_predict("slow", 3, x_request_timeout_ms=str(SLOW_TIMEOUT_MS)))
            if answer.status != 504 and _value(answer) != 6.0:
                self.wrong.append(f"slow, beside it: expected 6 or a 504, {_told(answer)}")
            await asyncio.sleep(0.05)
        answer = await slow
        self.slow_seconds = answer.seconds
        if _value(answer) != 2.0 * steps:
            self.wrong.append(f"slow: expected {2 * steps}, {_told(answer)}")
        connection.close()
        other.close()


def _predict(model: str, value: int, **headers: str) -> bytes:
    body = msgspec.json.encode({"data": [[value]], "use_cache": False})
    return post(f"/predict?model={model}", body, **headers)


def _value(answer: Answer) -> float | None:
    if answer.status != 200:
        return None
    (value,) = _decoder.decode(answer.body)["predictions"]
    return float(value[0] if isinstance(value, list) else value)


def _told(answer: Answer) -> str:
    return f"found {answer.status} {answer.body[:150]!r}"
