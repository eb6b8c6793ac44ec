"""Lanes run work on their own threads, one at a time each, and say what they are doing."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_pipeline.build import engine_options
from ml_pipeline.engine.sessions.session_pool import (
    Session,
    SessionPool,
    _cgroup_cores,
    usable_cores,
)
from ml_pipeline.errors import ModelLoadError, RunRefused
from ml_pipeline.settings import Settings
from tests.conftest import WriteModel
from tests.models import (
    lookup_model,
    optional_output_model,
    reference,
    scale_model,
    sequence_model,
    sklearn_classifier,
    two_input_model,
)

CPU = ["CPUExecutionProvider"]
ROWS = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)

OpenPool = Callable[..., SessionPool]


@pytest.fixture
def open_pool(write_model: WriteModel) -> Iterator[OpenPool]:
    """Open a pool of one lane or more; closed at the end of the test."""
    pools: list[SessionPool] = []

    def open_pool(content: bytes, *, num_sessions: int = 1, shared: bool = False) -> SessionPool:
        pool = SessionPool(
            write_model(content),
            num_sessions=num_sessions,
            providers=CPU,
            shared=shared,
        )
        pools.append(pool)
        return pool

    yield open_pool
    for pool in pools:
        pool.close()


async def work_in_lane(pool: SessionPool, work: Callable[[Session], Any]) -> Any:
    """Give work to a lane and wait for its result."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    pool.start(work, done.set_result)
    return await asyncio.wait_for(done, 5)


# Cores and providers.


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_usable_cores_follow_the_affinity() -> None:
    """A process bound to one core has one, whatever the machine has."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})

    try:
        num_cores = usable_cores()
    finally:
        os.sched_setaffinity(0, allowed)

    assert num_cores == 1


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_usable_cores_are_no_more_than_allowed() -> None:
    """There is at least one core, and none beyond the affinity."""
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_quotas_of_both_kinds_of_cgroups_count(
    tmp_path: Path, files: dict[str, str], cores: int | None
) -> None:
    """A container's quota is rounded up to cores, and none means no bound."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    found = _cgroup_cores(tmp_path)

    assert found == cores if cores else found > 1000


def test_sessions_default_to_the_usable_cores() -> None:
    """SESSIONS=0 is one lane for each usable core."""
    assert engine_options(Settings(sessions=0)).num_sessions == usable_cores()


def test_missing_provider_is_told_with_those_available() -> None:
    """A provider that this build lacks is an error that lists what it has."""
    settings = Settings(ort_providers=("NoSuchExecutionProvider", "CPUExecutionProvider"))

    with pytest.raises(
        ModelLoadError,
        match=r"ORT_PROVIDERS: expected .*CPUExecutionProvider.*found NoSuchExecutionProvider$",
    ):
        engine_options(settings)


# Sessions.


def test_specs_are_those_of_the_graph(open_pool: OpenPool) -> None:
    """Names, dtypes and sizes come from the file; a free size is -1."""
    session = open_pool(two_input_model()).sessions[0]

    specs = [(spec.name, spec.dtype, spec.shape) for spec in session.inputs + session.outputs]

    assert specs == [
        ("left", "float32", (-1, 2)),
        ("right", "float32", (-1, 2)),
        ("sum", "float32", (-1, 2)),
    ]


def test_zipmap_is_told_as_a_table_of_floats(open_pool: OpenPool) -> None:
    """A ZipMap output counts as float32 `[B, C]`."""
    session = open_pool(sklearn_classifier()).sessions[0]

    assert (session.outputs[1].dtype, session.outputs[1].shape) == ("float32", (-1, -1))


def test_zipmap_is_run_to_a_table_of_floats(open_pool: OpenPool) -> None:
    """`run` makes an array of what ONNX Runtime gives as dicts."""
    content = sklearn_classifier(("no", "yes"))
    rows = np.random.default_rng(3).standard_normal((4, 4)).astype(np.float32)

    _, probabilities = open_pool(content).run({"float_input": rows})

    dicts = reference(content, {"float_input": rows})[1]
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[row["no"], row["yes"]] for row in dicts], atol=1e-6)


def test_refused_run_is_our_error_in_one_line(open_pool: OpenPool) -> None:
    """What ONNX Runtime says of a failed run becomes one line of a RunRefused."""
    pool = open_pool(lookup_model())

    with pytest.raises(RunRefused, match=r"^ONNX Runtime: [^\n]+$"):
        pool.run({"x": np.array([[0]], np.int64)})


@pytest.mark.parametrize(
    ("model", "name"), [(sequence_model, "parts"), (optional_output_model, "found")]
)
def test_output_of_another_type_is_refused(
    model: Callable[[], bytes], name: str, open_pool: OpenPool
) -> None:
    """An output that is a sequence, or may be missing, is named when the session is opened."""
    with pytest.raises(ModelLoadError, match=f"{name}: expected a tensor or a ZipMap"):
        open_pool(model())


def test_missing_file_is_our_error(tmp_path: Path) -> None:
    """A file that is not there is a load error that names it."""
    with pytest.raises(ModelLoadError, match=r"gone\.onnx"):
        SessionPool(tmp_path / "gone.onnx", num_sessions=1, providers=CPU, shared=True)


# One session a lane, or one for all.


def test_lanes_have_sessions_of_their_own(open_pool: OpenPool) -> None:
    """A small model is opened once for each lane."""
    pool = open_pool(scale_model(), num_sessions=3)

    assert len({id(session) for session in pool.sessions}) == 3


def test_large_weights_are_held_once(open_pool: OpenPool) -> None:
    """A file is opened once where it is large, and the lanes share the session."""
    pool = open_pool(scale_model(), num_sessions=3, shared=True)

    assert len(pool.sessions) == 3
    assert all(session is pool.sessions[0] for session in pool.sessions)


async def test_shared_session_answers_each_lane_its_own(open_pool: OpenPool) -> None:
    """Runs of several lanes on one session at a time do not mix."""
    pool = open_pool(scale_model(), num_sessions=4, shared=True)

    results = await asyncio.gather(
        *(work_in_lane(pool, partial(Session.run, inputs={"x": ROWS * n})) for n in range(4))
    )

    for factor, (output,) in enumerate(results):
        np.testing.assert_allclose(output, ROWS * factor * 2, rtol=1e-6)


# Lanes.


def test_cheap_models_have_no_threads(open_pool: OpenPool) -> None:
    """A lane's thread starts with its first work; runs on the caller's thread need none."""
    before = set(threading.enumerate())

    open_pool(scale_model(), num_sessions=2).run({"x": ROWS})

    assert set(threading.enumerate()) <= before


async def test_work_runs_beside_the_loop_and_returns_to_it(open_pool: OpenPool) -> None:
    """Work is done on a thread of the lane, its result is handed over on the loop's."""
    pool = open_pool(scale_model())
    handed_over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    pool.start(
        lambda _: threading.current_thread().name,
        lambda name: handed_over.set_result(f"{name} to {threading.current_thread().name}"),
    )

    assert await asyncio.wait_for(handed_over, 5) == "session-0 to MainThread"


async def test_lane_keeps_its_thread_and_session(open_pool: OpenPool) -> None:
    """Work given one after the other to a lone lane meets one thread and one session."""
    pool = open_pool(scale_model())

    met = [
        await work_in_lane(pool, lambda session: (session, threading.get_ident())) for _ in range(3)
    ]

    assert len(set(met)) == 1
    assert met[0][0] is pool.sessions[0]


async def test_busy_lanes_are_counted(open_pool: OpenPool) -> None:
    """`idle`, `statistics` and `repr` tell how many lanes work."""
    pool = open_pool(scale_model(), num_sessions=2)
    gate = threading.Event()
    working = [asyncio.create_task(work_in_lane(pool, lambda _: gate.wait(5))) for _ in range(2)]
    await asyncio.sleep(0)

    busy = (pool.idle, pool.statistics(), repr(pool))
    gate.set()
    await asyncio.gather(*working)
    rested = (pool.idle, pool.statistics(), repr(pool))

    assert busy == (False, (2, 2), "<SessionPool [2 busy, 0 idle]>")
    assert rested == (True, (2, 0), "<SessionPool [0 busy, 2 idle]>")


async def test_lane_is_idle_again_when_its_result_is_handed_over(open_pool: OpenPool) -> None:
    """`done` may give the lane its next work at once."""
    pool = open_pool(scale_model())
    idle: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    pool.start(lambda _: None, lambda _: idle.set_result(pool.idle))

    assert await asyncio.wait_for(idle, 5)


async def test_close_ends_the_threads(open_pool: OpenPool) -> None:
    """Threads of a closed pool end."""
    pool = open_pool(scale_model(), num_sessions=2)
    before = set(threading.enumerate())
    gate = threading.Event()
    working = [asyncio.create_task(work_in_lane(pool, lambda _: gate.wait(5))) for _ in range(2)]
    await asyncio.sleep(0)
    lanes = set(threading.enumerate()) - before
    gate.set()
    await asyncio.gather(*working)

    pool.close()

    for lane in lanes:
        lane.join(5)
    assert len(lanes) == 2
    assert not any(lane.is_alive() for lane in lanes)


async def test_close_lets_work_under_way_finish(open_pool: OpenPool) -> None:
    """A lane that is closed while it works still hands its result over."""
    pool = open_pool(scale_model())
    gate = threading.Event()
    working = asyncio.create_task(work_in_lane(pool, lambda _: gate.wait(5)))
    await asyncio.sleep(0)

    pool.close()
    gate.set()

    assert await working is True


async def test_close_twice_is_harmless(open_pool: OpenPool) -> None:
    """The second `close` has nothing to end."""
    pool = open_pool(scale_model())
    await work_in_lane(pool, lambda _: None)

    pool.close()
    pool.close()

    assert pool.statistics().num_busy == 0
