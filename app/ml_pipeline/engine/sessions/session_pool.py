"""The ONNX Runtime sessions, one a core, and their threads.

A *lane* is a session and the thread bound to it. `run` calls the first session on the calling
thread; `start` hands work to an idle lane and calls back on the event loop when it is done. What
runs when is decided in `batcher.py`.

ONNX Runtime sizes its own pools from the machine, ignores affinity and cgroups, and lets the pools
of several sessions fight (onnxruntime#17011: 77 → 161 ms), so each session gets one thread, ours,
and spinning is off.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from ml_pipeline.engine.sessions.custom_ops import Library, hint
from ml_pipeline.engine.sessions.thread_priority import LANE_NICENESS, give_way
from ml_pipeline.engine.signature.bfloat import run_with_bfloats
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec, type_names
from ml_pipeline.errors import ModelLoadError, RunRefused

OPTIONAL = "optional("
"""How the type of an input begins that the graph itself looks whether it is given."""

type_of_zipmap = ("seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")

SWITCH_SECONDS = 0.0001
"""Longest that the event loop's thread keeps a lane from starting its run.

Python's default of 5 ms left a lane idle for 2.3 of 7.5 ms at batches of 32; with 0.5 ms the server
reached 0.73 of an offline loop's throughput, with 0.1 ms 0.83, with 0.02 ms no more
(`python -m bench batching`). Set with the first lane: a server that needs none paid up to 10 % of
CPU.
"""

_place = re.compile(r"/onnxruntime_src/\S+:\d+ .*?\)(?: const)?(?: \[with .*?\])? ")
"""Where in its source ONNX Runtime found a fault, before the words that say which."""

Work = Callable[["Session"], Any]
Done = Callable[[Any], None]


def usable_cores() -> int:
    """Cores this process may use: affinity and cgroup quota, not what the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(min(cores or 1, _cgroup_cores()), 1)


def _cgroup_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that the container's quota amounts to, rounded up; a large number without one."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # v2, v1
        try:
            quota, period = " ".join((root / file).read_text() for file in files).split()
            if int(quota) > 0:  # v1 writes -1 where there is no quota, v2 "max"
                return -(-int(quota) // int(period))
        except (OSError, ValueError):
            pass
    return 2**16


class Session:
    """One `InferenceSession`, with ZipMap outputs as arrays.

    Attributes:
        inputs: Specs in the order of the graph.
        optional_inputs: Those of an optional type, and those that the graph has a value for.
        outputs: In the order of the graph; a ZipMap is given as float32 `[B, C]`.
    """

    def __init__(
        self, path: Path, providers: list[str], custom_ops: Sequence[Library] = ()
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised too, and stderr may be stuck
        try:
            for library in custom_ops:
                options.register_custom_ops_library(library.path)
            self._ort = ort.InferenceSession(path, options, providers=providers)
        except Exception as error:  # ORT's exceptions share no base class but this
            text = _first_line(error)
            raise ModelLoadError(f"ONNX Runtime: {text}{hint(text, custom_ops)}") from None
        nodes, overridable = self._ort.get_inputs(), self._ort.get_overridable_initializers()
        optional = [node for node in nodes if node.type.startswith(OPTIONAL)]
        self.inputs = tuple(_spec(node) for node in nodes if node not in optional)
        self.optional_inputs = tuple(
            _spec(node, optional=True) for node in (*optional, *overridable)
        )
        self.outputs = tuple(_spec(node) for node in self._ort.get_outputs())
        self._names = [output.name for output in self.outputs]
        self._zipmaps = any(n.type in type_of_zipmap for n in self._ort.get_outputs())
        self._bfloats = any(spec.dtype == "bfloat16" for spec in self.inputs + self.outputs)

    def run(self, inputs: Tensors, options: ort.RunOptions | None = None) -> list[Array]:
        """Run the model on one batch; any thread. Outputs in the order of `outputs`, `[B, …]`.

        Args:
            inputs: `[B, …]` each.
            options: By which another thread may end it.

        Raises:
            RunRefused: ONNX Runtime refused, or was told to end.
        """
        outputs = self.run_raw(inputs, options)
        if self._zipmaps:
            return [_from_zipmap(out) if isinstance(out, list) else out for out in outputs]
        return outputs

    def run_raw(self, inputs: Tensors, options: ort.RunOptions | None = None) -> list[Any]:
        """Run, and give the outputs as ONNX Runtime does: a ZipMap is a list of dicts."""
        try:
            if self._bfloats:
                specs = self.inputs + self.optional_inputs
                return run_with_bfloats(self._ort, self._names, inputs, specs, options)
            return self._ort.run(self._names, inputs, options)  # type: ignore[no-any-return]
        except Exception as error:  # as above
            raise RunRefused(f"ONNX Runtime: {_first_line(error)}") from None


class PoolStatistics(NamedTuple):
    """Snapshot of a pool."""

    num_sessions: int
    num_busy: int


class SessionPool:
    """The lanes of one model.

    Mutable state, touched on the event loop only: `_idle`, the lanes that wait for work, and the
    threads, which are started with a lane's first work (a cheap model never needs one).

    Args:
        path: The ONNX file.
        num_sessions: Lanes.
        providers: Execution providers, in order of preference.
        shared: Whether the file is loaded once and the lanes share the session (`Run` is
            thread-safe), instead of multiplying the memory.
        custom_ops: Libraries of operators that are not ONNX Runtime's own.

    Raises:
        ModelLoadError: ONNX Runtime cannot read the file, or a tensor is of an unknown type.
    """

    def __init__(
        self,
        path: Path,
        *,
        num_sessions: int,
        providers: list[str],
        shared: bool,
        custom_ops: Sequence[Library] = (),
    ) -> None:
        first = Session(path, providers, custom_ops)
        self.sessions = [first]
        for _ in range(num_sessions - 1):
            self.sessions.append(first if shared else Session(path, providers, custom_ops))
        self._threads: list[Thread | None] = [None] * num_sessions
        self._queues: list[SimpleQueue[tuple[Work, Done] | None]] = [
            SimpleQueue() for _ in range(num_sessions)
        ]
        self._idle = list(range(num_sessions))
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def idle(self) -> bool:
        """Whether a lane is free."""
        return bool(self._idle)

    def run(self, inputs: Tensors) -> list[Array]:
        """Run on the calling thread. Raises RunRefused."""
        return self.sessions[0].run(inputs)

    def start(self, work: Work, done: Done) -> None:
        """Give `work` to an idle lane; event loop only, and only while `idle`.

        Args:
            work: Called with the lane's session on the lane's thread; must not raise.
            done: Called with its result on the event loop, after the lane is idle again.
        """
        lane = self._idle.pop()
        if self._threads[lane] is None:
            self._loop = asyncio.get_running_loop()
            sys.setswitchinterval(SWITCH_SECONDS)
            thread = Thread(target=self._serve, args=(lane,), name=f"session-{lane}", daemon=True)
            self._threads[lane] = thread
            thread.start()
        self._queues[lane].put((work, done))

    def _serve(self, lane: int) -> None:
        """Body of a lane's thread."""
        give_way(LANE_NICENESS)
        session, queue = self.sessions[lane], self._queues[lane]
        while (job := queue.get()) is not None:
            work, done = job
            result = work(session)
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._finish, lane, done, result)

    def _finish(self, lane: int, done: Done, result: Any) -> None:
        self._idle.append(lane)
        done(result)

    def close(self) -> None:
        """End the threads once idle; idempotent. The sessions go with the last reference."""
        for queue, thread in zip(self._queues, self._threads, strict=True):
            if thread is not None:
                queue.put(None)
        self._threads = [None] * len(self._threads)

    def statistics(self) -> PoolStatistics:
        """Count the lanes."""
        return PoolStatistics(len(self._queues), len(self._queues) - len(self._idle))

    def __repr__(self) -> str:
        num_sessions, num_busy = self.statistics()
        return f"<SessionPool [{num_busy} busy, {num_sessions - num_busy} idle]>"


def _spec(node: Any, *, optional: bool = False) -> TensorSpec:
    if node.type in type_of_zipmap:
        return TensorSpec(node.name, "float32", (-1, -1))
    name = node.type
    if optional and name.startswith(OPTIONAL):
        name = name[len(OPTIONAL) : -1]
    if name not in type_names:
        raise ModelLoadError(f"{node.name}: expected a tensor or a ZipMap, found {node.type}")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(node.name, type_names[name], shape)


def _from_zipmap(rows: list[dict[int | str, float]]) -> Array:
    """Make `[B, C]` of one dict a row; ONNX Runtime keeps the classes in the same sorted order."""
    return np.array([list(row.values()) for row in rows], np.float32)


def _first_line(error: Exception) -> str:
    return _place.sub("", str(error).strip().split("\n")[0])[:300]
