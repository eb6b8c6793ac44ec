"""What the tests of the batcher share: a batcher on fake lanes, rows, requests as tasks.

Pools here run a Python function and have no threads; `hold` keeps their lanes busy for as long as a
test wants.
"""

import asyncio
from collections.abc import Callable, Hashable
from time import monotonic
from typing import cast

import numpy as np
import pytest

from ml_pipeline.engine.batching.batch_queue import BatchOptions, RunResult
from ml_pipeline.engine.batching.batch_run import BatchRecord
from ml_pipeline.engine.batching.batcher import Batcher
from ml_pipeline.engine.batching.cost_curve import CostCurve, Sample
from ml_pipeline.engine.batching.proof import Proof
from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Tensors
from tests.fakes import FakePool, settled, turns

BAD = 13.0
IDLE = "<Batcher [0 requests, 0 rows waiting | 0 running]>"
either_mode = pytest.mark.parametrize("inline", [True, False], ids=["inline", "pool"])


def line(fixed_seconds: float, row_seconds: float = 0.0) -> CostCurve:
    """A curve on which a run costs so much, whatever the fakes need."""
    sizes = (1, 1024)
    return CostCurve([Sample(size, fixed_seconds + row_seconds * size) for size in sizes])


def make_batcher(
    pool: FakePool,
    *,
    inline: bool = False,
    curve: CostCurve | None = None,
    batching: bool = True,
    max_batch_size: int = 8,
    max_queue_size: int = 1000,
    max_queue_delay_seconds: float = 0.0,
    inline_budget_seconds: float | None = None,
    proof: Proof | None = None,
    on_batch: Callable[[BatchRecord], None] = lambda record: None,
    on_disproved: Callable[[str], None] = lambda reason: None,
) -> Batcher:
    if inline_budget_seconds is None:
        inline_budget_seconds = float("inf") if inline else 0.0
    return Batcher(
        cast(SessionPool, pool),
        curve or line(1e-3),
        BatchOptions(
            max_batch_size, max_queue_size, max_queue_delay_seconds, inline_budget_seconds
        ),
        batching=batching,
        proof=proof,
        on_batch=on_batch,
        on_disproved=on_disproved,
    )


def rows(*values: float) -> Tensors:
    """One input, float32 `[b, 1]`."""
    return {"x": np.array(values, np.float32).reshape(-1, 1)}


def ask(
    batcher: Batcher, *values: float, within: float = 60.0, group: Hashable = ()
) -> "asyncio.Task[RunResult]":
    """Ask for rows of these values, as a client's request does: on a task of its own."""
    deadline = monotonic() + within
    return asyncio.create_task(
        batcher.run(rows(*values), len(values), deadline=deadline, group=group)
    )


async def answers(*tasks: "asyncio.Task[RunResult]") -> list[list[float] | type[BaseException]]:
    """What each request got: its values, or the class of its error."""
    ends = await settled(*tasks)
    return [
        end.outputs[0][:, 0].tolist() if isinstance(end, RunResult) else type(end) for end in ends
    ]


async def queued(
    batcher: Batcher, pool: FakePool, *requests: float
) -> list["asyncio.Task[RunResult]"]:
    """Keep every lane busy with rows of 0, and let one request a value wait behind them."""
    pool.hold()
    for _ in pool.sessions:
        ask(batcher, 0.0)
        await turns()
    waiting = [ask(batcher, value) for value in requests]
    await turns()
    return waiting
