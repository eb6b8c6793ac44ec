"""Before a model answers: rows to try it with, the proof that batching is safe, the cost curve.

Runs here are on the calling thread, with the pool's first session and then once with each other.
`k` rows are tried together and apart; `B` is the rows of a run.
"""

from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from app.engine.bfloat import narrowed
from app.engine.codec import wire_type
from app.engine.cost_curve import CostCurve, Sample
from app.engine.session_pool import SessionPool
from app.engine.tensor import Array, Tensors, TensorSpec
from app.errors import InvalidInput, ModelLoadError, RunRefused

RELATIVE_TOLERANCE = 1e-5
"""Largest difference between rows run together and apart, relative to the largest output."""

MEASURE_SECONDS = 0.15
"""Time the cost curve may take: a small model is ready at once, a big one gets fewer points."""

REPEATS = 3
"""Runs a point of the curve, of which the quickest counts."""


def sample_inputs(inputs: tuple[TensorSpec, ...], rows: list[Any] | None) -> Tensors:
    """Make inputs to try a model with: the metadata's real rows, else rows drawn to fit.

    Args:
        inputs: The model's inputs.
        rows: `sample` of the metadata; belongs to a lone input.

    Raises:
        ModelLoadError: The rows do not fit the input.
    """
    if rows is None or len(inputs) != 1:
        return {spec.name: _draw(spec) for spec in inputs}
    spec = inputs[0]
    try:
        array = np.asarray(msgspec.convert(rows, wire_type(spec)), dtype=spec.numpy_dtype)
        spec.check(array, "sample")
    except msgspec.ValidationError as error:
        # Rows of another depth are told better by the check of their shape.
        _check_depth(rows, spec)
        found = str(error).replace("`", "")
        raise ModelLoadError(f"metadata: sample: expected rows of {spec.dtype}: {found}") from None
    except (ValueError, OverflowError, RuntimeWarning):
        raise ModelLoadError(
            f"metadata: sample: expected rows of {spec.dtype}, found ragged or too large ones"
        ) from None
    except InvalidInput as error:
        raise ModelLoadError(f"metadata: {error.detail}") from None
    return {spec.name: array}


def _check_depth(rows: list[Any], spec: TensorSpec) -> None:
    value: Any = rows
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    if depth != len(spec.shape):
        raise ModelLoadError(
            f"metadata: sample: expected {len(spec.shape)} dimensions, found {depth}"
        )


def _draw(spec: TensorSpec) -> Array:
    """Draw 3 rows (or the fixed number) that fit a spec; free sizes become 1. Always the same."""
    shape = [3 if size == -1 and axis == 0 else abs(size) for axis, size in enumerate(spec.shape)]
    random = np.random.default_rng(0)
    kind = spec.numpy_dtype.kind
    if spec.dtype == "bfloat16":
        return narrowed(random.standard_normal(shape).astype(np.float32))
    if kind == "f":
        return random.standard_normal(shape).astype(spec.numpy_dtype)
    if kind == "O":
        return random.choice(np.array(["a", "b", "c"], dtype=object), shape)
    return random.integers(0, 2 if kind == "b" else 5, shape).astype(spec.numpy_dtype)


def prove_batching(pool: SessionPool, inputs: Tensors) -> str | None:
    """Run k rows together and apart; give the reason why batching is unsafe, or None if it is safe.

    Args:
        pool: The model's sessions.
        inputs: k rows, `[k, …]` each.
    """
    specs = pool.sessions[0].inputs
    if not specs:
        return "there are no inputs"
    if not all(spec.batched for spec in specs):
        return "an input has no free first dimension"
    inputs = with_drawn_rows(pool, inputs, 3)
    num_rows = len(next(iter(inputs.values())))
    apart = [{n: a[i : i + 1] for n, a in inputs.items()} for i in range(num_rows)]
    if num_rows == 1:
        apart *= 2
        inputs = {name: np.repeat(array, 2, axis=0) for name, array in inputs.items()}
    try:
        together = pool.run(inputs)
        singles = [pool.run(row) for row in apart]
    except RunRefused as error:
        return f"trial rows failed: {error.detail}"
    for index, output in enumerate(together):
        name = pool.sessions[0].outputs[index].name
        if output.shape[:1] != (len(apart),) or any(s[index].shape[:1] != (1,) for s in singles):
            return f"output {name}: its first dimension does not follow the input's"
        if any(single[index].shape[1:] != output.shape[1:] for single in singles):
            return f"output {name}: rows run together have other sizes than rows run apart"
        if not _same(output, np.concatenate([single[index] for single in singles])):
            return f"output {name}: rows run together differ from rows run apart"
    return None


def with_drawn_rows(pool: SessionPool, inputs: Tensors, num_rows: int) -> Tensors:
    """Add drawn rows, where the model takes them: one row, or equal ones, would prove nothing."""
    specs = {spec.name: spec for spec in pool.sessions[0].inputs}
    if any(array.dtype.hasobject or not specs[n].batched for n, array in inputs.items()):
        return inputs
    wider = {}
    for name, array in inputs.items():
        drawn = _draw(TensorSpec(name, specs[name].dtype, (num_rows, *array.shape[1:])))
        wider[name] = np.concatenate([array, drawn])
    try:
        pool.run(wider)
    except RunRefused:
        return inputs
    return wider


def _same(together: Array, apart: Array) -> bool:
    if together.shape != apart.shape or together.dtype.kind not in "fc":
        return bool(np.array_equal(together, apart))
    scale = float(np.max(np.abs(apart), initial=0.0, where=np.isfinite(apart)))
    tolerance = RELATIVE_TOLERANCE * scale
    return bool(np.allclose(together, apart, rtol=0.0, atol=tolerance, equal_nan=True))


def measure(
    pool: SessionPool, inputs: Tensors, max_batch_size: int, *, num_warm_ups: int = 1
) -> CostCurve:
    """Time runs of 1, 2, 4 … `max_batch_size` rows; warms every session. A failing run ends it.

    Args:
        pool: The model's sessions.
        inputs: Rows to repeat, `[k, …]` each; run as they are where the first size is fixed.
        max_batch_size: Largest batch the batcher will make.
        num_warm_ups: Runs of each session before the first that is timed.
    """
    samples: list[Sample] = []
    specs = pool.sessions[0].inputs
    free = bool(specs) and all(spec.batched for spec in specs)
    num_rows = 1
    try:
        for session in pool.sessions:
            for _ in range(num_warm_ups):
                session.run(inputs)
        finish = perf_counter() + MEASURE_SECONDS
        while num_rows <= max_batch_size and (perf_counter() < finish or len(samples) < 2):
            batch = _resize(inputs, num_rows) if free else inputs
            seconds = min(_time(pool, batch) for _ in range(REPEATS))
            samples.append(Sample(_count_rows(batch), seconds))
            num_rows *= 2
    except RunRefused:  # `prove_batching` has said so already
        pass
    return CostCurve(samples)


def _resize(inputs: Tensors, num_rows: int) -> Tensors:
    return {name: np.resize(array, (num_rows, *array.shape[1:])) for name, array in inputs.items()}


def _count_rows(inputs: Tensors) -> int:
    """Count at least one: what has no rows costs something all the same."""
    first = next(iter(inputs.values()), None)
    return max(len(first), 1) if first is not None and first.ndim else 1


def _time(pool: SessionPool, inputs: Tensors) -> float:
    started = perf_counter()
    pool.run(inputs)
    return perf_counter() - started
