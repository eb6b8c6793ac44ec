"""All metrics as the text that Prometheus reads, made without keeping anybody waiting.

`prometheus_client` writes what is there once. What is there for each model is written here, in
pieces between which the event loop has its turn: of 1,000 models it is 4 MB, for which the library
takes 0.6 s, and this 30 ms. A model's histogram is of one moment; two models, or two families, may
be some milliseconds apart.

Source: Prometheus' text-based format, version 0.0.4.
"""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from typing import NamedTuple

from prometheus_client import generate_latest
from prometheus_client.utils import floatToGoString

from ml_pipeline.observe.collector import Metrics, ModelSample
from ml_pipeline.observe.histogram import Histogram
from ml_pipeline.observe.model_counts import ModelCounts, ModelVersion

TURN_SECONDS = 0.001
"""Of one turn of the event loop."""


class _Counted(NamedTuple):
    """A family that has a value, or a histogram, for each version of a model that has counts."""

    name: str
    kind: str
    explained: str
    read: Callable[[ModelCounts], float | Histogram]


class _Loaded(NamedTuple):
    """A family that has a value for each model that is loaded."""

    name: str
    kind: str
    explained: str
    read: Callable[[ModelSample], float]


_counted = (
    _Counted(
        *("ml_api_predictions_total", "counter", "Rows answered, cached or run."),
        lambda counts: counts.num_rows,
    ),
    _Counted(
        *("ml_api_queue_seconds", "histogram"),
        "From a request's arrival in the queue to the start of its run.",
        lambda counts: counts.queue,
    ),
    _Counted(
        *("ml_api_run_seconds", "histogram", "One run of the model."), lambda counts: counts.runs
    ),
    _Counted(
        *("ml_api_batch_rows", "histogram", "Rows in one run."), lambda counts: counts.batches
    ),
)
_loaded = (
    _Loaded("ml_api_model_info", "gauge", "Always 1.", lambda _: 1.0),
    _Loaded(
        *("ml_api_model_load_seconds", "gauge", "Opening the file to ready."),
        lambda model: model.load_seconds,
    ),
    _Loaded(
        *("ml_api_queue_depth_rows", "gauge", "Rows that wait for a run."),
        lambda model: model.num_waiting,
    ),
    _Loaded(
        *("ml_api_batching_disproved_total", "counter"),
        "Whether rows of the loaded model were found not to stay apart: 0 or 1.",
        lambda model: model.disproved,
    ),
)


async def expose(metrics: Metrics) -> bytes:
    """Write everything that is counted."""
    pieces = [generate_latest(metrics.registry)]
    await asyncio.sleep(0)
    loaded, counted = metrics.scrape_models()
    lines: list[str] = []
    until = monotonic()
    for text in _of_models(loaded, counted):
        lines.append(text)
        if monotonic() > until:
            pieces.append("".join(lines).encode())
            lines.clear()
            await asyncio.sleep(0)
            until = monotonic() + TURN_SECONDS
    return b"".join([*pieces, "".join(lines).encode()])


def _of_models(
    loaded: list[ModelSample], counted: list[tuple[ModelVersion, ModelCounts]]
) -> Iterator[str]:
    """Write family after family, a piece for each model."""
    counts_by_labels = [(_labels(*which), counts) for which, counts in counted]
    for family in _counted:
        yield _head(family)
        for labels, counts in counts_by_labels:
            value = family.read(counts)
            if isinstance(value, Histogram):
                yield _histogram(family.name, labels, value)
            else:
                yield f"{family.name}{{{labels}}} {_number(value)}\n"
    for each in _loaded:
        yield _head(each)
        for model in loaded:
            labels = _labels(model.name, model.version)
            if each.name == "ml_api_model_info":
                labels = f'digest="{model.digest[:12]}",{labels}'
            yield f"{each.name}{{{labels}}} {_number(each.read(model))}\n"


def _head(family: _Counted | _Loaded) -> str:
    return f"# HELP {family.name} {family.explained}\n# TYPE {family.name} {family.kind}\n"


def _labels(name: str, version: str) -> str:
    return f'model="{_escaped(name)}",version="{_escaped(version)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _histogram(name: str, labels: str, histogram: Histogram) -> str:
    buckets, total = histogram.buckets()
    lines = [
        f'{name}_bucket{{le="{bound}",{labels}}} {_number(count)}\n' for bound, count in buckets
    ]
    lines += (
        f"{name}_count{{{labels}}} {_number(buckets[-1][1])}\n",
        f"{name}_sum{{{labels}}} {_number(total)}\n",
    )
    return "".join(lines)


def _number(value: float) -> str:
    """Write a number as the library does: from a million on as Go does."""
    if value < 1e6:
        return repr(float(value))
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
