"""The wire: msgspec Structs of what clients send and get.

One set of Structs decodes requests, encodes answers and makes the OpenAPI document. Decoding
itself is `codec.py`. Structs of the hot path are `gc=False`: they hold no reference cycles, and the
collector has nothing to look for in them.
"""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from ml_pipeline.errors import InferenceError

MAX_CACHE_TTL_SECONDS = 30 * 24 * 3600
"""Longest `cache_ttl` a request may ask for: 30 days, in seconds."""

MAX_MEMBERS = 65_536
"""Most requests in a batch, whatever MAX_ROWS allows: told by the size before they are read."""

MAX_DIMENSIONS = 64
"""Of a tensor that is read at all; numpy's own bound."""

Shape = Annotated[list[int], Meta(max_length=MAX_DIMENSIONS)]
Data = TypeVar("Data")


class WireTensor(Struct, gc=False, forbid_unknown_fields=True):
    """A tensor as raw bytes, in MessagePack bodies.

    Attributes:
        dtype: numpy's name, such as `float32`.
        shape: Sizes, row-major.
        data: Little-endian values, `product(shape)` of them; a view into the body, no copy.
    """

    dtype: str
    shape: Shape
    data: memoryview


class PredictBody(Struct, Generic[Data], gc=False, forbid_unknown_fields=True):
    """What `POST /predict` takes; `Data` is rows, nested as deep as the model's input."""

    data: Data
    use_cache: Annotated[
        bool, Meta(description="False neither reads nor writes the cache for this request.")
    ] = True
    cache_ttl: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=MAX_CACHE_TTL_SECONDS,
                description="Seconds the answer may be cached; CACHE_TTL_SECONDS if left out.",
            ),
        ]
        | None
    ) = None


class ModelInfo(Struct, gc=False):
    """Which model answered, and how.

    Attributes:
        prediction_time: Seconds of the model's run that made this answer, also when it is cached.
        input_shape: Shape of the rows that were sent.
        cached: Whether the answer came from a cache. Last, so that a stored answer differs from
            a fresh one in its final bytes only (`codec.mark_cached`).
    """

    model_name: str
    model_version: str
    prediction_time: Annotated[float, Meta(description="Seconds of the run that made the answer.")]
    input_shape: list[int]
    cached: bool


class PredictResponse(Struct, gc=False):
    """The answer to one prediction: one entry a row in each list.

    Attributes:
        predictions: Class or value of each row, as the model gives it.
        probabilities: `[b, C]` in the order of the classes; None where the model gives none.
        scores: Numbers by which a class was chosen and which are no probabilities: margins,
            logarithms, distances; `[b, …]`, or None.
        labels: Class names, where the metadata or the model has them.
    """

    predictions: Annotated[Any, Meta(description="Class or value of each row.")]
    probabilities: Annotated[Any, Meta(description="Probability of each class, by row, or null.")]
    scores: Annotated[
        Any,
        Meta(description="Margins, logarithms or distances by which a class was chosen, or null."),
    ]
    labels: Annotated[list[str] | None, Meta(description="Class name of each row, or null.")]
    model_info: ModelInfo


class BatchBody(Struct, gc=False, forbid_unknown_fields=True):
    """What `POST /predict/batch` takes; members stay raw so that a bad one spoils no other."""

    requests: Annotated[list[msgspec.Raw], Meta(max_length=MAX_MEMBERS)]


class BatchResponse(Struct, gc=False):
    """Answers in the order of the requests, each already encoded."""

    results: list[msgspec.Raw]


class Problem(Struct, omit_defaults=True):
    """RFC 9457 problem details, `application/problem+json`."""

    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(description="Machine-readable reason.")]
    request_id: str
    type: str = "about:blank"


class FailedMember(Struct):
    """A member of a batch that could not be answered."""

    error: Problem


def to_problem(error: InferenceError, request_id: str) -> Problem:
    """Put an error into its wire form."""
    return Problem(error.title, error.status, error.detail, error.code, request_id)
