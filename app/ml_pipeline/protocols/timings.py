"""Where the time of a request went, and what else is learned of it while it is answered.

The hot path fills them in; metrics, log, `Server-Timing` and traces read them.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ml_pipeline.protocols.base import Call


class Timings(msgspec.Struct, gc=False):
    """Of one request, or of one member of a batch.

    Attributes:
        arrived: `time.monotonic()` seconds when it had been read whole.
        model_name: Of the model that was found for it; empty before.
        model_version: Likewise.
        num_rows: Rows in the body; 0 before it is decoded.
        cache_state: `l1`, `redis`, `coalesced`, `miss` or `bypass`.
        decode_seconds: Bytes to checked arrays.
        cache_seconds: Key and look-up.
        queue_seconds: From the queue to the start of the run, or to the failure of a request that
            was not answered; 0 without either.
        run_seconds: The run, shared by all of its batch; 0 without a run.
        encode_seconds: Outputs to bytes; 0 without a run.
        batch_rows: Of the run, its own and others'; 0 without a run.
        members: Those of the requests of a `/predict/batch`, answered or not.
    """

    arrived: float
    model_name: str = ""
    model_version: str = ""
    num_rows: int = 0
    cache_state: str = "bypass"
    decode_seconds: float = 0.0
    cache_seconds: float = 0.0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    encode_seconds: float = 0.0
    batch_rows: int = 0
    members: Sequence["Timings"] = ()


def cache_states(members: Iterable[Timings]) -> str:
    """Count the cache states of a batch's members."""
    states: dict[str, int] = {}
    for each in members:
        states[each.cache_state] = states.get(each.cache_state, 0) + 1
    return ", ".join(f"{state};n={count}" for state, count in sorted(states.items())) or "none"


def with_members(timings: Timings) -> Timings:
    """Tell of a batch what its members took: reading and look-ups of all, of the rest the longest.

    A request that is none is told as it is.
    """
    if not timings.members:
        return timings
    every = (timings, *timings.members)
    return msgspec.structs.replace(
        timings,
        num_rows=sum(each.num_rows for each in every),
        cache_state=cache_states(timings.members),
        decode_seconds=sum(each.decode_seconds for each in every),
        cache_seconds=sum(each.cache_seconds for each in every),
        queue_seconds=max(each.queue_seconds for each in every),
        run_seconds=max(each.run_seconds for each in every),
        batch_rows=max(each.batch_rows for each in every),
    )


def describe(call: Call, timings: Timings) -> dict[str, str | int]:
    """Tell which model answered, from where, and how many rows there were.

    Args:
        call: Tells which model was asked for, where none was found.
        timings: Its own.
    """
    found, whole = bool(timings.model_name), with_members(timings)
    return {
        "model": timings.model_name if found else call.model_name or "",
        "version": timings.model_version if found else call.model_version or "",
        "cache": whole.cache_state,
        "rows": whole.num_rows,
        "batch_rows": whole.batch_rows,
    }


def phases(timings: Timings) -> dict[str, float]:
    """Tell where the time went, in the order of time; seconds, those of `Server-Timing`.

    What they leave of the whole is the wait for the body, for an equal request that is under way,
    or for the event loop.
    """
    whole = with_members(timings)
    return {
        "decode": whole.decode_seconds,
        "cache": whole.cache_seconds,
        "queue": whole.queue_seconds,
        "run": whole.run_seconds,
        "encode": whole.encode_seconds,
    }
