"""ONNX's own backend suite, served: every model that ONNX Runtime runs, alone and in crowds.

Every `BACKEND_STEP`-th case is asked; `ops/soak backend` asks all.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ml_pipeline.engine.batching.batch_queue import BatchOptions
from ml_pipeline.engine.graph.process import GraphReader
from ml_pipeline.engine.model.source import EngineOptions
from ml_pipeline.errors import InferenceError, ModelLoadError
from tests.backend import truth, variants
from tests.backend.isolated import ask_all
from tests.backend.serving import Asked, serving
from tests.backend.suite import ATOL, RTOL, Array, Case, all_cases, differs
from tests.backend.truth import Truth
from tests.backend.variants import Mixing, Variant

STEP = int(os.environ.get("BACKEND_STEP", "12"))
LAST_BITS = 1e-6
"""Relative: the same run in memory that lies otherwise differs by less."""

Count = Callable[[str, object], None]

OPTIONS = EngineOptions(
    num_sessions=1,
    providers=["CPUExecutionProvider"],
    share_weights_above_bytes=100 * 1024 * 1024,
    max_rows=10_000,
    batch=BatchOptions(
        max_batch_size=16,
        max_queue_size=10_000,
        max_queue_delay_seconds=0.0,
        inline_budget_seconds=1.0,
    ),
)


class Served(NamedTuple):
    """What became of the cases.

    Attributes:
        counts: Of models by why they are not served, and of data sets answered.
        broken: Each that was not answered as ONNX Runtime does, or not refused in our words.
    """

    counts: Counter[str]
    broken: list[str]


class Crowds(NamedTuple):
    """What became of the crowds.

    Attributes:
        counts: Of models by the verdict of their graphs, of answers, and of those of shared runs.
        wrong: Answers that a lone request does not get.
        contradicted: Models called independent whose rows change each other.
    """

    counts: Counter[str]
    wrong: list[str]
    contradicted: list[str]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """A fixed spread of them, or all."""
    return all_cases()[::STEP]


@pytest.fixture(scope="module")
def served(
    cases: list[Case], graphs: GraphReader, tmp_path_factory: pytest.TempPathFactory
) -> Served:
    """Serve each case, if ONNX Runtime runs it."""
    asked = Served(Counter(), [])

    async def ask_each() -> None:
        folder = tmp_path_factory.mktemp("cases")
        for case, told in ask_all(truth.ask, cases):
            if isinstance(told, str):
                asked.counts[told] += 1
            else:
                await _serve(case, told, asked, folder, graphs)

    asyncio.run(ask_each())
    return asked


async def _serve(case: Case, told: Truth, asked: Served, folder: Path, graphs: GraphReader) -> None:
    types = truth.unknown_types(told.types)
    try:
        async with serving(case.model, folder, OPTIONS, graphs) as server:
            if types:
                asked.broken.append(f"{case.name}: expected to be refused for {types}")
            asked.counts["models served"] += 1
            await _ask(case, told, asked, server)
    except ModelLoadError as error:
        if not (types or told.refused.startswith("load")):
            asked.broken.append(f"{case.name}: {error.detail}")
        asked.counts["models of unknown types" if types else "models refused by it too"] += 1
        asked.counts.update(f"refused for {each}" for each in types)


async def _ask(case: Case, told: Truth, asked: Served, server: Asked) -> None:
    if told.refused:  # for what is in its inputs
        with pytest.raises(InferenceError):
            await server.infer(truth.given(case.data[0].inputs), binary=True)
        return
    for data, expected in zip(case.data, told.answers, strict=True):
        recorded = [e if o is None else o for o, e in zip(data.outputs, expected, strict=True)]
        as_recorded = not differs(expected, recorded, RTOL, ATOL)
        asked.counts["data sets" if as_recorded else "data sets recorded otherwise"] += 1
        for binary in (True, False):
            try:
                found = await server.infer(truth.given(data.inputs), binary=binary)
            except InferenceError as error:
                asked.broken.append(f"{case.name} binary={binary}: {error.detail}")
                continue
            right = expected if binary else [_in_json(value) for value in expected]
            if told.random:
                found, right = _shapes(found), _shapes(right)
            if where := differs(found, right, LAST_BITS, 0.0):
                asked.broken.append(f"{case.name} binary={binary}: {where}")


def _in_json(values: Array) -> Array:
    """Lose what JSON has no form for; float16 travels as bytes."""
    if values.dtype.kind != "f" or values.itemsize == 2:
        return values
    return np.where(np.isfinite(values), values, np.nan)


def _shapes(values: list[Array]) -> list[Array]:
    return [np.array(value.shape) for value in values]


def test_every_model_that_onnx_runtime_runs_is_served(
    served: Served, record_property: Count
) -> None:
    """It answers what ONNX Runtime answers, in bytes and in JSON; others are refused at load."""
    for name, number in served.counts.items():
        record_property(name, number)

    assert served.broken == []
    assert served.counts["models served"] > len(served.counts)


@pytest.fixture(scope="module")
def crowds(
    cases: list[Case], graphs: GraphReader, tmp_path_factory: pytest.TempPathFactory
) -> Crowds:
    """Ask each variant by a crowd."""
    asked = Crowds(Counter(), [], [])

    async def ask_each() -> None:
        folder = tmp_path_factory.mktemp("variants")
        with np.errstate(all="ignore"):
            made = list(variants.all_variants(cases))
        for variant, told in variants.truths(made):
            if isinstance(told, str):
                asked.counts[told] += 1
            elif told.verdict == "refuses":
                asked.counts["variants refused by it too"] += 1
            else:
                try:
                    async with serving(variant.model, folder, OPTIONS, graphs) as server:
                        await _crowd(variant, told, asked, server)
                except ModelLoadError as error:
                    asked.wrong.append(f"{variant.name}: {error.detail}")

    asyncio.run(ask_each())
    return asked


async def _crowd(variant: Variant, told: Mixing, asked: Crowds, server: Asked) -> None:
    verdict = server.model.graph.batching.verdict
    asked.counts[verdict] += 1
    if verdict == "independent" and told.verdict != "apart":
        asked.contradicted.append(f"{variant.name}: {told.why}")
    found = await server.crowd(list(told.requests))
    asked.counts["answers"] += len(found)
    asked.counts["answers of shared runs"] += server.num_shared
    for place, (one, other) in enumerate(zip(found, told.answers, strict=True)):
        if where := _wrong(one, other, told):
            asked.wrong.append(f"{variant.name} ({verdict}) request {place}: {where}")


def _wrong(found: list[Array] | BaseException, expected: list[Any], told: Mixing) -> str:
    if isinstance(found, BaseException):
        return repr(found)
    if told.verdict == "random":
        found, expected = _shapes(found), _shapes(expected)
    return differs(found, expected, variants.RTOL, variants.ATOL)


def test_no_answer_of_a_crowd_is_wrong(crowds: Crowds, record_property: Count) -> None:
    """Eight requests at once, with first sizes free, are each answered as if they were alone."""
    for name, number in crowds.counts.items():
        record_property(name, number)
    record_property("wrong", len(crowds.wrong))

    assert crowds.wrong == []
    assert crowds.counts["answers of shared runs"] > crowds.counts["independent"]


def test_no_model_called_independent_is_coupled(crowds: Crowds) -> None:
    """ONNX Runtime alone, which runs the same rows together and apart, does not contradict it."""
    assert crowds.contradicted == []
