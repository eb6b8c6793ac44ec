"""Real rows of a model's metadata, and what stands for them where it has none.

They are offered by `GET /sample`, tried (`trial.py`) and timed (`warm_up.py`).
"""

from typing import Any

import msgspec
import numpy as np

from ml_pipeline.engine.sessions.session_pool import SessionPool
from ml_pipeline.engine.signature.tensor import Array, Tensors, TensorSpec
from ml_pipeline.engine.trials.trial_rows import FREE_SIZES, Domains, draw
from ml_pipeline.engine.wire.codec import wire_type
from ml_pipeline.errors import InvalidInput, ModelLoadError, RunRefused

NUM_DRAWN = 3
"""Rows that stand for real ones."""


def sample_inputs(
    pool: SessionPool, inputs: tuple[TensorSpec, ...], rows: Any, domains: Domains
) -> Tensors:
    """Give the metadata's real rows, else rows drawn to fit, of sizes that the model takes.

    Args:
        pool: The model's sessions.
        inputs: The model's inputs, refined by the metadata.
        rows: `sample` of the metadata.
        domains: Values that inputs take.

    Raises:
        ModelLoadError: The rows do not fit the inputs.
    """
    real = real_rows(inputs, rows)
    if real is not None:
        return real
    if all(spec.settled for spec in inputs):
        return draw(inputs, NUM_DRAWN, domains)
    for size in FREE_SIZES:
        drawn = draw(inputs, NUM_DRAWN, domains, free_size=size)
        try:
            pool.run(drawn)
        except RunRefused:
            continue
        break
    return drawn


def real_rows(inputs: tuple[TensorSpec, ...], rows: Any) -> Tensors | None:
    """Make arrays of the metadata's sample; None without one, or with a table for many inputs.

    Args:
        inputs: The model's inputs.
        rows: Nested lists for a lone input, or such lists by the name of the input.

    Raises:
        ModelLoadError: They do not fit the inputs.
    """
    if rows is None or (isinstance(rows, list) and len(inputs) != 1):
        return None
    if isinstance(rows, list):
        return {inputs[0].name: _to_array(rows, inputs[0], "sample")}
    names = {spec.name for spec in inputs}
    if rows.keys() != names:
        expected, found = (", ".join(sorted(each)) or "none" for each in (names, rows))
        raise ModelLoadError(f"metadata: sample: expected rows for {expected}, found {found}")
    real = {spec.name: _to_array(rows[spec.name], spec, f"sample.{spec.name}") for spec in inputs}
    counts = {len(real[spec.name]) for spec in inputs if spec.batched}
    if len(counts) > 1:
        raise ModelLoadError(
            f"metadata: sample: expected as many rows for each input, found {sorted(counts)}"
        )
    return real


def _to_array(rows: list[Any], spec: TensorSpec, field: str) -> Array:
    try:
        array = np.asarray(msgspec.convert(rows, wire_type(spec)), dtype=spec.numpy_dtype)
        spec.check(array, field)
    except msgspec.ValidationError as error:
        # Rows of another depth are told better by the check of their shape.
        _check_depth(rows, spec, field)
        found = str(error).replace("`", "")
        raise ModelLoadError(f"metadata: {field}: expected rows of {spec.dtype}: {found}") from None
    except (ValueError, OverflowError, RuntimeWarning):
        raise ModelLoadError(
            f"metadata: {field}: expected rows of {spec.dtype}, found ragged or too large ones"
        ) from None
    except InvalidInput as error:
        raise ModelLoadError(f"metadata: {error.detail}") from None
    return array


def _check_depth(rows: list[Any], spec: TensorSpec, field: str) -> None:
    value: Any = rows
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    if depth != len(spec.shape):
        raise ModelLoadError(
            f"metadata: {field}: expected {len(spec.shape)} dimensions, found {depth}"
        )
